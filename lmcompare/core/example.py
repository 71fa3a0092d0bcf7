"""``Example``, the one shape of all objectives, losses and scorers, and ``Batch``, many padded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lmcompare.core.errors import InputError

IGNORE = -100
"""The target where there is no loss."""

Ids = NDArray[np.int64]
Attention = Literal["full", "causal"] | int


def concat(*parts: Sequence[int] | Ids) -> Ids:
    """Return the ids of all parts in one array.

    >>> concat([1], np.array([5, 6]), ()).tolist()
    [1, 5, 6]
    """
    return np.concatenate(parts, dtype=np.int64, casting="unsafe")  # an empty list is of floats


def no_targets(count: int) -> Ids:
    """Return ``count`` targets without a loss."""
    return np.full(count, IGNORE, dtype=np.int64)


@dataclass(frozen=True)
class SpecialTokens:
    """The ids of a tokenizer that are not text, and what its other ids are."""

    pad: int
    """fills the end of short rows"""
    bos: int
    """stands before a text and starts every decoder"""
    eos: int
    """stands after a text"""
    mask: int
    """stands for a masked token or span"""
    sentinels: tuple[int, ...]
    """stand for the spans cut out of a text, in order"""
    ordinary: Ids
    """(n,) the ids of text: what a random replacement is drawn from"""
    word_starts: NDArray[np.bool_]
    """(vocab,) whether a token begins a word"""
    sentence_ends: NDArray[np.bool_] | None = None
    """(vocab,) whether a token ends a sentence; None if unknown"""

    def is_special(self, tokens: Ids) -> NDArray[np.bool_]:
        """Return, for each token, whether it is not text. Same shape as ``tokens``."""
        text = np.zeros(len(self.word_starts), dtype=bool)
        text[self.ordinary] = True
        return ~text[tokens]


@dataclass(frozen=True)
class Example:
    """What the network reads and what it should predict; nothing is shifted later.

    With tokens 5 6 7, bos 1, eos 2, mask 4 and sentinel 9::

    causal    inputs 1 5 6   targets 5 6 7 masked    inputs 5 4 7   targets - 6 - seq2seq   inputs 5
    9 7   decoder_inputs 1 9 6   targets 9 6 2
    """

    inputs: Ids
    """(n,) what the network reads; of an encoder-decoder, what the encoder reads"""
    targets: Ids
    """(m,) the token that the logits at i should predict; IGNORE where there is no loss"""
    decoder_inputs: Ids | None = None
    """(m,) what the decoder reads, if there is one; m = n otherwise"""
    attention: Attention = "full"
    """over the inputs: full, causal, or causal but for a prefix of this length, which is full"""
    segments: Ids | None = None
    """(n,) the number of each input's document, where attention must not cross documents"""
    decoder_segments: Ids | None = None
    """(m,) the same of the decoder's inputs"""
    branches: Ids | None = None
    """(n,) where continuations of one prefix share a row: 0 in the prefix, k in the k-th
    continuation, which attends to the prefix and itself"""
    weights: NDArray[np.float64] | None = None
    """(m,) weight of each target in the training loss, a weighted mean; None: 1 each"""

    @property
    def has_target(self) -> NDArray[np.bool_]:
        """Where there is a target. Shape (m,)."""
        mask: NDArray[np.bool_] = self.targets != IGNORE
        return mask

    @property
    def dense_weights(self) -> NDArray[np.float64]:
        """The weights, ones if there are none. Shape (m,)."""
        return np.ones(len(self.targets)) if self.weights is None else self.weights


