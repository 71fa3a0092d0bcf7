"""What a decoder may write next while it fills holes."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import LogitsProcessor

from lmcompare.core.example import Ids, SpecialTokens
from lmcompare.generation import gumbel


class Constraint(LogitsProcessor, ABC):
    """Lets only some ids be written next; draws among them at a temperature, in float64."""

    def __init__(
        self, special: SpecialTokens, temperature: float, rng: np.random.Generator
    ) -> None:
        self.special, self._temperature, self._rng = special, temperature, rng
        self._written = 0

    @abstractmethod
    def allowed(self) -> Ids:
        """Return the ids that may come next."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Leave the chosen token alone possible. Shape (1, vocabulary), in and out."""
        if self._written:
            self.took(int(input_ids[0, -1]))
        self._written += 1
        allowed = self.allowed()
        values = scores[0, torch.from_numpy(allowed).to(scores.device)].double()
        if self._temperature:
            noise = torch.from_numpy(gumbel((len(allowed),), self._rng)).to(scores.device)
            values = values / self._temperature + noise
        one = torch.full_like(scores, -torch.inf)
        one[0, int(allowed[int(values.argmax())])] = 0.0
        return one

    def took(self, token: int) -> None:
        """Be told what was written."""


class SpanConstraint(Constraint):
    """A span of ordinary tokens for each hole, then the next sentinel; after the last, eos (or a further sentinel).

    Args:
        sizes: tokens of each hole; None: at least one and at most ``most``, until the end is the best next token.
        most: tokens of a hole of unknown length.
        special: of the vocabulary.
        temperature: 0 takes the best token.
        rng: of the drawing.
    """

    def __init__(
        self,
        sizes: Sequence[int | None],
        most: int,
        special: SpecialTokens,
        temperature: float,
        rng: np.random.Generator,
    ) -> None:
        super().__init__(special, temperature, rng)
        self.longest = [most if size is None else size for size in sizes]
        self._least = [1 if size is None else size for size in sizes]
        self._hole, self._count = 0, 0

    def allowed(self) -> Ids:
        """Return ordinary tokens, the end of the hole, or both."""
        if self._hole == len(self.longest):
            return np.array([self.special.eos])
        end = [*self.special.sentinels[self._hole + 1 : self._hole + 2]]
        if self._hole + 1 == len(self.longest):
            free = self._least[self._hole] < self.longest[self._hole]
            end = [self.special.eos, *(end if free else [])]
        if self._count < self._least[self._hole]:
            return self.special.ordinary
        if self._count == self.longest[self._hole]:
            return np.array(end)
        return np.append(self.special.ordinary, end)

    def took(self, token: int) -> None:
        """Count it, or go on to the next hole."""
        ends = token == self.special.eos or token in self.special.sentinels
        self._hole, self._count = (self._hole + 1, 0) if ends else (self._hole, self._count + 1)


class TemplateConstraint(Constraint):
    """A given text, free (any ordinary token) where the plan says -1."""

    def __init__(
        self, plan: Ids, special: SpecialTokens, temperature: float, rng: np.random.Generator
    ) -> None:
        super().__init__(special, temperature, rng)
        self._plan = plan

    def allowed(self) -> Ids:
        """Return the one token of the plan, or all ordinary ones."""
        token = self._plan[self._written - 1]
        return self.special.ordinary if token < 0 else np.array([token])
