"""From a prompt to new tokens: left to right, or by unmasking."""

from dataclasses import dataclass

import numpy as np

from lmcompare.example import Ids


@dataclass(frozen=True)
class Decoded:
    """New tokens and what they cost.

    Attributes:
        tokens: one (length,) row a prompt, special tokens left out of what may be drawn.
        calls: forward passes of the network for each sequence.
        seconds: for all sequences together.
    """

    tokens: list[Ids]
    calls: int
    seconds: float


def gumbel(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Draw Gumbel noise in float64: float32 cuts its tail, which lowers diversity (Zheng et al. 2024, section 4)."""
    return -np.log(-np.log(rng.random(shape, dtype=np.float64)))
