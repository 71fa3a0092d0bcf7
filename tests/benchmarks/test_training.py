from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from lmcompare.benchmarks.training import (
    OBJECTIVE_SETTINGS,
    LoopVariant,
    Workload,
    loop_variants,
    measure,
    table,
)
from lmcompare.execution.machine import ALLOCATOR

SIZE = Workload(width=8, layers=1, vocabulary=300, batch=2, length=16, steps=8)


def test_loops_take_turns() -> None:
    """Two processes of ours beside one of the plain loop, to the end of the second turn that
    counts.
    """
    variants = {"plain": LoopVariant("plain", {}), "ours": LoopVariant("ours", ALLOCATOR, 2)}
    speeds = measure(variants, "seq2seq", SIZE)
    assert list(speeds) == ["plain", "ours"]
    assert min(speeds.values()) > 0


def test_a_loop_that_fails_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="ours, causal: a process failed; see above"):
        measure({"ours": LoopVariant("ours", {})}, "causal", replace(SIZE, width=9))
    assert (
        "network.num_heads: wanted a number that divides the hidden_size 9"
        in capfd.readouterr().err
    )


def test_ratios_are_paired_by_repeat() -> None:
    """Where the machine is twice as fast in the second repeat, the ratios are not."""
    plain = {kind: [100.0, 200.0, 100.0] for kind in ("causal", "masked", "seq2seq")}
    ours = {kind: [110.0, 300.0, 120.0] for kind in plain}
    lines = table({"plain": plain, "ours": ours}, SIZE).splitlines()
    assert lines[4] == "| plain | 100 tokens/s (1.00) | 100 tokens/s (1.00) | 100 tokens/s (1.00) |"
    assert lines[5].count("120 tokens/s (1.20; 1.10 to 1.50)") == 3


def test_as_many_plain_loops_as_ours_run_side_by_side() -> None:
    *_, plain, ours = loop_variants("cpu").values()
    assert (plain.loop, ours.loop) == ("plain", "ours")
    assert plain.processes == ours.processes
    assert plain.environment.items() <= ours.environment.items()


def test_compiled_loops_are_ours_with_the_environment_of_ours() -> None:
    variants = loop_variants("cpu", compiling=True)
    for name in [name for name in variants if name.endswith(", compiled")]:
        assert variants[name] == replace(variants[name.removesuffix(", compiled")], loop="compiled")
    assert list(variants)[:-2] == list(loop_variants("cpu"))


def test_a_compiled_loop_compiles(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    without = {"CXX": "no-such-compiler", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    with pytest.raises(SystemExit, match="compiled, causal: a process failed; see above"):
        measure({"compiled": LoopVariant("compiled", without)}, "causal", SIZE)
    assert "training.compile: torch could not compile here" in capfd.readouterr().err


def test_objectives_are_those_of_the_main_experiment() -> None:
    file = Path(__file__).parents[2] / "experiments" / "sentiment.yaml"
    for kind, model in yaml.safe_load(file.read_text())["models"].items():
        named = (
            model["objective"]
            if isinstance(model["objective"], dict)
            else {"kind": model["objective"]}
        )
        assert named == {"kind": kind, **OBJECTIVE_SETTINGS[kind]}
