"""The one shape in which every objective asks its question: what the network reads and what is wanted where."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lmcompare.core.errors import InputError

IGNORE = -100
"""The target where nothing is asked."""

Ids = NDArray[np.int64]
Attention = Literal["all", "past"] | int


@dataclass(frozen=True)
class SpecialTokens:
    """The ids of a vocabulary that are not text.

    Attributes:
        pad: fills the end of short rows; never read, never wanted.
        bos: stands before a text (and starts every decoder).
        eos: stands after a text.
        mask: stands where a masked LM is asked.
        sentinels: name the holes of a span-corrupted text, in the order in which they are used.
        ordinary: (n,) the ids that stand for text: what a random replacement may draw.
        word_starts: (vocabulary,) whether a token begins a word.
        sentence_ends: (vocabulary,) whether a token ends a sentence; None if that is not known.
    """

    pad: int
    bos: int
    eos: int
    mask: int
    sentinels: tuple[int, ...]
    ordinary: Ids
    word_starts: NDArray[np.bool_]
    sentence_ends: NDArray[np.bool_] | None = None

    def is_special(self, tokens: Ids) -> NDArray[np.bool_]:
        """Return, for each token, whether it is not text. Shape in = shape out."""
        text = np.zeros(len(self.word_starts), dtype=bool)
        text[self.ordinary] = True
        return ~text[tokens]


@dataclass(frozen=True)
class Example:
    """What the network reads and what is wanted where. Nothing is shifted later.

    With tokens 5 6 7, bos 1, eos 2, mask 4 and sentinel 9::

        causal    inputs 1 5 6   targets 5 6 7
        masked    inputs 5 4 7   targets - 6 -
        seq2seq   inputs 5 9 7   decoder_inputs 1 9 6   targets 9 6 2

    Attributes:
        inputs: (n,) what the network (for an encoder-decoder: its encoder) reads.
        targets: (m,) what is wanted where the logits at i come out; IGNORE where nothing is asked. m is the length of
            ``decoder_inputs`` if there are any, else n.
        decoder_inputs: (m,) what the decoder reads, if there is one.
        visible: how far each input position may look: ``"all"``, the ``"past"`` (itself and before), or everything in
            the first k (a prefix) besides the past.
        segments: (n,) the number of the document of each input position, if documents may not see one another.
        decoder_segments: (m,) the same for the decoder.
        branches: (n,) where texts that begin alike stand in one row: 0 in what they share, which all of them see, and
            k in how the k-th goes on, which it alone sees; see ``sharing``.
        weights: (m,) how much each target counts in the loss of training; None: each counts 1. The loss of a step is
            the weighted sum of its targets' nats over the sum of their weights.
    """

    inputs: Ids
    targets: Ids
    decoder_inputs: Ids | None = None
    visible: Attention = "all"
    segments: Ids | None = None
    decoder_segments: Ids | None = None
    branches: Ids | None = None
    weights: NDArray[np.float64] | None = None

    @property
    def asked(self) -> NDArray[np.bool_]:
        """Where something is asked. Shape (m,)."""
        asked: NDArray[np.bool_] = self.targets != IGNORE
        return asked


def isolate(examples: Sequence[Example]) -> Example:
    """Put the examples of several documents into one row in which no document sees another.

    >>> one = Example(np.array([1, 5]), np.array([5, 6]), visible="past")
    >>> two = Example(np.array([1, 8]), np.array([8, 9]), visible="past")
    >>> row = isolate([one, two])
    >>> row.inputs.tolist(), row.targets.tolist(), row.segments.tolist()
    ([1, 5, 1, 8], [5, 6, 8, 9], [0, 0, 1, 1])
    """
    if any(isinstance(example.visible, int) for example in examples):
        raise InputError(
            "blocks.documents: 'isolated' has no prefix to look into; wanted visible 'all' or 'past'"
        )
    number = [np.full(len(e.inputs), i) for i, e in enumerate(examples)]
    decoders = [e.decoder_inputs for e in examples if e.decoder_inputs is not None]
    return Example(
        inputs=np.concatenate([e.inputs for e in examples]),
        targets=np.concatenate([e.targets for e in examples]),
        decoder_inputs=np.concatenate(decoders) if decoders else None,
        visible=examples[0].visible,
        segments=np.concatenate(number),
        decoder_segments=np.concatenate([np.full(len(d), i) for i, d in enumerate(decoders)])
        if decoders
        else None,
        weights=None
        if all(e.weights is None for e in examples)
        else np.concatenate([_weights(e) for e in examples]),
    )


def _weights(example: Example) -> NDArray[np.float64]:
    return np.ones(len(example.targets)) if example.weights is None else example.weights


@dataclass(frozen=True)
class Batch:
    """Examples side by side, padded on the right. B rows, n inputs, m targets.

    Attributes:
        inputs: (B, n) int64.
        read: (B, n) bool: False where there is padding.
        targets: (B, m) int64.
        decoder_inputs: (B, m) int64, or None.
        prefix: (B,) int64: input i sees input j if j <= i or j < prefix (0: the past; n: all).
        segments: (B, n) int64, or None.
        decoder_segments: (B, m) int64, or None.
        branches: (B, n) int64, or None.
        weights: (B, m) float64: how much each target counts; None: each counts 1.
    """

    inputs: Ids
    read: NDArray[np.bool_]
    targets: Ids
    decoder_inputs: Ids | None
    prefix: Ids
    segments: Ids | None
    decoder_segments: Ids | None
    branches: Ids | None = None
    weights: NDArray[np.float64] | None = None

    @property
    def count(self) -> int:
        """Number of targets."""
        return int((self.targets != IGNORE).sum())

    @property
    def target_weights(self) -> NDArray[np.float64]:
        """How much each target counts, in row-major order of where they stand. Shape (targets,)."""
        return np.ones(self.count) if self.weights is None else self.weights[self.targets != IGNORE]

    @property
    def weight(self) -> float:
        """What the weighted sum of the targets' nats is divided by: their number, if each counts 1."""
        return float(self.target_weights.sum())


