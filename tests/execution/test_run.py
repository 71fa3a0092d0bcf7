"""Whole runs, in this process and in workers: with dummy work, so without torch."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from lmcompare.core.errors import InputError, LmcompareError
from lmcompare.core.records import read_records, read_runs
from lmcompare.execution import run as running
from lmcompare.execution.jobs import WorkOptions, load_cell
from lmcompare.execution.plan import plan
from lmcompare.execution.run import run
from lmcompare.experiments.experiment import Experiment, parse

DUMMY = '''
import json, os, signal, time
from lmcompare.core.errors import InputError, LmcompareError
from lmcompare.core.records import Record, Run

def log(context, line):
    with open(context.cache / "log.txt", "a") as file:
        file.write(line + "\\\\n")

def perform(experiment, cell, context):
    print("noise on stdout")
    plan = json.loads(experiment.description or "{}")
    wanted = plan.get(cell.name, plan.get(cell.kind, ""))
    assert set(context.folders) == set(cell.needs)
    assert all((folder / "run.json").is_file() for folder in context.folders.values())
    log(context, "do " + cell.name)
    context.progress({"done": 0, "total": 4, "stage": "work", "loss": 3.0, "tokens_per_second": 1000.0})
    if wanted == "input": raise InputError("corpus.source: empty")
    if wanted == "fail": raise LmcompareError("the loss is NaN")
    if wanted == "bug": raise RuntimeError("nobody foresaw this")
    if wanted == "full": raise OSError(28, "No space left on device")
    if wanted == "die": os.kill(os.getpid(), signal.SIGKILL)
    if (context.folder / "checkpoint").is_dir(): log(context, "resumed " + cell.name)
    if isinstance(wanted, (int, float)):
        try:
            if wanted > 10: log(context, "waits " + cell.name)
            for step in range(100):
                time.sleep(wanted / 100)
                context.progress({"done": step + 1, "total": 100, "stage": "work", "loss": 3.0, "tokens_per_second": 9.0})
        except KeyboardInterrupt:
            (context.folder / "checkpoint").mkdir()
            log(context, "saved " + cell.name)
            raise
    (context.folder / "weights").write_text(cell.name)
    names = cell.name, cell.key, cell.model, cell.seed, cell.task, cell.condition
    run = Run("other name", *names, {}, costs={"workers": float(context.workers)})
    names = cell.model or "unigram", cell.seed, cell.task or "pretraining", cell.condition
    return run, [Record("other name", *names, "test", str(item), "bits", item) for item in range(3)]
'''.replace("\\\\", "\\")  # fmt: skip

SCRIPT = """
import sys, json, pathlib
from lmcompare.execution import run as running
from lmcompare.execution.jobs import WorkOptions
from lmcompare.experiments.experiment import parse
running.write_report = lambda output: output / "report.md"
experiment, output, cache = parse(json.loads(sys.argv[1])), pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
options = WorkOptions(perform="dummy_work:perform")
running.run(experiment, output, options, cache=cache, workers=2)
"""

Make = Callable[..., Experiment]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WorkOptions:
    """The name of a module with dummy work, found here and in workers; the report is left out."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "dummy_work.py").write_text(DUMMY)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "dummy_work", raising=False)
    monkeypatch.setattr(running, "write_report", lambda output: output / "report.md")
    return WorkOptions(perform="dummy_work:perform")


def log(cache: Path) -> list[str]:
    return sorted((cache / "log.txt").read_text().splitlines())


ALL = sorted(
    "prepare pretrain/causal/1 pretrain/masked/1 next/causal/1/pretrained next/masked/1/pretrained next/control".split()
)


