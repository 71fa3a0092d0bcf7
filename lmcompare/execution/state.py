"""The state of a run: which cells are done, failed or left; and the rows in its results folder."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock

from lmcompare.core.cells import Cell
from lmcompare.core.errors import InputError, LmcompareError
from lmcompare.core.records import Run, to_frame, write_atomically, write_records, write_runs
from lmcompare.execution.jobs import Job, WorkOptions, cell_folder, load_cell
from lmcompare.experiments.experiment import Experiment


@dataclass
class RunState:
    """Which cells are done, failed or left."""

    experiment: Experiment
    output: Path
    cache: Path
    header: str
    """comment lines at the head of experiment.yaml"""
    cells: list[Cell]
    done: dict[str, tuple[Run, pd.DataFrame]]
    failed: dict[str, tuple[str, int]] = field(default_factory=dict)
    """message and exit code, by cell"""

    @property
    def left(self) -> list[Cell]:
        """The cells that may still be done: none that needs a failed one."""
        lost = set(self.failed)
        left = []
        for cell in self.cells:
            if lost & set(cell.needs):
                lost.add(cell.name)
            elif cell.name not in lost and cell.name not in self.done:
                left.append(cell)
        return left

    @cached_property
    def _settings(self) -> dict[str, Any]:
        return self.experiment.resolved()

    def job(self, cell: Cell, options: WorkOptions) -> Job:
        """Return the job of a cell whose needs are done."""
        folders = {
            other.name: str(cell_folder(self.cache, other))
            for other in self.cells
            if other.name in cell.needs
        }
        return Job(cell, self._settings, str(self.cache), folders, options)

    def finish(self, cell: Cell) -> None:
        """Load the results of a finished cell and write the rows of all finished ones."""
        results = load_cell(self.cache, cell, self.experiment.name)
        if results is None:
            message = "finished, but what it wrote cannot be read; run it once more"
            self.failed[cell.name] = (message, 1)
            return
        self.done[cell.name] = results
        self.write()

    def write(self) -> None:
        """Write the three files that the report is made from, under one lock."""
        frames = [frame for _, frame in self.done.values() if len(frame)]
        records = pd.concat(frames) if frames else to_frame([])
        with locked(self.output):
            settings = self.header + self.experiment.dump()
            write_atomically(self.output / "experiment.yaml", settings.encode())
            write_runs(self.output / "runs.jsonl", [run for run, _ in self.done.values()])
            write_records(self.output / "records.parquet", records)
            self._link_weights()

    def _link_weights(self) -> None:
        """Link ``weights/<model>-<seed>`` to each trained network in the cache, for ``load``."""
        for cell in self.cells:
            weights = cell_folder(self.cache, cell) / "weights"
            if cell.name not in self.done or not weights.is_dir():
                continue
            link = self.output / "weights" / f"{cell.model}-{cell.seed}"
            link.parent.mkdir(exist_ok=True)
            with suppress(OSError):  # a file system without links: the cache has the weights
                link.unlink(missing_ok=True)
                link.symlink_to(weights, target_is_directory=True)

    def raise_failures(self) -> None:
        """Raise one error that names every failed cell and what was lost with it.

        Raises:
            InputError: the user's input is to blame for all of them.
            LmcompareError: otherwise.
        """
        if not self.failed:
            return
        lines = [f"{name}: {message}" for name, (message, _) in self.failed.items()]
        lost = [
            cell.name
            for cell in self.cells
            if cell.name not in self.done and cell.name not in self.failed
        ]
        if lost:
            needed = "it" if len(self.failed) == 1 else "these"
            lines.append(f"{len(lost)} more need {needed}: {', '.join(lost)}")
        lines.append(
            f"{len(self.done)} of {len(self.cells)} cells are done and kept; the same command does "
            "only the rest"
        )
        users_fault = all(code == InputError.exit_code for _, code in self.failed.values())
        raise (InputError if users_fault else LmcompareError)("\n".join(lines))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a folder of results, so that two runs write into it one after the other."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        lock.acquire()
    except OSError as error:
        raise InputError(
            f"{folder}: wanted a folder that can be written ({error.strerror})"
        ) from error
    try:
        yield
    finally:
        lock.release()
