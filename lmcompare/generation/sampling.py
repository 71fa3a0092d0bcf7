"""Sampling settings, and the result of decoding."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Real

import numpy as np
from numpy.typing import NDArray

from lmcompare.core.errors import InputError, not_whole
from lmcompare.core.example import Ids


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn; ``strategy`` and ``steps`` are of unmasking, beams, top_k, top_p,
    may_end and stop of autoregressive decoding.

    Raises:
        InputError: all settings that cannot be, at once.
    """

    length: int = 64
    """new tokens, at most"""
    temperature: float = 1.0
    """0 takes the best token, 1 samples from the network's own distribution"""
    top_k: int = 0
    """draw from the k likeliest tokens alone; 0 for all"""
    top_p: float = 1.0
    """draw from the likeliest tokens that hold this share of the probability (Holtzman et al. 2020)
    """
    beams: int = 1
    """width of a beam search; more than one needs temperature 0"""
    may_end: bool = False
    """whether eos may be drawn, which ends the text and is left out of it"""
    stop: Sequence[str] = ()
    """strings that end a text as soon as it holds one"""
    strategy: str = "confidence"
    """the order of unmasking: one of ``unmasking.STRATEGIES``"""
    steps: int | None = None
    """forward passes of unmasking; None: what the strategy says"""
    seed: int = 0
    """row i draws from a generator of (seed, i), in float64, so no draw depends on its batch"""

    def __post_init__(self) -> None:
        problems = not_whole("length", self.length, 1)
        problems += [] if self.steps is None else not_whole("steps", self.steps, 1)
        for name, least in (("beams", 1), ("top_k", 0), ("seed", 0)):
            problems += not_whole(name, getattr(self, name), least)
        if not (isinstance(self.temperature, Real) and self.temperature >= 0):
            problems.append(f"temperature: wanted 0 or more, got {self.temperature}")
        if not (isinstance(self.top_p, Real) and 0 < self.top_p <= 1):
            problems.append(f"top_p: wanted more than 0 and at most 1, got {self.top_p}")
        if "" in self.stop:
            problems.append("stop: wanted texts that end a continuation, got an empty one")
        if problems:
            raise InputError(*problems)

    def rng(self, row: int) -> np.random.Generator:
        """Return the generator of a row."""
        return np.random.default_rng([self.seed, row])

    def check_without_unmasking(self, verb: str, kind: str) -> None:
        """Refuse settings of unmasking for a model that decodes otherwise.

        Raises:
            InputError: a strategy other than the default, or steps.
        """
        if self.strategy != "confidence" or self.steps is not None:
            raise InputError(
                f"{verb}: strategy and steps are for a masked model, which decodes by unmasking; "
                f"wanted neither for {kind!r}, got strategy {self.strategy!r} and steps "
                f"{self.steps}"
            )


@dataclass(frozen=True)
class DecodedTokens:
    """New tokens and what they cost."""

    tokens: list[Ids]
    """one row a prompt"""
    calls: int
    """forward passes for each sequence (of the longest, if they differ); a beam counts as a
    sequence
    """
    seconds: float
    """for all sequences together"""
    scores: list[NDArray[np.float64]] = field(default_factory=list)
    """for each row log p (nats) of each token when it was last drawn, among ordinary tokens; of
    unmasking alone
    """
    exactness: str = ""
    """what the sum of a row's scores is: 'chain' (a proper log-likelihood of the tokens in the
    order in which they were drawn, given their number), 'pseudo' (it is none), or '' if there are
    none"""


def gumbel(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw Gumbel noise in float64: float32 cuts its tail, which lowers diversity (Zheng et al.
    2024, section 4).

    The largest of ``log p / temperature + gumbel`` is a draw from p ** (1 / temperature),
    normalized.
    """
    # In (0, 1]: a uniform draw of exactly 0 would be noise of minus infinity, which never wins
    # anyway.
    uniform = np.maximum(rng.random(shape, dtype=np.float64), np.finfo(np.float64).tiny)
    return -np.log(-np.log(uniform))


def cut_at_stop(text: str, stop: Sequence[str]) -> str:
    """Return the text before the first of the stop strings in it.

    >>> cut_at_stop("one. two; three", ["; ", ". "])
    'one'
    """
    places = [place for word in stop if (place := text.find(word)) >= 0]
    return text[: min(places)] if places else text
