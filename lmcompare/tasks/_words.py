"""Words as rows of tokens: which tokens belong to which word, in rows that fit into the context."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lmcompare.core.errors import InputError
from lmcompare.core.example import Ids
from lmcompare.data.tokenized_split import TokenizedSplit
from lmcompare.tasks.base import SPECIAL_TOKENS

if TYPE_CHECKING:
    from lmcompare.evaluation.harness import Harness


@dataclass(frozen=True)
class TokenizedWords:
    """Items of words, in tokens."""

    split: TokenizedSplit
    """rows of whole words; an item that does not fit into one row has several"""
    item_of_row: list[int]
    """ascending"""
    truncated: int
    """words that alone do not fit into a row, of which the first tokens are kept"""
    divided: int
    """items of several rows"""

    def per_item(self, predictions: Sequence[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
        """Return the predictions for rows as one array an item."""
        starts = np.flatnonzero(np.diff(self.item_of_row, prepend=-1)).tolist()
        ends = [*starts[1:], len(self.item_of_row)]
        return [
            np.concatenate(predictions[start:end]) for start, end in zip(starts, ends, strict=True)
        ]


def tokenize_words(
    harness: "Harness", items: Sequence[Sequence[str]], labels: Sequence[Ids]
) -> TokenizedWords:
    """Encode each word by itself, so that every token is of one word, and fill rows with whole
    words.

    A word is encoded with the space that a text has before it, so that its tokens are those that
    the network was trained on; words of scripts without spaces have none. Tokens that span two such
    words do not occur.

    Args:
        harness: encodes; its context holds a row and the special tokens around it.
        items: the words of each.
        labels: (words,) of each item.

    Raises:
        InputError: a word that the tokenizer has no token for.
    """
    room = harness.context - SPECIAL_TOKENS
    encoded = iter(harness.encode([word for words in items for word in with_spaces(words)]))
    rows: list[tuple[Ids, ...]] = []
    marks, wanted, item_of_row, truncated = [], [], [], 0
    for number, (words, item_labels) in enumerate(zip(items, labels, strict=True)):
        pieces = [next(encoded) for _ in words]
        for word, piece in zip(words, pieces, strict=True):
            if not len(piece):
                raise InputError(f"wanted words that the tokenizer has tokens for, got {word!r}")
        truncated += sum(len(piece) > room for piece in pieces)
        pieces = [piece[:room] for piece in pieces]
        for first, last in _fill_rows([len(piece) for piece in pieces], room):
            sizes = [len(piece) for piece in pieces[first:last]]
            rows.append((np.concatenate(pieces[first:last]),))
            marks.append(np.repeat(np.arange(last - first), sizes))
            wanted.append(item_labels[first:last])
            item_of_row.append(number)
    divided = int((np.bincount(item_of_row) > 1).sum())
    return TokenizedWords(TokenizedSplit(rows, wanted, marks), item_of_row, truncated, divided)


def _fill_rows(sizes: Sequence[int], room: int) -> list[tuple[int, int]]:
    """Return the first and last (exclusive) word of each row.

    >>> _fill_rows([2, 2, 1, 3], room=4)
    [(0, 2), (2, 4)]
    """
    rows, first, filled = [], 0, 0
    for place, size in enumerate(sizes):
        if filled + size > room:
            rows.append((first, place))
            first, filled = place, 0
        filled += size
    return [*rows, (first, len(sizes))]


def with_spaces(words: Sequence[str]) -> list[str]:
    """Return each word as a text continues with it: after a space, but for the first and beside Han
    and kana.

    >>> with_spaces(["I", "saw", "北", "京", "."])
    ['I', ' saw', '北', '京', '.']
    """
    before = ["", *words]
    return [
        word if not last or _has_no_spaces(last[-1]) or _has_no_spaces(word[:1]) else f" {word}"
        for last, word in zip(before, words, strict=False)
    ]


def _has_no_spaces(character: str) -> bool:
    """Return whether a character is of a script without spaces: Han, kana and their full-width
    punctuation.
    """
    return (
        "\u3000" <= character <= "\u9fff"
        or "\uff00" <= character <= "\uffef"
        or "\U00020000" <= character
    )
