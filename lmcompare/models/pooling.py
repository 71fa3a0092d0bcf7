"""Pooling of hidden states over a text and over its words."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmcompare.core.errors import InputError, nearest
from lmcompare.core.example import Ids
from lmcompare.data.word_boundaries import TokenOffsets

Pooling = Literal["mean", "last", "first"]


def pool(states: Tensor, attention_mask: Tensor, pooling: Pooling) -> Tensor:
    """Pool the states of tokens (B, n, hidden) to one a row (B, hidden), without the padding.

    >>> states = torch.tensor([[[1.0], [3.0], [9.0]]])
    >>> mask = torch.tensor([[True, True, False]])
    >>> [pool(states, mask, how).item() for how in ("mean", "last", "first")]
    [2.0, 3.0, 1.0]

    Raises:
        InputError: no such pooling.
    """
    if pooling not in get_args(Pooling):
        raise InputError(f"pooling: no such one, {pooling!r}{nearest(pooling, get_args(Pooling))}")
    if pooling == "mean":
        weight = attention_mask.unsqueeze(-1).to(states.dtype)
        return (states * weight).sum(1) / weight.sum(1)
    lengths = attention_mask.sum(1)
    place = lengths - 1 if pooling == "last" else torch.zeros_like(lengths)
    return states[torch.arange(len(states), device=states.device), place]


@dataclass(frozen=True)
class WordStates:
    """The words of a text and a vector for each. w words.

    Attributes:
        words: w texts, as they stand in the text.
        spans: (w, 2) first and last (exclusive) character of each.
        vectors: (w, width) float32: the mean of the states of the word's tokens.
    """

    words: list[str]
    spans: Ids
    vectors: NDArray[np.float32]


def word_spans(pieces: TokenOffsets) -> Ids:
    """Return the first and last (exclusive) character of each word. Shape (words, 2).

    >>> spans = np.array([[0, 4], [5, 7], [7, 9]])
    >>> word_spans(TokenOffsets(np.array([8, 5, 6]), spans, np.array([0, 1, 1]))).tolist()
    [[0, 4], [5, 9]]
    """
    first = np.flatnonzero(np.diff(pieces.words, prepend=-1))
    last = np.append(first[1:], len(pieces.words))[: len(first)] - 1
    found: Ids = np.stack([pieces.spans[first, 0], pieces.spans[last, 1]], axis=1)
    return found


def place_of(tokens: Ids, inputs: Ids) -> int:
    """Return where in what is read (n,) the tokens of the text begin.

    >>> place_of(np.array([5, 6]), np.array([1, 5, 6, 2]))
    1
    """
    count = len(tokens)
    return next(
        i for i in range(len(inputs) - count + 1) if np.array_equal(inputs[i : i + count], tokens)
    )


def words_of(
    text: str, pieces: TokenOffsets, inputs: Ids, states: NDArray[np.float32]
) -> WordStates:
    """Average the states (n, hidden) of the inputs (n,) over the words of the text."""
    spans, count = word_spans(pieces), len(pieces.ids)
    first = place_of(pieces.ids, inputs)
    vectors = np.zeros((len(spans), states.shape[1]), dtype=np.float32)
    np.add.at(vectors, pieces.words, states[first : first + count])
    vectors /= np.bincount(pieces.words, minlength=len(spans))[:, None]
    return WordStates([text[start:end] for start, end in spans], spans, vectors)
