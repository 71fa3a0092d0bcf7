"""Invented sentences whose tags depend on one side alone: does attention to that side decide?"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from lmcompare.core.errors import InputError
from lmcompare.core.settings import STRICT, Positive
from lmcompare.data.cache import digest
from lmcompare.data.sources.base import SOURCES, Row

CLASSES = "abcd"
"""Every word is of one of these, as many of one as of another."""
EDGE = "none"
"""The tag where there is no neighbor."""
SYLLABLES = tuple(map("".join, product("bdfgklmnprstvz", "aeiou")))
"""70 of them: 4,900 words of two."""


@SOURCES.register("synthetic_tags")
@dataclass(frozen=True)
class SyntheticTags:
    """Invented sentences, each word's tag the class of its left or right neighbor, or of both.

    A word by itself says nothing of its tag, so what decides is the side that a network sees: a
    causal mask cannot see the right one. Words are drawn independently of each other. Only the tags
    change with `side` and `distance`.
    """

    __pydantic_config__ = STRICT
    kind: ClassVar[str]

    side: Literal["left", "right", "both"] = "right"
    """where the neighbor stands whose class is the tag; both: the classes of two"""
    distance: Positive = 1
    """words from one to the other; at most `length` - 1"""
    items: Positive = 4000
    """sentences"""
    words: Annotated[int, Field(ge=len(CLASSES), le=len(SYLLABLES) ** 2)] = 200
    """different words"""
    length: Annotated[int, Field(ge=2)] = 12
    """words in a sentence"""
    seed: int = 0
    """draws words, their classes and the sentences"""

    def __post_init__(self) -> None:
        if self.distance >= self.length:
            wanted = f"wanted less than length ({self.length})"
            raise InputError(f"distance: {wanted}, got {self.distance}")

    def classes(self) -> dict[str, str]:
        """Return the class of each word."""
        rng = np.random.default_rng([self.seed, 0])
        drawn = rng.choice(len(SYLLABLES) ** 2, self.words, replace=False)
        words = [SYLLABLES[i // len(SYLLABLES)] + SYLLABLES[i % len(SYLLABLES)] for i in drawn]
        return {word: CLASSES[i % len(CLASSES)] for i, word in enumerate(words)}

    def tags(self, tokens: list[str], classes: dict[str, str]) -> list[str]:
        """Return the tag of each word.

        >>> classes = {"bado": "a", "kile": "b", "munu": "c"}
        >>> SyntheticTags("right").tags(["bado", "kile", "munu"], classes)
        ['b', 'c', 'none']
        >>> SyntheticTags("both").tags(["bado", "kile", "munu"], classes)
        ['none+b', 'a+c', 'b+none']
        """
        edge = [EDGE] * min(self.distance, len(tokens))
        own = [classes[token] for token in tokens]
        left, right = [*edge, *own[: -self.distance]], [*own[self.distance :], *edge]
        both = [f"{before}+{after}" for before, after in zip(left, right, strict=True)]
        return {"left": left, "right": right, "both": both}[self.side]

    def rows(self) -> Iterator[Row]:
        """Yield ``tokens``, ``tags`` and ``text``, the tokens with spaces."""
        classes = self.classes()
        words = list(classes)
        rng = np.random.default_rng([self.seed, 1])
        for _ in range(self.items):
            tokens = [words[i] for i in rng.integers(len(words), size=self.length)]
            yield {"tokens": tokens, "tags": self.tags(tokens, classes), "text": " ".join(tokens)}

    def fingerprint(self) -> str:
        return digest(self.kind, asdict(self))
