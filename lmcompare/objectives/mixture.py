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
    """what `inference` calls it; its kind, if left out"""


@OBJECTIVES.register("mixture")
@dataclass(frozen=True)
class Mixture(Composed):
    """Draw one of several objectives for each block (UL2, Tay et al. 2023, section 3.1.2).

    All parts train one network. Decoder and encoder objectives go together: they are one stack under two masks, and
    each Example says which (causal and masked on one stack: GPT-BERT, Charpentier & Samuel 2024, section 2; there the
    masked part is ``shifted``). Encoder-decoder objectives go with their like alone. UL2's mode tokens are left out:
    what is asked is to be seen from the text alone.

    One part answers: it scores, decodes and reads, and its role is the network's own. Another part can be asked on
    the same network with ``part``.

    >>> from lmcompare.objectives.causal import Causal
    >>> from lmcompare.objectives.masked import Masked
    >>> mixture = Mixture((Part(Causal(), weight=3), Part(Masked())), inference="masked")
    >>> mixture.role, mixture.exactness, mixture.family, round(mixture.share, 4), mixture.part("causal")
    ('encoder', 'chain', 'mixed', 0.7875, Causal())

    A block that is asked by a part that asks little counts little: the loss of a step is over all targets alike.
    """

    __pydantic_config__ = STRICT
    kind: ClassVar[str]

    parts: tuple[Part, ...]
    """a list, each with an `objective`, its `weight` (1) and its `name` (the kind)"""
    inference: str = ""
    """the name of the part that scores, decodes and reads; the first, if left out"""

    def __post_init__(self) -> None:
        if len(self.parts) < 2:
            raise InputError(f"parts: wanted at least two, got {len(self.parts)}")
        check_shared_network([part.objective for part in self.parts], "parts")
        if self.inference:
            self.part(self.inference)

    @property
    def inference_objective(self) -> Objective:
        """The part that ``inference`` names."""
        return self.part(self.inference) if self.inference else self.parts[0].objective

    @property
    def family(self) -> Family:
        """That of all parts, or 'mixed'."""
        return family_of([part.objective for part in self.parts])

    @property
    def share(self) -> float:
        """The mean over the parts, by weight."""
        total = sum(part.weight for part in self.parts)
        return float(sum(part.weight * part.objective.share for part in self.parts) / total)

    def part(self, name: str) -> Objective:
        """Return the objective of the part of that name.

        Raises:
            InputError: there is none, or more than one.
        """
        named = [
            part.objective for part in self.parts if (part.name or part.objective.kind) == name
        ]
        if not named:
            raise InputError(
                f"inference: no part {name!r}{nearest(name, {p.name or p.objective.kind for p in self.parts})}"
            )
        if len(named) > 1:
            raise InputError(
                f"inference: wanted the name of one part, got {name!r}, which {len(named)} have; name them"
            )
        found: Objective = named[0]
        return found

    def training_objective(self, rng: np.random.Generator, progress: float) -> Objective:
        """Draw a part by weight."""
        weights = np.array([part.weight for part in self.parts])
        drawn: Objective = self.parts[rng.choice(len(weights), p=weights / weights.sum())].objective
        return drawn
