from pathlib import Path

import yaml

from lmcompare.benchmarks import RATES, _table, ways

SIZE = {"width": 8, "layers": 1, "vocabulary": 300, "batch": 2, "length": 16, "device": "cpu"}


def test_ratios_are_paired_by_turn() -> None:
    """The machine is twice as fast in the second turn: each loop is set against the plain one of its own turn."""
    plain = {kind: [100.0, 200.0, 100.0] for kind in ("causal", "masked", "seq2seq")}
    ours = {kind: [110.0, 300.0, 120.0] for kind in plain}
    lines = _table({"plain": plain, "ours": ours}, SIZE).splitlines()
    assert lines[4] == "| plain | 100 tokens/s (1.00) | 100 tokens/s (1.00) | 100 tokens/s (1.00) |"
    assert lines[5].count("120 tokens/s (1.20; 1.10 to 1.50)") == 3


def test_as_many_plain_loops_as_ours_run_side_by_side() -> None:
    *_, plain, ours = ways("cpu").values()
    assert (plain.loop, ours.loop) == ("plain", "ours")
    assert plain.processes == ours.processes
    assert plain.environment.items() <= ours.environment.items()


def test_objectives_are_those_of_the_main_experiment() -> None:
    file = Path(__file__).parents[1] / "experiments" / "sentiment.yaml"
    for kind, arm in yaml.safe_load(file.read_text())["arms"].items():
        named = arm["objective"] if isinstance(arm["objective"], dict) else {"kind": arm["objective"]}
        assert named == {"kind": kind, **RATES[kind]}
