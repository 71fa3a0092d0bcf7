"""A job in one line, and what is said of a cell that failed."""

from collections.abc import Callable

import pytest

from lmcompare.cells import Job, explain
from lmcompare.errors import LmcompareError
from lmcompare.experiment import Experiment
from lmcompare.plan import plan

Make = Callable[..., Experiment]


def test_a_job_can_be_said_in_one_line(make: Make) -> None:
    experiment = make()
    job = Job(plan(experiment)[-1], experiment.resolved(), "cache", {"prepare": "there"}, trackers=("tensorboard",))
    assert Job.from_json(job.to_json()) == job
    assert "\n" not in job.to_json()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "out of memory; lower training.batch"),
        (RuntimeError("write failed: No space left on device"), "the disk is full"),
        (LmcompareError("plain"), "plain"),
        (ValueError("odd"), "ValueError: odd"),
    ],
)
def test_failures_are_said_for_people(error: Exception, said: str) -> None:
    assert explain(error)[0].startswith(said)
