"""One cell of an experiment: what it is, where it lies when it is finished, and how it is done."""

import errno
import json
import os
import shutil
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from filelock import FileLock, Timeout

from lmcompare.core.errors import InputError, LmcompareError
from lmcompare.core.records import Cell as Cell
from lmcompare.core.records import Run, read_records, read_runs, to_frame, write_records, write_runs
from lmcompare.experiments.experiment import Experiment

PERFORM = "lmcompare.evaluation.cell_work:perform"
"""What does the work of a cell; its module also has the Place that it is given."""
SMALLER = "lower training.batch, raise training.accumulation, or run with --workers 1"
"""What helps against too little memory."""


@dataclass(frozen=True)
class Job:
    """A cell, and what a worker must be told to do it. All of it can be said in JSON.

    Attributes:
        cell: what to do.
        experiment: as ``Experiment.resolved`` says it.
        cache: root of the cache.
        folders: of the finished cells that it needs, by name.
        device: as in ``run``.
        trackers: as in ``run``.
        workers: how many work side by side.
        fresh: do it even if it is done.
        perform: as in ``run``.
    """

    cell: Cell
    experiment: dict[str, Any]
    cache: str
    folders: dict[str, str]
    device: str | None = None
    trackers: tuple[str, ...] = ()
    workers: int = 1
    fresh: bool = False
    perform: str = PERFORM

    def to_json(self) -> str:
        """Return one line that ``from_json`` reads back."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> "Job":
        """Read what ``to_json`` said."""
        said = json.loads(line)
        cell = Cell(**{**said["cell"], "needs": tuple(said["cell"]["needs"])})
        return cls(**{**said, "cell": cell, "trackers": tuple(said["trackers"])})


def cache_root() -> Path:
    """Return where data, weights and finished cells are kept: $LMCOMPARE_CACHE, else ~/.cache/lmcompare."""
    return (
        Path(os.environ.get("LMCOMPARE_CACHE") or Path.home() / ".cache" / "lmcompare")
        .expanduser()
        .absolute()
    )


def home(cache: Path, cell: Cell) -> Path:
    """Return the folder of a finished cell: ``run.json``, ``records.parquet`` and what the work left there."""
    return cache / "cells" / cell.key


def load(cache: Path, cell: Cell, experiment: str) -> tuple[Run, pd.DataFrame] | None:
    """Return what a finished cell found, under the names that this experiment has for it; None if it is not done."""
    try:
        (run,) = read_runs(home(cache, cell) / "run.json")
        frame = read_records(home(cache, cell) / "records.parquet")
    except (InputError, ValueError):
        return None
    names = (
        {"model": cell.model, "task": cell.task}
        if cell.kind == "task"
        else {"model": cell.model}
        if cell.model
        else {}
    )
    names |= {"task": cell.task} if cell.kind == "control" else {}
    run = replace(
        run,
        experiment=experiment,
        cell=cell.name,
        key=cell.key,
        model=cell.model,
        seed=cell.seed,
        task=cell.task,
    )
    return run, frame.assign(experiment=experiment, **names)


def do(
    job: Job,
    experiment: Experiment,
    progress: Callable[[dict[str, Any]], None],
    *,
    wait: bool = False,
    together: Callable[[], None] | None = None,
) -> Literal["done", "busy"]:
    """Do one cell, unless it is done.

    Unfinished work (weights, a checkpoint) lies in ``cells/<key>.partial``, whence the next run goes on; the folder is
    renamed when the cell is finished, so that what is there is whole.

    Args:
        job: the cell and its place.
        experiment: what the job says, read.
        progress: is told how far the work is.
        wait: if another run is doing this cell, wait for it; else return 'busy'.
        together: where several processes do each cell: returns when all have called it. Rank 0 alone writes.
    """
    final = home(Path(job.cache), job.cell)
    partial = final.with_name(f"{final.name}.partial")
    main = together is None or os.environ.get("RANK", "0") == "0"
    meet = together or (lambda: None)
    final.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{final}.lock")
    if main:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if not wait:
                return "busy"
            progress({"done": 0.0, "total": 1.0, "stage": "waiting for another run"})
            lock.acquire()
    try:
        meet()
        if not job.fresh and load(Path(job.cache), job.cell, "") is not None:
            return "done"
        if job.fresh and main:
            shutil.rmtree(partial, ignore_errors=True)
        meet()
        partial.mkdir(exist_ok=True)
        if main:
            _recover(partial / "checkpoint")
        meet()
        module, _, function = job.perform.partition(":")
        work = import_module(module)
        place = work.Place(
            cache=Path(job.cache),
            folders={name: Path(folder) for name, folder in job.folders.items()},
            folder=partial,
            device=job.device,
            progress=progress,
            trackers=job.trackers,
            workers=job.workers,
        )
        run, records = getattr(work, function)(experiment, job.cell, place)
        meet()
        if main:
            write_records(partial / "records.parquet", to_frame(records))
            write_runs(partial / "run.json", [run])
            shutil.rmtree(partial / "checkpoint", ignore_errors=True)
            if final.exists():
                old = final.with_name(f"{final.name}.old")
                shutil.rmtree(old, ignore_errors=True)
                final.rename(old)
                shutil.rmtree(old, ignore_errors=True)
            partial.rename(final)
        meet()
        return "done"
    finally:
        lock.release()


def _recover(checkpoint: Path) -> None:
    """Take up a checkpoint that was written whole, but not yet put in the place of the one before it."""
    newer = checkpoint.with_name(f"{checkpoint.name}.new")
    if (newer / "meter.json").is_file():
        shutil.rmtree(checkpoint, ignore_errors=True)
        newer.rename(checkpoint)


def explain(error: BaseException) -> tuple[str, int]:
    """Return what to say of a cell that failed, and the exit code. What nobody foresaw keeps its traceback."""
    if isinstance(error, LmcompareError):
        return str(error), error.exit_code
    if is_disk_full(error):
        return (
            "the disk is full; free some space, or set LMCOMPARE_CACHE to a folder on another disk",
            1,
        )
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{error.filename or 'a file'}: cannot be written or read ({error.strerror})", 1
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return f"out of memory; {SMALLER}", 1
    return "".join(traceback.format_exception(error)).rstrip(), 1


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error of the system or of a library means that."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return not isinstance(error, LmcompareError) and "No space left on device" in str(error)
