"""From a prompt to new tokens: left to right, or by unmasking; and holes in a text, filled."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lmcompare.core.example import Ids


@dataclass(frozen=True)
class DecodedTokens:
    """New tokens and what they cost.

    Attributes:
        tokens: one row a prompt, special tokens left out of what may be drawn.
        calls: forward passes for each sequence (of the longest, if they differ); a beam counts as a sequence.
        seconds: for all sequences together.
        scores: for each row log p (nats) of each token when it was last drawn, among ordinary tokens; [] if not asked.
        exactness: what the sum of a row's scores is: 'chain' (a proper log-likelihood of the tokens in the order in
            which they were drawn, given their number), 'pseudo' (it is none), or '' if there are none.
    """

    tokens: list[Ids]
    calls: int
    seconds: float
    scores: list[NDArray[np.float64]] = field(default_factory=list)
    exactness: str = ""


def gumbel(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw Gumbel noise in float64: float32 cuts its tail, which lowers diversity (Zheng et al. 2024, section 4).

    The largest of ``log p / temperature + gumbel`` is a draw from p ** (1 / temperature), normalised.
    """
    # In (0, 1]: a draw of exactly 0 would be a noise of minus infinity, which never wins, anyway.
    return -np.log(
        -np.log(np.maximum(rng.random(shape, dtype=np.float64), np.finfo(np.float64).tiny))
    )


def cut(text: str, stop: Sequence[str]) -> str:
    """Return the text before the first of the stop strings in it.

    >>> cut("one. two; three", ["; ", ". "])
    'one'
    """
    places = [place for word in stop if (place := text.find(word)) >= 0]
    return text[: min(places)] if places else text
