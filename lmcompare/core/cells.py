"""A cell: one content-addressed piece of work, and where it is done."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from lmcompare.core import settings

Progress = Callable[[dict[str, Any]], None]
"""Receives {"done", "total", "stage", "loss", "tokens_per_second"} while a cell is running."""


@dataclass(frozen=True)
class Cell:
    """One piece of work, done once and kept under its key."""

    name: str
    """'prepare', 'pretrain/<model>/<seed>', '<task>/<model>/<seed>/<condition>' or
    '<task>/control'"""
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


class CellSettings(Protocol):
    """What the work of a cell and its cost depend on; ``experiments.Experiment`` has it."""

    @property
    def name(self) -> str:
        """Of the experiment."""

    @property
    def corpus(self) -> settings.CorpusSettings:
        """The text that every objective is trained on."""

    @property
    def tokenizer(self) -> settings.TokenizerSettings:
        """The shared tokenizer."""

    @property
    def sequence(self) -> settings.SequenceSettings:
        """How documents are packed into sequences."""

    @property
    def training(self) -> settings.TrainingSettings:
        """How models are trained that do not say otherwise."""

    @property
    def models(self) -> dict[str, settings.ModelSettings]:
        """The models under comparison, by name."""

    @property
    def tasks(self) -> Any:
        """The tasks, by name."""

    def network_of(self, model: str) -> settings.NetworkSettings:
        """Return the sizes of a model's network."""

    def training_of(self, model: str) -> settings.TrainingSettings:
        """Return how a model is trained."""
