"""Several objectives on one network, one after another."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lmcompare.core.errors import InputError
from lmcompare.core.settings import STRICT, Share
from lmcompare.objectives import (
    OBJECTIVES,
    Composed,
    Family,
    Objective,
    check_shared_network,
    family_of,
)


@dataclass(frozen=True)
class Stage:
    """One objective of a schedule."""

    __pydantic_config__ = STRICT

    objective: Any
    """a word of `lmcompare list objectives`, or a mapping with its `kind` and settings"""
    share: Share | None = None
    """share of the steps of training; the last stage may leave it out and takes the rest"""


@OBJECTIVES.register("schedule")
@dataclass(frozen=True)
class Schedule(Composed):
    """Train by one objective, then by another, on one network (Gisserot-Boukhlef et al. 2025).

    Causal first, then masked, is what they find best for an encoder at equal steps (arXiv
    2507.00994). The stages must fit one network, as the parts of a mixture must. The last stage
    scores, generates and encodes, and its role is the network's; validation losses are its own
    throughout. The learning rate and the order of the sequences do not restart with a stage.

    >>> from lmcompare.objectives.causal import Causal
    >>> from lmcompare.objectives.masked import Masked
    >>> rng = np.random.default_rng(0)
    >>> schedule = Schedule((Stage(Causal(), share=0.25), Stage(Masked())))
    >>> [schedule.training_objective(rng, done).kind for done in (0.0, 0.24, 0.25, 1.0)]
    ['causal', 'causal', 'masked', 'masked']
    >>> schedule.role, schedule.family
    ('encoder', 'mixed')
    """

    __pydantic_config__ = STRICT
    kind: ClassVar[str]

    stages: tuple[Stage, ...]
    """a list, each with an `objective` and its `share` of the steps"""

    def __post_init__(self) -> None:
        if len(self.stages) < 2:
            raise InputError(f"stages: wanted at least two, got {len(self.stages)}")
        missing = [i for i, stage in enumerate(self.stages[:-1]) if stage.share is None]
        if missing:
            raise InputError(
                f"stages.{missing[0]}.share: missing; only the last stage may leave it out"
            )
        total = sum(stage.share or 0.0 for stage in self.stages)
        if self.stages[-1].share is None and total >= 1:
            raise InputError(
                f"stages: wanted shares that leave some for the last stage, got a sum of {total:g}"
            )
        if self.stages[-1].share is not None and abs(total - 1) > 1e-6:
            raise InputError(f"stages: wanted shares that add up to 1, got {total:g}")
        check_shared_network([stage.objective for stage in self.stages], "stages")

    @property
    def inference_objective(self) -> Objective:
        last: Objective = self.stages[-1].objective
        return last

    @property
    def family(self) -> Family:
        return family_of([stage.objective for stage in self.stages])

    @property
    def _ends(self) -> list[float]:
        """Where each stage but the last ends."""
        return [float(end) for end in np.cumsum([stage.share for stage in self.stages[:-1]])]

    def training_objective(self, rng: np.random.Generator, progress: float) -> Objective:
        stage = int(np.searchsorted(self._ends, progress + 1e-9, side="right"))
        objective: Objective = self.stages[stage].objective
        return objective
