"""A cell: one content-addressed piece of work, and where it is done."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Progress = Callable[[dict[str, Any]], None]
"""Receives {"done", "total", "stage", "loss", "tokens_per_second"} while a cell is running."""


@dataclass(frozen=True)
class Cell:
    """One piece of work, done once and kept under its key."""

    name: str
    """'prepare', 'pretrain/<model>/<seed>', '<task>/<model>/<seed>/<condition>', '<task>/control'"""
    kind: Literal["prepare", "pretrain", "task", "control"]
    model: str
    """'' if the cell belongs to none; likewise `task`"""
    seed: int
    """0 if the cell has none"""
    task: str
    condition: str
    """'pretrained', 'scratch', 'control' or ''"""
    needs: tuple[str, ...]
    """names of the cells that must be finished before"""
    key: str
    """content hash of everything that the result depends on"""


@dataclass(frozen=True)
class CellContext:
    """Where a cell does its work."""

    cache: Path
    """root of the cache"""
    folders: dict[str, Path]
    """folders of the finished cells that this one needs, by name"""
    folder: Path
    """where this cell puts weights and checkpoints"""
    device: str | None = None
    """'cpu', 'cuda', ...; None: the best there is"""
    progress: Progress = lambda event: None
    trackers: tuple[str, ...] = ()
    """names of trackers that accelerate knows"""
    workers: int = 1
    """processes that work side by side on this machine"""
