"""What the person at the terminal sees of a run."""

import sys
import time
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from lmcompare.execution.cells import Cell
from lmcompare.execution.state import RunState


@dataclass
class StallWatch:
    """A cell that runs: since when this stage of it runs, from where, and how far it is."""

    began: float
    stage: str = "starting"
    since: float = 0.0
    first: float = 0.0
    share: float = 0.0
    loss: float | None = None
    speed: float | None = None

    @property
    def left(self) -> float | None:
        """Seconds that the stage still takes, at the pace so far."""
        gone = self.share - self.first
        return (time.monotonic() - self.since) * (1 - self.share) / gone if gone > 0.01 else None

    def __str__(self) -> str:
        parts = [self.stage]
        parts += [] if self.loss is None else [f"loss {self.loss:.3f}"]
        parts += [] if self.speed is None else [f"{self.speed:,.0f} tokens/s"]
        parts += [] if self.left is None else [f"{clock(self.left)} left"]
        return " · ".join(parts)


class ProgressDisplay:
    """One bar for each running cell and one for the whole run; where there is no terminal, a line now and then."""

    def __init__(self, state: RunState, quiet: bool = False, every: float = 30.0) -> None:
        self.state, self.quiet, self.every = state, quiet, every
        self.running: dict[str, StallWatch] = {}
        self.cells = {cell.name: cell for cell in state.cells}
        self.seconds: dict[tuple[str, str, str], list[float]] = {}
        for run, _ in state.done.values():
            self._learn(self.cells[run.cell], run.costs.get("seconds", 0.0))
        self.bars: dict[str, TaskID] = {}
        self.live: Progress | None = None
        self.said = time.monotonic()
        if not quiet and sys.stdout.isatty():
            columns = (
                TextColumn("{task.description}"),
                BarColumn(bar_width=20),
                TextColumn("{task.percentage:>3.0f}%"),
            )
            self.live = Progress(
                *columns, TextColumn("{task.fields[said]}"), console=Console(), refresh_per_second=4
            )
            self.bars[""] = self.live.add_task(
                state.experiment.name, total=len(state.cells), said=""
            )

    def __enter__(self) -> "ProgressDisplay":
        if self.live:
            self.live.start()
        if self.state.done:
            self.say(f"{len(self.state.done)} of {len(self.state.cells)} cells are done already")
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self.live.stop()

    def say(self, line: str) -> None:
        """Print a line, above the bars if there are any."""
        if self.live:
            self.live.console.print(line, markup=False, highlight=False)
        elif not self.quiet:
            print(line, flush=True)

    def start(self, cell: Cell) -> None:
        """A cell begins."""
        now = time.monotonic()
        self.running[cell.name] = StallWatch(now, since=now)
        if self.live:
            self.bars[cell.name] = self.live.add_task(f"  {cell.name}", total=1.0, said="starting")

    def update(self, cell: Cell, event: dict[str, Any]) -> None:
        """A cell says how far it is."""
        watch = self.running[cell.name]
        share = min(1.0, event["done"] / event["total"]) if event.get("total") else 0.0
        if event.get("stage", watch.stage) != watch.stage or share < watch.share:
            watch.stage, watch.since, watch.first = (
                event.get("stage", watch.stage),
                time.monotonic(),
                share,
            )
        watch.share, watch.loss, watch.speed = (
            share,
            event.get("loss"),
            event.get("tokens_per_second"),
        )
        self.tick()

    def tick(self) -> None:
        """Show where things stand, if it is time."""
        if self.live:
            for name, watch in self.running.items():
                self.live.update(self.bars[name], completed=watch.share, said=str(watch))
            self.live.update(self.bars[""], completed=self._share(), said=self._whole())
        elif not self.quiet and time.monotonic() - self.said > self.every:
            self.said = time.monotonic()
            for name, watch in self.running.items():
                self.say(f"{name}  {watch.share:.0%}  {watch}")
            self.say(
                f"{self.state.experiment.name}  {self._share() / len(self.cells):.0%}  {self._whole()}"
            )

    def end(self, cell: Cell, busy: bool = False) -> None:
        """A cell is done, has failed, or is being done by another run."""
        took = time.monotonic() - self.running.pop(cell.name).began
        if self.live:
            self.live.remove_task(self.bars.pop(cell.name))
        if busy:
            return
        if cell.name in self.state.failed:
            self.say(f"failed  {cell.name}  {self.state.failed[cell.name][0].splitlines()[0]}")
        else:
            self._learn(cell, took)
            self.say(f"done  {cell.name}  in {clock(took)}  ({self._whole()})")

    def _learn(self, cell: Cell, seconds: float) -> None:
        if seconds:
            self.seconds.setdefault((cell.kind, cell.task, cell.condition), []).append(seconds)

    def _share(self) -> float:
        return len(self.state.done) + sum(watch.share for watch in self.running.values())

    def _whole(self) -> str:
        said = f"{len(self.state.done)} of {len(self.cells)} cells"
        left = self._left()
        return f"{said} · about {clock(left)} left" if left else said

    def _left(self) -> float | None:
        """Seconds for the whole run: each cell takes what others of its kind took; None until there is one to go by."""
        known = {group: sum(all_took) / len(all_took) for group, all_took in self.seconds.items()}
        for name, watch in self.running.items():
            cell = self.cells[name]
            if watch.left is not None:
                known.setdefault(
                    (cell.kind, cell.task, cell.condition),
                    time.monotonic() - watch.began + watch.left,
                )
        if not known or not self.state.left:
            return None
        other = sum(known.values()) / len(known)
        total = 0.0
        for cell in self.state.left:
            takes = known.get((cell.kind, cell.task, cell.condition), other)
            watching = self.running.get(cell.name)
            if watching:
                gone = time.monotonic() - watching.began
                takes = watching.left if watching.left is not None else max(0.0, takes - gone)
            total += takes
        return total / max(1, min(len(self.running), len(self.state.left)))


def clock(seconds: float) -> str:
    """Return minutes and seconds, or hours, minutes and seconds.

    >>> clock(63), clock(3663)
    ('1:03', '1:01:03')
    """
    minutes, rest = divmod(round(seconds), 60)
    return (
        f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
        if minutes >= 60
        else f"{minutes}:{rest:02d}"
    )
