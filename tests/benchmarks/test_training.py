from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from lmcompare.benchmarks.training import RATES, LoopVariant, _table, contest, ways
from lmcompare.execution.machine import ALLOCATOR

SIZE = {
    "width": 8,
    "layers": 1,
    "vocabulary": 300,
    "batch": 2,
    "length": 16,
    "steps": 8,
    "device": "cpu",
}


def test_loops_take_turns() -> None:
    """Two processes of ours beside one of the plain loop, to the end of the second turn that counts."""
    every = {"plain": LoopVariant("plain", {}), "ours": LoopVariant("ours", ALLOCATOR, 2)}
    speeds = contest(every, "seq2seq", SIZE)
    assert list(speeds) == ["plain", "ours"]
    assert min(speeds.values()) > 0


def test_a_loop_that_fails_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="ours, causal: a process failed; see above"):
        contest({"ours": LoopVariant("ours", {})}, "causal", SIZE | {"width": 9})
    assert (
        "network.num_heads: wanted a number that divides the hidden_size 9"
        in capfd.readouterr().err
    )


def test_ratios_are_paired_by_repeat() -> None:
    """The machine is twice as fast in the second repeat: each loop is set against the plain one of its own repeat."""
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


def test_compiled_loops_are_ours_with_the_environment_of_ours() -> None:
    every = ways("cpu", compiling=True)
    for name in [name for name in every if name.endswith(", compiled")]:
        assert every[name] == replace(every[name.removesuffix(", compiled")], loop="compiled")
    assert list(every)[:-2] == list(ways("cpu"))


def test_a_compiled_loop_compiles(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    without = {"CXX": "no-such-compiler", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    with pytest.raises(SystemExit, match="compiled, causal: a process failed; see above"):
        contest({"compiled": LoopVariant("compiled", without)}, "causal", SIZE)
    assert "training.compile: torch could not compile here" in capfd.readouterr().err


def test_objectives_are_those_of_the_main_experiment() -> None:
    file = Path(__file__).parents[2] / "experiments" / "sentiment.yaml"
    for kind, model in yaml.safe_load(file.read_text())["models"].items():
        named = (
            model["objective"]
            if isinstance(model["objective"], dict)
            else {"kind": model["objective"]}
        )
        assert named == {"kind": kind, **RATES[kind]}
