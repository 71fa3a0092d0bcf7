"""The items of a split in tokens, as a head is trained and tested on them."""

from dataclasses import dataclass, field
from typing import Any

from lmcompare.core.example import Ids


@dataclass(frozen=True)
class TokenizedSplit:
    """The items of one split, in tokens.

    Where the items are tested, ``targets`` are not read.
    """

    rows: list[tuple[Ids, ...]]
    """of each item, the tokens of its texts: one, or the two of a pair"""
    targets: list[Any]
    """of each item: (words,) labels; a score; or the first and last token of the answer, (-1, -1)
    if it is not there"""
    marks: list[Ids] = field(default_factory=list)
    """of each item, for each token of its one text: the number of its word, from 0; or 1 where an
    answer may lie, else 0. Empty for pairs."""
