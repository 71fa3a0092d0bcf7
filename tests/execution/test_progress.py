"""What is shown of a run."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lmcompare.core.records import Run, to_frame
from lmcompare.execution import progress as showing
from lmcompare.execution.plan import plan
from lmcompare.execution.progress import ProgressDisplay, clock
from lmcompare.execution.state import RunState
from lmcompare.experiments.experiment import Experiment

Make = Callable[..., Experiment]


def test_where_there_is_no_terminal_a_plain_line_now_and_then(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(showing.time, "monotonic", lambda: now[0])
    cells = plan(make())
    state = RunState(make(), tmp_path, tmp_path, "", cells, {}, {})
    with ProgressDisplay(state, every=30) as display:
        prepare = cells[0]
        display.start(prepare)
        display.update(
            prepare,
            {"done": 0, "total": 100, "stage": "training", "loss": 6.0, "tokens_per_second": 9.0},
        )
        assert capsys.readouterr().out == ""
        now[0] = 40.0
        display.update(
            prepare,
            {"done": 50, "total": 100, "stage": "training", "loss": 5.25, "tokens_per_second": 2e3},
        )
        assert (
            capsys.readouterr().out.splitlines()
            == [
                "prepare  50%  training · loss 5.250 · 2,000 tokens/s · 0:40 left",
                "small  8%  0 of 6 cells · about 7:20 left",  # 40 s for this cell, 80 s for each of the 5 others
            ]
        )
        now[0] = 80.0
        state.done["prepare"] = (Run("", "", "", "", 0, "", "", {}), to_frame([]))
        display.end(prepare)
        assert (
            capsys.readouterr().out == "done  prepare  in 1:20  (1 of 6 cells · about 6:40 left)\n"
        )


def test_clock() -> None:
    assert (clock(63), clock(3663)) == ("1:03", "1:01:03")
