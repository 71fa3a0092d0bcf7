"""The progress of a run at the terminal: bars, or a line now and then; and the time left."""

import sys
import time
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from lmcompare.core.cells import Cell
from lmcompare.execution.state import RunState


@dataclass
class CellProgress:
    """How far a running cell is."""

    started: float
    stage: str = "starting"
    stage_started: float = 0.0
    first_share: float = 0.0
    """share of the work that was done when the stage began"""
    share: float = 0.0
    loss: float | None = None
    tokens_per_second: float | None = None

    def update(self, event: dict[str, Any]) -> None:
        share = min(1.0, event["done"] / event["total"]) if event.get("total") else 0.0
        stage = event.get("stage", self.stage)
        if stage != self.stage or share < self.share:
            self.stage, self.stage_started, self.first_share = stage, time.monotonic(), share
        self.share, self.loss = share, event.get("loss")
        self.tokens_per_second = event.get("tokens_per_second")

    @property
    def seconds_left(self) -> float | None:
        """Seconds that the stage still takes, at its pace so far."""
        progress = self.share - self.first_share
        if progress <= 0.01:
            return None
        return (time.monotonic() - self.stage_started) * (1 - self.share) / progress

    def __str__(self) -> str:
        parts = [self.stage]
        if self.loss is not None:
            parts.append(f"loss {self.loss:.3f}")
        if self.tokens_per_second is not None:
            parts.append(f"{self.tokens_per_second:,.0f} tokens/s")
        if self.seconds_left is not None:
            parts.append(f"{clock(self.seconds_left)} left")
        return " · ".join(parts)


class ProgressDisplay:
    """One bar for each running cell and one for the run; without a terminal, lines now and then."""

    def __init__(self, state: RunState, quiet: bool = False, every: float = 30.0) -> None:
        self.state, self.quiet, self.every = state, quiet, every
        self.running: dict[str, CellProgress] = {}
        self.cells = {cell.name: cell for cell in state.cells}
        self.durations: dict[tuple[str, str, str], list[float]] = {}
        for run, _ in state.done.values():
            self._record_duration(self.cells[run.cell], run.costs.get("seconds", 0.0))
        self.bars: dict[str, TaskID] = {}
        self.live: Progress | None = None
        self.printed_at = time.monotonic()
        if not quiet and sys.stdout.isatty():
            self.live = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=20),
                TextColumn("{task.percentage:>3.0f}%"),
                TextColumn("{task.fields[status]}"),
                console=Console(),
                refresh_per_second=4,
            )
            name, total = state.experiment.name, len(state.cells)
            self.bars[""] = self.live.add_task(name, total=total, status="")

    def __enter__(self) -> "ProgressDisplay":
        if self.live:
            self.live.start()
        if self.state.done:
            self.print(f"{len(self.state.done)} of {len(self.state.cells)} cells are done already")
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self.live.stop()

    def print(self, line: str) -> None:
        """Print a line, above the bars if there are any."""
        if self.live:
            self.live.console.print(line, markup=False, highlight=False)
        elif not self.quiet:
            print(line, flush=True)

    def start(self, cell: Cell) -> None:
        now = time.monotonic()
        self.running[cell.name] = CellProgress(now, stage_started=now)
        if self.live:
            bar = self.live.add_task(f"  {cell.name}", total=1.0, status="starting")
            self.bars[cell.name] = bar

    def update(self, cell: Cell, event: dict[str, Any]) -> None:
        self.running[cell.name].update(event)
        self.tick()

    def tick(self) -> None:
        """Redraw; without a terminal, print where things stand if the last time is long ago."""
        if self.live:
            for name, progress in self.running.items():
                self.live.update(self.bars[name], completed=progress.share, status=str(progress))
            self.live.update(self.bars[""], completed=self._cells_done(), status=self._summary())
        elif not self.quiet and time.monotonic() - self.printed_at > self.every:
            self.printed_at = time.monotonic()
            for name, progress in self.running.items():
                self.print(f"{name}  {progress.share:.0%}  {progress}")
            share = self._cells_done() / len(self.cells)
            self.print(f"{self.state.experiment.name}  {share:.0%}  {self._summary()}")

    def end(self, cell: Cell, busy: bool = False) -> None:
        """A cell is done, has failed, or is being done by another run."""
        seconds = time.monotonic() - self.running.pop(cell.name).started
        if self.live:
            self.live.remove_task(self.bars.pop(cell.name))
        if busy:
            return
        if cell.name in self.state.failed:
            message = self.state.failed[cell.name][0].splitlines()[0]
            self.print(f"failed  {cell.name}  {message}")
        else:
            self._record_duration(cell, seconds)
            self.print(f"done  {cell.name}  in {clock(seconds)}  ({self._summary()})")

    def _record_duration(self, cell: Cell, seconds: float) -> None:
        if seconds:
            self.durations.setdefault(_group(cell), []).append(seconds)

    def _cells_done(self) -> float:
        return len(self.state.done) + sum(progress.share for progress in self.running.values())

    def _summary(self) -> str:
        cells = f"{len(self.state.done)} of {len(self.cells)} cells"
        left = self._seconds_left()
        return f"{cells} · about {clock(left)} left" if left else cells

    def _seconds_left(self) -> float | None:
        """Estimate the rest of the run: a cell takes the mean of its group, or of all groups."""
        means = {group: sum(times) / len(times) for group, times in self.durations.items()}
        now = time.monotonic()
        for name, progress in self.running.items():
            if progress.seconds_left is not None:
                estimate = now - progress.started + progress.seconds_left
                means.setdefault(_group(self.cells[name]), estimate)
        if not means or not self.state.left:
            return None
        overall = sum(means.values()) / len(means)
        total = 0.0
        for cell in self.state.left:
            seconds = means.get(_group(cell), overall)
            if running := self.running.get(cell.name):
                rest = max(0.0, seconds - (now - running.started))
                seconds = rest if running.seconds_left is None else running.seconds_left
            total += seconds
        return total / max(1, min(len(self.running), len(self.state.left)))


def _group(cell: Cell) -> tuple[str, str, str]:
    """Return what cells that take about equally long have in common."""
    return (cell.kind, cell.task, cell.condition)


def clock(seconds: float) -> str:
    """Return minutes and seconds, or hours, minutes and seconds.

    >>> clock(63), clock(3663)
    ('1:03', '1:01:03')
    """
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d}"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