def _pad(rows: Sequence[NDArray[Any]], fill: int, dtype: type = np.int64) -> NDArray[Any]:
    padded: NDArray[Any] = np.full((len(rows), max(len(row) for row in rows)), fill, dtype=dtype)
    for i, row in enumerate(rows):
        padded[i, : len(row)] = row
    return padded


def collate(examples: Sequence[Example], pad: int) -> Batch:
    """Pad on the right and align; ``pad`` is the id that fills. All examples must be of one objective.

    >>> batch = collate([Example(np.array([5, 4, 7]), np.array([-100, 6, -100])),
    ...                  Example(np.array([4]), np.array([8]))], pad=0)
    >>> batch.inputs.tolist(), batch.targets.tolist(), batch.count
    ([[5, 4, 7], [4, 0, 0]], [[-100, 6, -100], [8, -100, -100]], 2)
    """
    inputs = _pad([e.inputs for e in examples], pad)
    width = inputs.shape[1]
    lengths = np.array([len(e.inputs) for e in examples])
    prefix = [
        width if e.visible == "all" else 0 if e.visible == "past" else int(e.visible)
        for e in examples
    ]
    decoders = [e.decoder_inputs for e in examples if e.decoder_inputs is not None]
    segments = [e.segments for e in examples if e.segments is not None]
    decoder_segments = [e.decoder_segments for e in examples if e.decoder_segments is not None]
    branches = [e.branches for e in examples if e.branches is not None]
    if any(len(part) not in (0, len(examples)) for part in (decoders, segments, branches)):
        raise ValueError(
            "collate: wanted examples of one objective, all or none with a decoder, segments and branches"
        )
    return Batch(
        inputs=inputs,
        read=np.arange(width) < lengths[:, None],
        targets=_pad([e.targets for e in examples], IGNORE),
        decoder_inputs=_pad(decoders, pad) if decoders else None,
        prefix=np.array(prefix, dtype=np.int64),
        segments=_pad(segments, -1) if segments else None,
        decoder_segments=_pad(decoder_segments, -1) if decoder_segments else None,
        branches=_pad(branches, -1) if branches else None,
        weights=None
        if all(e.weights is None for e in examples)
        else _pad([_weights(e) for e in examples], 0, float),
    )
