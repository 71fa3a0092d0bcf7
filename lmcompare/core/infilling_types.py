"""Types of infilling: a span between two contexts, a template with masked spans, and its fills."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lmcompare.core.example import Example, Ids, SpecialTokens

AllowedTokens = Callable[[Ids], Ids]
"""From the tokens written so far to the ids of which the next one must be."""


@dataclass(frozen=True)
class SpanInContext:
    """A text in tokens, cut in three."""

    left: Ids
    """(l,) ids before the span; there may be none"""
    span: Ids
    """(n,) ids of the span, at least one"""
    right: Ids
    """(r,) ids after the span; there may be none"""
    ends_text: bool = False
    """whether the text ends after the right context, so that an objective that ends its texts reads
    eos there
    """


@dataclass(frozen=True)
class InfillingTemplate:
    """A text with masked spans, as ids.

    >>> template = InfillingTemplate([np.array([5]), np.array([8, 9])], [2])
    >>> template.filled([np.array([6, 7])]).tolist(), template.places([np.array([6, 7])]).tolist()
    ([5, 6, 7, 8, 9], [1, 2])
    """

    parts: list[Ids]
    """the text before, between and after the spans: one more than there are spans"""
    lengths: list[int | None]
    """tokens of each span; None if unknown"""

    def filled(self, spans: Sequence[Ids]) -> Ids:
        """Return the whole text with these spans."""
        pieces = [self.parts[0]]
        for part, span in zip(self.parts[1:], spans, strict=True):
            pieces += [span, part]
        return np.concatenate(pieces).astype(np.int64)

    def places(self, spans: Sequence[Ids]) -> Ids:
        """Return where the tokens of the spans stand in the whole text."""
        inside = [np.zeros(len(self.parts[0]), dtype=bool)]
        for part, span in zip(self.parts[1:], spans, strict=True):
            inside += [np.ones(len(span), dtype=bool), np.zeros(len(part), dtype=bool)]
        return np.flatnonzero(np.concatenate(inside))


@dataclass(frozen=True)
class FilledSpans:
    """The tokens of each span of a template, and how likely they are."""

    spans: list[Ids]
    score: float
    """log p (nats) of all spans, see ``exactness``"""
    exactness: str
    """'exact', 'chain' (a proper log-likelihood in the order of filling, given the lengths) or
    'pseudo' (none)
    """
    calls: int
    """forward passes"""
    handicap: str = ""
    """what an objective of this kind could not do"""


@dataclass(frozen=True)
class Unmasked:
    """The best of some examples, its masks filled."""

    index: int
    tokens: Ids
    """one for each mask"""
    log_p: NDArray[np.float64]
    """(masks,) nats of each token when it was drawn"""
    exactness: str
    calls: int


class InfillingNetwork(Protocol):
    """What an objective may let its network do while it fills spans."""

    special: SpecialTokens
    lengths: list[int]
    """the lengths to try for a span of unknown length; the largest is the most that a decoder
    writes
    """
    seed: int

    def unmask(self, candidates: Sequence[Example], *, shift: int = 0) -> Unmasked:
        """Fill the masks among the inputs of each candidate; return that of the highest mean log p
        a token.

        A mask is predicted ``shift`` places to its left.
        """

    def write(
        self,
        prompt: Example,
        length: int,
        *,
        rng: np.random.Generator,
        allowed: AllowedTokens | None = None,
        ends: bool = False,
    ) -> Ids:
        """Write up to ``length`` tokens after the prompt, autoregressively.

        The tokens are those that ``allowed`` lets through; without it ordinary ones, and if
        ``ends``, eos after at least one of them. Writing stops at eos, which is returned too.
        """

    def log_likelihood(self, examples: Sequence[Example]) -> float:
        """Return log p (nats) of all targets.

        Raises:
            InputError: the context does not hold an example.
        """

    def check_fits(self, example: Example) -> None:
        """Refuse an example that the context does not hold.

        Raises:
            InputError: as it says.
        """
