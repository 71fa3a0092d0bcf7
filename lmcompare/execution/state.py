"""How far a run is: what is done, what failed, what is left; and the rows in its folder."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from filelock import FileLock

from lmcompare.core.errors import InputError, LmcompareError
from lmcompare.core.records import Run, to_frame, write_atomically, write_records, write_runs
from lmcompare.execution.cells import Cell, home, load
from lmcompare.experiments.experiment import Experiment


@dataclass
class RunState:
    """What is done, what failed, what is left."""

    experiment: Experiment
    output: Path
    cache: Path
    header: str
    cells: list[Cell]
    done: dict[str, tuple[Run, pd.DataFrame]]
    failed: dict[str, tuple[str, int]]

    @property
    def left(self) -> list[Cell]:
        """The cells that may still be done."""
        lost = set(self.failed)
        left = []
        for cell in self.cells:
            if lost & set(cell.needs):
                lost.add(cell.name)
            elif cell.name not in lost and cell.name not in self.done:
                left.append(cell)
        return left

    def finish(self, cell: Cell) -> None:
        """Take up a finished cell and write the rows of all finished ones."""
        found = load(self.cache, cell, self.experiment.name)
        if found is None:
            self.failed[cell.name] = (
                "finished, but what it wrote cannot be read; run it once more",
                1,
            )
            return
        self.done[cell.name] = found
        self.write()

    def write(self) -> None:
        """Write the three files that the report is made from, together: a reader that locks sees them agree."""
        frames = [frame for _, frame in self.done.values() if len(frame)]
        with locked(self.output):
            write_atomically(
                self.output / "experiment.yaml", (self.header + self.experiment.dump()).encode()
            )
            write_runs(self.output / "runs.jsonl", [run for run, _ in self.done.values()])
            write_records(
                self.output / "records.parquet", pd.concat(frames) if frames else to_frame([])
            )
            self._link_weights()

    def _link_weights(self) -> None:
        """Let ``weights/<model>-<seed>`` lead to each trained network in the cache, for ``lmcompare.load``."""
        for cell in self.cells:
            weights = home(self.cache, cell) / "weights"
            if cell.name in self.done and weights.is_dir():
                link = self.output / "weights" / f"{cell.model}-{cell.seed}"
                link.parent.mkdir(exist_ok=True)
                with suppress(
                    OSError
                ):  # a file system without links: the cache has the weights all the same
                    link.unlink(missing_ok=True)
                    link.symlink_to(weights, target_is_directory=True)

    def verdict(self) -> None:
        """Raise what a person must know if a cell failed."""
        if not self.failed:
            return
        said = [f"{name}: {message}" for name, (message, _) in self.failed.items()]
        lost = [
            cell.name
            for cell in self.cells
            if cell.name not in self.done and cell.name not in self.failed
        ]
        if lost:
            said.append(
                f"{len(lost)} more need {'it' if len(said) == 1 else 'these'}: {', '.join(lost)}"
            )
        said.append(
            f"{len(self.done)} of {len(self.cells)} cells are done and kept; the same command does only the rest"
        )
        kind = InputError if all(code == 2 for _, code in self.failed.values()) else LmcompareError
        raise kind("\n".join(said))


def needed(state: RunState, cell: Cell) -> dict[str, Cell]:
    """Return the cells that ``cell`` needs, by name."""
    return {other.name: other for other in state.cells if other.name in cell.needs}


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder of results, so that two runs write into it one after the other."""
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
