"""The worker's side of the pipe."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from lmcompare.execution.jobs import Job, WorkOptions, cell_folder
from lmcompare.execution.plan import plan
from lmcompare.experiments.experiment import parse

WORK = """
import time
from lmcompare.core.records import Run

def perform(experiment, cell, context):
    print("noise")
    context.progress({"done": 1, "total": 2, "stage": "work"})
    if experiment.description == "wait":
        try:
            (context.cache / "began").touch()
            time.sleep(60)
        finally:
            (context.cache / "saved").touch()
    if experiment.description == "bug":
        raise ValueError("odd")
    return Run(experiment.name, cell.name, cell.key, "", 0, "", "", {}), []
"""


@pytest.fixture
def worker(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    (tmp_path / "dummy_cells.py").write_text(WORK)
    path = os.pathsep.join([str(tmp_path), *sys.path])
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "lmcompare.execution.worker", "dummy_cells:perform"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
        start_new_session=True,
    )
    yield process
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream:
            stream.close()


def job(tmp_path: Path, description: str = "") -> Job:
    (tmp_path / "text.txt").write_text("some text\n")
    source = {"kind": "text", "path": str(tmp_path / "text.txt")}
    data = {
        "name": "x",
        "corpus": {"source": source},
        "models": {"causal": {"objective": "causal"}},
    }
    experiment = parse(data | {"description": description})
    cell = plan(experiment)[0]
    options = WorkOptions(perform="dummy_cells:perform")
    return Job(cell, experiment.resolved(), str(tmp_path / "cache"), {}, options)


def tell(worker: "subprocess.Popen[str]", job: Job) -> None:
    assert worker.stdin
    worker.stdin.write(job.to_json() + "\n")
    worker.stdin.flush()


def hear(worker: "subprocess.Popen[str]") -> dict[str, Any]:
    assert worker.stdout
    event: dict[str, Any] = json.loads(worker.stdout.readline())
    return event


def test_jobs_come_in_and_events_go_out(worker: "subprocess.Popen[str]", tmp_path: Path) -> None:
    one = job(tmp_path)
    tell(worker, one)
    assert hear(worker) == {"event": "progress", "done": 1, "total": 2, "stage": "work"}
    assert hear(worker) == {"event": "done"}
    assert (cell_folder(Path(one.cache), one.cell) / "run.json").is_file()
    tell(worker, one)
    assert hear(worker) == {"event": "done"}, "a finished cell is not done again"
    out, error = worker.communicate(timeout=300)
    assert (out, worker.returncode) == ("", 0)
    assert error.count("noise") == 1, "what the work prints goes to stderr"


def test_a_bug_keeps_its_traceback_and_the_worker_goes_on(
    worker: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    tell(worker, job(tmp_path, "bug"))
    assert hear(worker)["event"] == "progress"
    event = hear(worker)
    assert (event["event"], event["exit_code"]) == ("failed", 1)
    assert event["message"].startswith("Traceback") and event["message"].endswith("ValueError: odd")
    tell(worker, job(tmp_path))
    assert [hear(worker)["event"], hear(worker)["event"]] == ["progress", "done"]


def test_a_cell_that_another_run_does_is_handed_back(
    worker: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    one = job(tmp_path)
    folder = cell_folder(Path(one.cache), one.cell)
    folder.parent.mkdir(parents=True)
    with FileLock(f"{folder}.lock"):
        tell(worker, one)
        assert hear(worker) == {"event": "busy"}
    tell(worker, one)
    assert [hear(worker)["event"], hear(worker)["event"]] == ["progress", "done"]


@pytest.mark.parametrize("how", ["interrupted", "orphaned"])
def test_a_worker_that_is_stopped_lets_its_cell_save(
    worker: "subprocess.Popen[str]", tmp_path: Path, how: str
) -> None:
    (tmp_path / "cache").mkdir()
    tell(worker, job(tmp_path, "wait"))
    assert hear(worker)["event"] == "progress"
    while not (tmp_path / "cache" / "began").exists():
        time.sleep(0.01)
    assert worker.stdin
    if how == "interrupted":
        worker.send_signal(signal.SIGINT)
    else:
        worker.stdin.close()
    assert hear(worker) == {"event": "stopped"}
    assert worker.wait(timeout=300) == 130
    assert (tmp_path / "cache" / "saved").exists()
