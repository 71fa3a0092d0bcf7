"""A job in one line, and what is said of a cell that failed."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from lmcompare.core.errors import LmcompareError
from lmcompare.execution.jobs import Job, WorkOptions, _adopt_newer_checkpoint, explain
from lmcompare.execution.plan import plan
from lmcompare.experiments.experiment import Experiment

Make = Callable[..., Experiment]


def test_a_job_can_be_said_in_one_line(make: Make) -> None:
    experiment = make()
    job = Job(
        plan(experiment)[-1],
        experiment.resolved(),
        "cache",
        {"prepare": "there"},
        WorkOptions(trackers=("tensorboard",)),
    )
    assert Job.from_json(job.to_json()) == job
    assert "\n" not in job.to_json()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "out of memory; lower training.batch_size"),
        (RuntimeError("write failed: No space left on device"), "the disk is full"),
        (LmcompareError("plain"), "plain"),
        (
            PermissionError(errno.EACCES, "Permission denied", "/x/y"),
            "/x/y: cannot be written or read (Permission",
        ),
        (ValueError("odd"), "ValueError: odd"),
    ],
)
def test_failures_are_said_for_people(error: Exception, said: str) -> None:
    assert explain(error)[0].startswith(said)


@pytest.mark.parametrize("whole", [True, False])
def test_a_checkpoint_that_a_crash_left_beside_its_place_is_taken_up(
    whole: bool, tmp_path: Path
) -> None:
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "meter.json").write_text("old")
    (tmp_path / "checkpoint.new").mkdir()
    if whole:  # what is written last
        (tmp_path / "checkpoint.new" / "meter.json").write_text("new")
    _adopt_newer_checkpoint(tmp_path / "checkpoint")
    assert (tmp_path / "checkpoint" / "meter.json").read_text() == ("new" if whole else "old")
