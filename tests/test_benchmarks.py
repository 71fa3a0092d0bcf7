from lmcompare.benchmarks import _table

SIZE = {"width": 8, "layers": 1, "vocabulary": 300, "batch": 2, "length": 16, "device": "cpu"}


def test_ratios_are_paired_by_turn() -> None:
    """The machine is twice as fast in the second turn: each loop is set against the plain one of its own turn."""
    plain = {kind: [100.0, 200.0, 100.0] for kind in ("causal", "masked", "seq2seq")}
    ours = {kind: [110.0, 300.0, 120.0] for kind in plain}
    lines = _table({"plain": plain, "ours": ours}, SIZE).splitlines()
    assert lines[4] == "| plain | 100 tokens/s (1.00) | 100 tokens/s (1.00) | 100 tokens/s (1.00) |"
    assert lines[5].count("120 tokens/s (1.20; 1.10 to 1.50)") == 3
