"""A cell's job, its folder in the cache, and doing it exactly once."""

import errno
import json
import os
import shutil
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from filelock import FileLock, Timeout

from lmcompare.core.cells import Cell, CellContext, Progress
from lmcompare.core.errors import InputError, LmcompareError
from lmcompare.core.records import (
    Record,
    Run,
    read_records,
    read_runs,
    to_frame,
    write_records,
    write_runs,
)
from lmcompare.experiments.experiment import Experiment

if TYPE_CHECKING:
    import pandas as pd

PERFORM = "lmcompare.evaluation.cell_work:perform"
"""'module:function' that does the work of a cell: (experiment, cell, context) -> run, records."""
LESS_MEMORY = (
    "lower training.batch_size, raise training.gradient_accumulation_steps, or run with --workers 1"
)


@dataclass(frozen=True)
class WorkOptions:
    """How the cells of a run are done; the same for all of them."""

    device: str | None = None
    """'cpu', 'cuda', 'mps', 'xpu'; None: the best there is"""
    trackers: tuple[str, ...] = ()
    """names of trackers that accelerate knows"""
    fresh: bool = False
    """do cells again even if they are done"""
    perform: str = PERFORM
    workers: int = 1
    """processes that work side by side on this machine"""


@dataclass(frozen=True)
class Job:
    """A cell and everything that a worker needs to do it; serializable as one line of JSON."""

    cell: Cell
    experiment: dict[str, Any]
    """as `Experiment.resolved` returns it"""
    cache: str
    folders: dict[str, str]
    """folders of the finished cells that this one needs, by name"""
    options: WorkOptions = WorkOptions()

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> "Job":
        fields = json.loads(line)
        cell = fields["cell"] | {"needs": tuple(fields["cell"]["needs"])}
        options = fields["options"] | {"trackers": tuple(fields["options"]["trackers"])}
        return cls(**fields | {"cell": Cell(**cell), "options": WorkOptions(**options)})


def cache_root() -> Path:
    """Return where data, weights and cells are kept: $LMCOMPARE_CACHE, else ~/.cache/lmcompare."""
    root = os.environ.get("LMCOMPARE_CACHE") or Path.home() / ".cache" / "lmcompare"
    return Path(root).expanduser().absolute()


def cell_folder(cache: Path, cell: Cell) -> Path:
    """Return the folder of a finished cell: ``run.json``, ``records.parquet``, maybe weights."""
    return cache / "cells" / cell.key


def is_done(cache: Path, cell: Cell) -> bool:
    """Whether a cell has been done; its results are not read."""
    folder = cell_folder(cache, cell)
    return (folder / "run.json").is_file() and (folder / "records.parquet").is_file()


def load_cell(cache: Path, cell: Cell, experiment: str) -> "tuple[Run, pd.DataFrame] | None":
    """Return the results of a finished cell under this experiment's names; None if there are none.

    Experiments share cells, whatever names they give to models and tasks.
    """
    try:
        (run,) = read_runs(cell_folder(cache, cell) / "run.json")
        records = read_records(cell_folder(cache, cell) / "records.parquet")
    except (InputError, ValueError):
        return None
    names: dict[str, Any] = {"experiment": experiment}
    if cell.model:
        names["model"] = cell.model
    if cell.task:
        names["task"] = cell.task
    run = replace(
        run,
        experiment=experiment,
        cell=cell.name,
        key=cell.key,
        model=cell.model,
        seed=cell.seed,
        task=cell.task,
    )
    return run, records.assign(**names)


def run_cell(
    job: Job,
    experiment: Experiment,
    progress: Progress,
    *,
    wait: bool = False,
    barrier: Callable[[], None] | None = None,
) -> Literal["done", "busy"]:
    """Do one cell, unless it is done.

    Unfinished work (weights, a checkpoint) lies in ``cells/<key>.partial``, from where the next run
    resumes; the folder is renamed when the cell is finished, so what has its final name is whole.

    Args:
        job: the cell and its place.
        experiment: the parsed ``job.experiment``.
        progress: receives how far the work is.
        wait: if another run is doing this cell, wait for it; else return 'busy'.
        barrier: under torchrun, where all processes do each cell together, returns when all have
            called it. Rank 0 alone locks and writes.
    """
    cache = Path(job.cache)
    final = cell_folder(cache, job.cell)
    partial = final.with_name(f"{final.name}.partial")
    main = barrier is None or os.environ.get("RANK", "0") == "0"
    synchronize = barrier or (lambda: None)

    # One process in the world works on a cell.
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
        synchronize()
        if not job.options.fresh and load_cell(cache, job.cell, "") is not None:
            return "done"

        # Resume from the checkpoint of an interrupted run, if there is one.
        if job.options.fresh and main:
            shutil.rmtree(partial, ignore_errors=True)
        synchronize()
        partial.mkdir(exist_ok=True)
        if main:
            _adopt_newer_checkpoint(partial / "checkpoint")
        synchronize()

        module, _, function = job.options.perform.partition(":")
        context = CellContext(
            cache=cache,
            folders={name: Path(folder) for name, folder in job.folders.items()},
            folder=partial,
            device=job.options.device,
            progress=progress,
            trackers=job.options.trackers,
            workers=job.options.workers,
        )
        run, records = getattr(import_module(module), function)(experiment, job.cell, context)
        synchronize()

        if main:
            _publish(partial, final, run, records)
        synchronize()
        return "done"
    finally:
        lock.release()


def _publish(partial: Path, final: Path, run: Run, records: Sequence[Record]) -> None:
    """Write the results; the rename at the end is what makes the cell finished."""
    write_records(partial / "records.parquet", to_frame(records))
    write_runs(partial / "run.json", [run])
    shutil.rmtree(partial / "checkpoint", ignore_errors=True)
    if final.exists():
        previous = final.with_name(f"{final.name}.old")
        shutil.rmtree(previous, ignore_errors=True)
        final.rename(previous)
        shutil.rmtree(previous, ignore_errors=True)
    partial.rename(final)


def _adopt_newer_checkpoint(checkpoint: Path) -> None:
    """Use a checkpoint that was written whole, but not yet renamed over the one before it."""
    newer = checkpoint.with_name(f"{checkpoint.name}.new")
    if (newer / "meter.json").is_file():
        shutil.rmtree(checkpoint, ignore_errors=True)
        newer.rename(checkpoint)


def explain(error: BaseException) -> tuple[str, int]:
    """Return the message for a failed cell and the exit code; an unforeseen error keeps its
    traceback.
    """
    if isinstance(error, LmcompareError):
        return str(error), error.exit_code
    if is_disk_full(error):
        return "the disk is full; free some space, or set LMCOMPARE_CACHE to another disk", 1
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{error.filename or 'a file'}: cannot be written or read ({error.strerror})", 1
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return f"out of memory; {LESS_MEMORY}", 1
    return "".join(traceback.format_exception(error)).rstrip(), 1


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error of the system, or of a library that hides its number, means that."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return not isinstance(error, LmcompareError) and "No space left on device" in str(error)