def test_under_torchrun_all_processes_do_each_cell_together(
    make: Make, work: WorkOptions, tmp_path: Path
) -> None:
    script = tmp_path / "modules" / "several.py"
    script.write_text(SCRIPT)
    paths = [str(tmp_path / "modules"), str(Path(__file__).parents[2])]
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        "2",
    ]
    said = subprocess.run(
        [
            *launch,
            str(script),
            json.dumps(make().resolved()),
            str(tmp_path / "out"),
            str(tmp_path / "cache"),
        ],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert said.returncode == 0, said.stderr[-3000:]
    assert log(tmp_path / "cache") == sorted(f"do {name}" for name in ALL * 2)
    runs = read_runs(tmp_path / "out" / "runs.jsonl")
    assert sorted(run.cell for run in runs) == ALL
    assert {run.costs["workers"] for run in runs} == {2.0}


@pytest.mark.parametrize("workers", [0, 2])
def test_a_second_run_does_only_what_is_missing(
    make: Make, work: WorkOptions, tmp_path: Path, workers: int
) -> None:
    cache, output = tmp_path / "cache", tmp_path / "out"
    run(make(), output, cache=cache, workers=workers, options=work, header="# made by a test\n")
    assert log(cache) == sorted(f"do {name}" for name in ALL)
    runs, records = read_runs(output / "runs.jsonl"), read_records(output / "records.parquet")
    assert [found.cell for found in runs] == sorted(ALL)
    assert {found.experiment for found in runs} == set(records["experiment"]) == {"small"}
    assert len(records) == 3 * len(ALL)
    assert set(records["model"]) == {"causal", "masked", "unigram"}
    text = (output / "experiment.yaml").read_text()
    assert text.startswith("# made by a test\n") and parse(yaml.safe_load(text)) == make()
    run(make(), output, cache=cache, workers=workers, options=work)
    assert log(cache) == sorted(f"do {name}" for name in ALL)
    run(make(seeds=(1, 2)), output, cache=cache, workers=workers, options=work)
    assert len(log(cache)) == len(ALL) + 4
    assert len(read_runs(output / "runs.jsonl")) == len(ALL) + 4
    run(make(), output, cache=cache, workers=workers, options=replace(work, fresh=True))
    assert len(log(cache)) == 2 * len(ALL) + 4


def test_another_experiment_shares_cells_under_its_own_names(
    make: Make, work: WorkOptions, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    run(make(), tmp_path / "one", cache=cache, workers=0, options=work)
    models = {"left to right": {"objective": "causal"}, "masked": {"objective": "masked"}}
    other = make(name="two", models=models, tasks={"go on": "continuation"})
    run(other, tmp_path / "two", cache=cache, workers=0, options=work)
    assert len(log(cache)) == len(ALL)
    records = read_records(tmp_path / "two" / "records.parquet")
    assert set(records["experiment"]) == {"two"}
    assert set(records["model"]) == {"left to right", "masked", "unigram"}
    assert {found.cell for found in read_runs(tmp_path / "two" / "runs.jsonl")} >= {
        "go on/left to right/1/pretrained"
    }


@pytest.mark.parametrize(
    ("workers", "how", "kind", "said"),
    [
        (0, "fail", LmcompareError, "pretrain/masked/1: the loss is NaN"),
        (2, "fail", LmcompareError, "pretrain/masked/1: the loss is NaN"),
        (0, "input", InputError, "pretrain/masked/1: corpus.source: empty"),
        (0, "full", LmcompareError, "pretrain/masked/1: the disk is full"),
        (0, "bug", LmcompareError, "RuntimeError: nobody foresaw this"),
        (2, "bug", LmcompareError, "RuntimeError: nobody foresaw this"),
        (
            2,
            "die",
            LmcompareError,
            "pretrain/masked/1: its process was killed, most likely because the machine ran out",
        ),
    ],
)
def test_a_cell_that_fails_loses_no_other(
    make: Make,
    work: WorkOptions,
    tmp_path: Path,
    workers: int,
    how: str,
    kind: type[LmcompareError],
    said: str,
) -> None:
    cache, output = tmp_path / "cache", tmp_path / "out"
    with pytest.raises(LmcompareError) as caught:
        run(
            make(says={"pretrain/masked/1": how}),
            output,
            cache=cache,
            workers=workers,
            options=work,
        )
    assert type(caught.value) is kind
    message = str(caught.value)
    assert said in message
    assert ("Traceback" in message) == (how == "bug")
    assert "1 more need it: next/masked/1/pretrained" in message
    assert "4 of 6 cells are done and kept" in message
    assert len(read_runs(output / "runs.jsonl")) == 4
    run(make(), output, cache=cache, workers=workers, options=work)
    assert len(log(cache)) == len(ALL) + 1
    assert len(read_runs(output / "runs.jsonl")) == 6


def test_two_runs_at_once_share_the_work_and_one_folder(
    make: Make, work: WorkOptions, tmp_path: Path
) -> None:
    cache, output = tmp_path / "cache", tmp_path / "out"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    said = [json.dumps(make(seeds=(1, 2), says={"pretrain": 0.4}).resolved())] * 2
    both = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, text, str(output), str(cache)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for text in said
    ]
    ends = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    lines = log(cache)
    assert len(lines) == len(set(lines)) == 10, "each cell is done once, by one of the two"
    assert len(read_runs(output / "runs.jsonl")) == 10
    assert len(read_records(output / "records.parquet")) == 30
    assert not list((cache / "cells").glob("*.partial"))


def test_ctrl_c_lets_workers_save_and_the_next_run_goes_on(
    make: Make, work: WorkOptions, tmp_path: Path
) -> None:
    cache, output = tmp_path / "cache", tmp_path / "out"
    said = json.dumps(make(says={"pretrain": 60}).resolved())
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, said, str(output), str(cache)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(
        lambda: (cache / "log.txt").is_file() and sum("waits" in line for line in log(cache)) == 2
    )
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=300)
    assert process.returncode not in (0, 1) or "KeyboardInterrupt" in error
    assert "stopping: what is running saves a checkpoint" in out
    assert [line for line in log(cache) if "saved" in line] == [
        "saved pretrain/causal/1",
        "saved pretrain/masked/1",
    ]
    assert {found.cell for found in read_runs(output / "runs.jsonl")} >= {"prepare"}
    run(make(), output, cache=cache, workers=2, options=work)
    resumed = [line for line in log(cache) if "resumed" in line]
    assert resumed == ["resumed pretrain/causal/1", "resumed pretrain/masked/1"]
    assert not list((cache / "cells").glob("*/checkpoint"))