def isolate(examples: Sequence[Example]) -> Example:
    """Concatenate the examples of several documents, with attention within each document only.

    >>> first = Example(np.array([1, 5]), np.array([5, 6]), attention="causal")
    >>> second = Example(np.array([1, 8]), np.array([8, 9]), attention="causal")
    >>> row = isolate([first, second])
    >>> row.inputs.tolist(), row.targets.tolist(), row.segments.tolist()
    ([1, 5, 1, 8], [5, 6, 8, 9], [0, 0, 1, 1])
    """
    if any(isinstance(example.attention, int) for example in examples):
        raise InputError(
            "sequence.packing: 'isolated' cannot hold a prefix; wanted attention 'full' or 'causal'"
        )

    def numbered(rows: Sequence[Ids]) -> Ids:
        return np.repeat(np.arange(len(rows)), [len(row) for row in rows])

    inputs = [e.inputs for e in examples]
    decoders = [e.decoder_inputs for e in examples if e.decoder_inputs is not None]
    weighted = any(e.weights is not None for e in examples)
    return Example(
        inputs=np.concatenate(inputs),
        targets=np.concatenate([e.targets for e in examples]),
        decoder_inputs=np.concatenate(decoders) if decoders else None,
        attention=examples[0].attention,
        segments=numbered(inputs),
        decoder_segments=numbered(decoders) if decoders else None,
        weights=np.concatenate([e.dense_weights for e in examples]) if weighted else None,
    )


@dataclass(frozen=True)
class Batch:
    """Examples padded on the right. B rows, n inputs, m targets; fields as in ``Example``."""

    inputs: Ids
    """(B, n)"""
    attention_mask: NDArray[np.bool_]
    """(B, n) False where there is padding"""
    targets: Ids
    """(B, m)"""
    decoder_inputs: Ids | None
    """(B, m)"""
    prefix_lengths: Ids
    """(B,) input i attends to input j if j <= i or j < prefix_length; 0: causal, n: full"""
    segments: Ids | None
    """(B, n)"""
    decoder_segments: Ids | None
    """(B, m)"""
    branches: Ids | None = None
    """(B, n)"""
    weights: NDArray[np.float64] | None = None
    """(B, m)"""

    @property
    def num_targets(self) -> int:
        """Number of targets."""
        return int((self.targets != IGNORE).sum())

    @property
    def target_weights(self) -> NDArray[np.float64]:
        """Weight of each target, in row-major order. Shape (targets,)."""
        weights = np.ones(self.targets.shape) if self.weights is None else self.weights
        kept: NDArray[np.float64] = weights[self.targets != IGNORE]
        return kept

    @property
    def total_weight(self) -> float:
        """Sum of the weights of the targets, by which the summed loss is divided."""
        return float(self.target_weights.sum())


def collate(examples: Sequence[Example], pad: int) -> Batch:
    """Pad the examples of one objective on the right, with the id ``pad``.

    >>> batch = collate([Example(np.array([5, 4, 7]), np.array([-100, 6, -100])),
    ...                  Example(np.array([4]), np.array([8]))], pad=0)
    >>> batch.inputs.tolist(), batch.targets.tolist(), batch.num_targets
    ([[5, 4, 7], [4, 0, 0]], [[-100, 6, -100], [8, -100, -100]], 2)
    """
    inputs = _pad([e.inputs for e in examples], pad)
    length = inputs.shape[1]

    def padded(field: str, fill: int) -> Ids | None:
        rows = [row for e in examples if (row := getattr(e, field)) is not None]
        if len(rows) not in (0, len(examples)):
            raise ValueError(
                f"collate: wanted examples of one objective, all or none of them with {field}"
            )
        return _pad(rows, fill) if rows else None

    weighted = any(e.weights is not None for e in examples)
    return Batch(
        inputs=inputs,
        attention_mask=np.arange(length) < np.array([[len(e.inputs)] for e in examples]),
        targets=_pad([e.targets for e in examples], IGNORE),
        decoder_inputs=padded("decoder_inputs", pad),
        prefix_lengths=np.array([_prefix_length(e.attention, length) for e in examples]),
        segments=padded("segments", -1),
        decoder_segments=padded("decoder_segments", -1),
        branches=padded("branches", -1),
        weights=_pad([e.dense_weights for e in examples], 0, float) if weighted else None,
    )


def _prefix_length(attention: Attention, length: int) -> int:
    if attention == "full":
        return length
    return 0 if attention == "causal" else int(attention)


def _pad(rows: Sequence[NDArray[Any]], fill: int, dtype: type = np.int64) -> NDArray[Any]:
    """Return the rows as one array (rows, longest row)."""
    padded: NDArray[Any] = np.full((len(rows), max(len(row) for row in rows)), fill, dtype=dtype)
    for i, row in enumerate(rows):
        padded[i, : len(row)] = row
    return padded
