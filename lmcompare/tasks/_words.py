"""Words as rows of tokens: which tokens are whose, in rows that fit into the context."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lmcompare.core.errors import InputError
from lmcompare.core.example import Ids
from lmcompare.data.tokenized_split import TokenizedSplit

if TYPE_CHECKING:
    from lmcompare.evaluation.harness import Harness


@dataclass(frozen=True)
class TokenizedWords:
    """Items whose words are in tokens.

    Attributes:
        part: rows of whole words; an item that does not fit into one row has several.
        owners: of each row, the number of its item, ascending.
        truncated: words that alone do not fit into a row, of which the first tokens are kept.
        divided: items of several rows.
    """

    part: TokenizedSplit
    owners: list[int]
    truncated: int
    divided: int

    def joined(self, answers: Sequence[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
        """Return the answers to rows as one array an item."""
        starts = np.flatnonzero(np.diff(self.owners, prepend=-1)).tolist()
        ends = [*starts[1:], len(self.owners)]
        return [np.concatenate(answers[start:end]) for start, end in zip(starts, ends, strict=True)]


def cut(
    harness: "Harness", items: Sequence[Sequence[str]], labels: Sequence[Ids]
) -> TokenizedWords:
    """Encode each word by itself, so that every token is of one word, and fill rows with whole
    words.

    A word is encoded with the space that a text has before it, so that its tokens are those that
    the network was trained on; words of scripts without spaces have none (``spaced``). A token of
    the vocabulary that spans two such words does not occur.

    Args:
        harness: encodes; its context holds a row and the two tokens that may stand around it.
        items: the words of each.
        labels: (words,) of each item.

    Raises:
        InputError: a word that the tokenizer has no token for.
    """
    room = harness.context - 2
    flat = [word for words in items for word in spaced(words)]
    encoded = iter(harness.encode(flat))
    rows: list[tuple[Ids, ...]] = []
    marks, wanted, owners, truncated = [], [], [], 0
    for number, (words, labelled) in enumerate(zip(items, labels, strict=True)):
        pieces = [next(encoded) for _ in words]
        empty = [word for word, piece in zip(words, pieces, strict=True) if not len(piece)]
        if empty:
            raise InputError(
                f"wanted words that the tokenizer knows, got {empty[0]!r}, of which it makes no token"
            )
        truncated += sum(len(piece) > room for piece in pieces)
        pieces = [piece[:room] for piece in pieces]
        for first, last in _rows([len(piece) for piece in pieces], room):
            sizes = [len(piece) for piece in pieces[first:last]]
            rows.append((np.concatenate(pieces[first:last]),))
            marks.append(np.repeat(np.arange(last - first), sizes))
            wanted.append(labelled[first:last])
            owners.append(number)
    return TokenizedWords(
        TokenizedSplit(rows, wanted, marks), owners, truncated, int((np.bincount(owners) > 1).sum())
    )


def _rows(sizes: Sequence[int], room: int) -> list[tuple[int, int]]:
    """Return the first and last (exclusive) word of each row.

    >>> _rows([2, 2, 1, 3], room=4)
    [(0, 2), (2, 4)]
    """
    found, first, held = [], 0, 0
    for place, size in enumerate(sizes):
        if held + size > room:
            found.append((first, place))
            first, held = place, 0
        held += size
    return [*found, (first, len(sizes))]


def spaced(words: Sequence[str]) -> list[str]:
    """Return each word as a text goes on with it: after a space, but for the first and beside Han,
    kana and the like.

    >>> spaced(["I", "saw", "北", "京", "."])
    ['I', ' saw', '北', '京', '.']
    """
    before = ["", *words]
    return [
        word if not last or stands_alone(last[-1]) or stands_alone(word[:1]) else f" {word}"
        for last, word in zip(before, words, strict=False)
    ]


def stands_alone(character: str) -> bool:
    """Return whether a character is of a script without spaces: Han, kana and their full-width
    punctuation."""
    return (
        "\u3000" <= character <= "\u9fff"
        or "\uff00" <= character <= "\uffef"
        or "\U00020000" <= character
    )
