"""Several objectives on one network, drawn by chance."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lmcompare.core.errors import InputError, nearest
from lmcompare.core.settings import STRICT, Rate
from lmcompare.objectives import (
    OBJECTIVES,
    Composed,
    Family,
    Objective,
    check_shared_network,
    family_of,
)


@dataclass(frozen=True)
class Part:
    """One objective of a mixture."""

    __pydantic_config__ = STRICT

    objective: Any
    """a word of `lmcompare list objectives`, or a mapping with its `kind` and settings"""
    weight: Rate = 1.0
    """how often it is drawn, relative to the others"""
    name: str = ""
    """for `inference`; its kind, if left out"""


@OBJECTIVES.register("mixture")
@dataclass(frozen=True)
class Mixture(Composed):
    """Draw one of several objectives for each sequence (UL2, Tay et al. 2023, section 3.1.2).

    All parts train one network. Decoder and encoder objectives may be mixed: they are one stack
    under two masks, and each ``Example`` says which (causal and masked on one stack: GPT-BERT,
    Charpentier & Samuel 2024, section 2; there the masked part is ``shifted``). Encoder-decoder
    objectives go with their like alone. UL2's mode tokens are left out. One part, ``inference``,
    scores, generates and encodes, and its role is the network's. The loss of a step is a mean over
    all targets, so a part with few targets in a sequence counts little.

    >>> from lmcompare.objectives.causal import Causal
    >>> from lmcompare.objectives.masked import Masked
    >>> mixture = Mixture((Part(Causal(), weight=3), Part(Masked())), inference="masked")
    >>> mixture.role, mixture.exactness, mixture.family, mixture.part("causal")
    ('encoder', 'chain', 'mixed', Causal())
    """

    __pydantic_config__ = STRICT
    kind: ClassVar[str]

    parts: tuple[Part, ...]
    """a list, each with an `objective`, its `weight` (1) and its `name` (the kind)"""
    inference: str = ""
    """the name of the part that scores, generates and encodes; the first, if left out"""

    def __post_init__(self) -> None:
        if len(self.parts) < 2:
            raise InputError(f"parts: wanted at least two, got {len(self.parts)}")
        check_shared_network([part.objective for part in self.parts], "parts")
        if self.inference:
            self.part(self.inference)

    @property
    def inference_objective(self) -> Objective:
        return self.part(self.inference) if self.inference else self.parts[0].objective

    @property
    def family(self) -> Family:
        return family_of([part.objective for part in self.parts])

    def part(self, name: str) -> Objective:
        """Return the objective of the part of that name.

        Raises:
            InputError: there is none, or more than one.
        """
        named = [
            part.objective for part in self.parts if (part.name or part.objective.kind) == name
        ]
        if not named:
            names = {part.name or part.objective.kind for part in self.parts}
            raise InputError(f"inference: no part {name!r}{nearest(name, names)}")
        if len(named) > 1:
            raise InputError(
                f"inference: wanted the name of one part, got {name!r}, which {len(named)} have; "
                "name them"
            )
        objective: Objective = named[0]
        return objective

    def training_objective(self, rng: np.random.Generator, progress: float) -> Objective:
        weights = np.array([part.weight for part in self.parts])
        drawn: Objective = self.parts[rng.choice(len(weights), p=weights / weights.sum())].objective
        return drawn
