"""Scores of completions: the type says whether a number is a log-likelihood, a bound of one, or
neither.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from lmcompare.core.errors import InputError

Method = Literal["chain", "bound", "pll", "pll-word-l2r", "pll-whole-word"]


@dataclass(frozen=True)
class Scores:
    """The scores of one completion, token by token."""

    tokens: NDArray[np.float64]
    """(t,) nats for each token of the completion"""
    exactness: str
    """'exact', 'chain' (a proper likelihood given the number of tokens), 'bound' or 'pseudo'"""
    completion_bytes: int
    """UTF-8 bytes of the completion"""
    method: str = field(default="", kw_only=True)
    """by which a masked model scored it; '' for the others"""

    @property
    def sum(self) -> float:
        """The nats of all tokens."""
        return float(self.tokens.sum())

    @property
    def exact(self) -> bool:
        """Whether ``sum`` is log p(completion given prompt) itself."""
        return self.exactness == "exact"


@dataclass(frozen=True)
class LogLikelihood(Scores):
    """log p(completion given prompt): the tokens' nats are conditionals, and they add up.

    >>> score = LogLikelihood(np.log([0.5, 0.125]), "exact", 4)
    >>> round(score.perplexity, 6), score.bits_per_byte, score.exact
    (4.0, 1.0, True)
    """

    comparison: ClassVar[str] = "="

    @property
    def bits_per_byte(self) -> float:
        """-log2 p for each UTF-8 byte: comparable across tokenizers."""
        return float(-self.sum / np.log(2) / self.completion_bytes)

    @property
    def perplexity(self) -> float:
        """Exp of the mean -log p of a token. Of a chain: of the completion given its length."""
        return float(np.exp(-self.tokens.mean()))


@dataclass(frozen=True)
class LikelihoodBound(LogLikelihood):
    """A seeded estimate of the any-order bound: log p(completion given prompt) is at least ``sum``
    in expectation.

    So ``bits_per_byte`` and ``perplexity`` are to be printed with '<=' (``comparison``), and with
    ``error``.
    """

    comparison: ClassVar[str] = "<="

    draws: int = field(default=1, kw_only=True)
    """number of random sets of masked positions"""
    error: float = field(default=float("nan"), kw_only=True)
    """standard error of ``sum``, nats; NaN for one draw"""


@dataclass(frozen=True)
class PseudoLogLikelihood(Scores):
    """Pseudo-log-likelihood (Salazar et al. 2020): ranks sentences, is no log-probability of them.

    Each token is predicted while most of the others, later ones too, are read; the product of such
    conditionals is no distribution over texts. So ``perplexity`` and ``bits_per_byte`` raise an
    InputError.
    """

    @property
    def perplexity(self) -> float:
        raise self._refusal("perplexity")

    @property
    def bits_per_byte(self) -> float:
        raise self._refusal("bits_per_byte")

    def _refusal(self, name: str) -> InputError:
        return InputError(
            f"{name}: a pseudo-log-likelihood (method {self.method!r}) is not the log-probability "
            "of a text and has none; wanted method 'chain' or 'bound'"
        )


def exactness_of(exactness: str, method: Method | None) -> str:
    """Return what a method's numbers are, given what the objective's own are.

    >>> [exactness_of("chain", method) for method in (None, "chain", "bound", "pll")]
    ['chain', 'chain', 'bound', 'pseudo']
    """
    return exactness if method in (None, "chain") else "bound" if method == "bound" else "pseudo"


def typed_scores(
    tokens: NDArray[np.float64],
    exactness: str,
    completion_bytes: int,
    *,
    method: Method | None,
    parts: NDArray[np.float64],
) -> Scores:
    """Return scores as the type that says what they are; ``parts`` are the sums of the examples, of
    'bound' the draws.
    """
    kind = exactness_of(exactness, method)
    if kind == "pseudo":
        return PseudoLogLikelihood(tokens, kind, completion_bytes, method=method or "")
    if kind == "bound":
        draws = len(parts)
        error = float(parts.std(ddof=1) * np.sqrt(draws)) if draws > 1 else float("nan")
        return LikelihoodBound(
            tokens, kind, completion_bytes, method="bound", draws=draws, error=error
        )
    return LogLikelihood(tokens, kind, completion_bytes, method=kind if kind == "chain" else "")


@dataclass(frozen=True)
class RankedCompletion:
    """One choice of ``rank``."""

    text: str
    index: int
    """its place among the choices as given"""
    score: float
    """what it was ranked by: nats ('sum', 'unconditional'), nats a token or nats a byte"""
    scores: Scores
    """of the choice after the prompt"""


@dataclass(frozen=True)
class BitsPerByte:
    """Bits per byte of texts."""

    bits: NDArray[np.float64]
    """(texts,) -log2 p of each text"""
    bytes: NDArray[np.int64]
    """(texts,) UTF-8 bytes of each text"""
    exactness: str
    """'exact', 'chain' or 'bound' (then the value is at most as large: print '<=')"""
    context: int | None
    """tokens that the network may read at once, its own special tokens included; None: any number
    """
    stride: int | None
    """tokens scored in each window after the first"""

    @property
    def value(self) -> float:
        """Bits of all texts over bytes of all texts."""
        return float(self.bits.sum() / self.bytes.sum())