def wait_for(what: Callable[[], bool], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def test_a_folder_with_another_experiment_is_refused(
    make: Make, work: WorkOptions, tmp_path: Path
) -> None:
    run(make(), tmp_path / "out", cache=tmp_path / "cache", workers=0, options=work)
    with pytest.raises(
        InputError, match="wanted a folder for the results of 'two', got one with others: it holds"
    ):
        run(make(name="two"), tmp_path / "out", cache=tmp_path / "cache", workers=0, options=work)


def test_what_the_command_was_given_is_checked(make: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError) as caught:
        run(
            make(),
            tmp_path / "file",
            WorkOptions(device="gpu", trackers=("tensorbord",)),
            workers=-1,
        )
    assert caught.value.problems == [
        f"--output {tmp_path / 'file'}: wanted a folder, got a file",
        "--workers: wanted an integer at least 0, got -1",
        "--device: wanted cpu, cuda, mps or xpu, got 'gpu'",
        "--track: no tracker 'tensorbord'; did you mean 'tensorboard'?",
    ]


@pytest.mark.parametrize("kind", ["cuda", "mps", "xpu"])
def test_a_device_that_is_not_there_is_said_before_anything_runs(
    kind: str, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = torch.backends.mps if kind == "mps" else getattr(torch, kind)
    monkeypatch.setattr(module, "is_available", lambda: False)
    with pytest.raises(
        InputError, match=f"--device: {kind} is not there, or this torch was not built for it"
    ):
        run(make(), tmp_path / "out", WorkOptions(device=kind))
    with pytest.raises(InputError, match="choose the card by e.g. CUDA_VISIBLE_DEVICES=1"):
        run(make(), tmp_path / "out", WorkOptions(device="cuda:1"))


def test_a_cache_on_a_disk_that_is_read_alone(
    make: Make, work: WorkOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    (tmp_path / "cache" / "cells").mkdir(parents=True)
    monkeypatch.setattr("lmcompare.execution.run.TemporaryFile", refuse)
    with pytest.raises(
        InputError,
        match=r"cache: wanted a cache folder that can be written \(Read-only file system\)",
    ):
        run(make(), tmp_path / "out", cache=tmp_path / "cache", workers=0, options=work)


def test_a_finished_cell_that_was_damaged_is_done_again(
    make: Make, work: WorkOptions, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    run(make(), tmp_path / "out", cache=cache, workers=0, options=work)
    cell = plan(make())[0]
    assert load_cell(cache, cell, "small") is not None
    (cache / "cells" / cell.key / "run.json").write_text("{")
    assert load_cell(cache, cell, "small") is None
    run(make(), tmp_path / "out", cache=cache, workers=0, options=work)
    assert log(cache).count("do prepare") == 2
