"""What stands on the states of a network: one linear layer, in four kinds."""

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from lmcompare.models.network import BatchTensors
from lmcompare.models.pooling import Pooling, pool

Answers = list[NDArray[np.float64]]


@dataclass(frozen=True)
class HeadBatch:
    """A batch of items and what is wanted of each. B items of T texts, n inputs.

    Attributes:
        tensors: what the network reads: B x T rows, the texts of an item one after another.
        wanted: of each item: see ``tasks.bench.Part``.
        marks: (B, n) of each input the mark of ``Part``, -1 where it has none; None for heads that ask for none.
        starts: (B,) the place in the inputs of the first token of the text.
    """

    tensors: BatchTensors
    wanted: list[Any]
    marks: Tensor | None = None
    starts: Tensor | None = None


class Head(Protocol):
    """A kind of head.

    Attributes:
        texts: texts of an item.
    """

    texts: ClassVar[int]

    @property
    def outputs(self) -> int:
        """Outputs of the linear layer."""

    @property
    def pooling(self) -> Pooling | None:
        """How states become one; None: they do not."""

    def size(self, width: int) -> int:
        """Return how many numbers the linear layer reads, of states of this width."""

    def features(self, states: Tensor, reading: HeadBatch) -> Tensor:
        """Turn states (B x T, n, width) into what the linear layer reads. Shape (..., size)."""

    def loss(self, said: Tensor, reading: HeadBatch) -> Tensor:
        """Return the mean loss of what the linear layer said, (..., outputs)."""

    def answers(self, said: Tensor, reading: HeadBatch) -> Answers:
        """Return the answer to each item."""


@dataclass(frozen=True)
class ClassificationHead:
    """One label a text, from its pooled state. An answer: (classes,) probabilities.

    (transformers' own heads pool unlike one another: last token that is not padding, first, last eos.)
    """

    texts: ClassVar[int] = 1
    outputs: int
    pooling: Pooling

    def size(self, width: int) -> int:
        """Return the width."""
        return width

    def features(self, states: Tensor, reading: HeadBatch) -> Tensor:
        """Pool. Shape (B, width)."""
        return pool(states, reading.tensors.attention_mask, self.pooling)

    def loss(self, said: Tensor, reading: HeadBatch) -> Tensor:
        """Return the cross-entropy in nats."""
        return F.cross_entropy(said, torch.as_tensor(reading.wanted, device=said.device))

    def answers(self, said: Tensor, reading: HeadBatch) -> Answers:
        """Return probabilities."""
        return list(said.double().softmax(-1).cpu().numpy())


@dataclass(frozen=True)
class TokenClassificationHead:
    """One label a word, from the states of its tokens. An answer: (words, labels) probabilities.

    Which state stands for a word decides between objectives: a causal network has not read a word at its first token
    (Devlin et al. 2019, section 5.3, take that one), so the pooling is on the menu here, too.
    """

    texts: ClassVar[int] = 1
    outputs: int
    pooling: Pooling

    def size(self, width: int) -> int:
        """Return the width."""
        return width

    def features(self, states: Tensor, reading: HeadBatch) -> Tensor:
        """Pool the states of each word; the words of all items in order. Shape (words, width)."""
        assert reading.marks is not None
        where = reading.marks >= 0
        ends = (reading.marks.amax(1) + 1).cumsum(0)
        before = torch.cat([ends.new_zeros(1), ends[:-1]])
        number = (reading.marks + before[:, None])[where]
        return pool_words(states[where], number, self.pooling)

    def loss(self, said: Tensor, reading: HeadBatch) -> Tensor:
        """Return the cross-entropy of a word, in nats."""
        return F.cross_entropy(
            said, torch.from_numpy(np.concatenate(reading.wanted)).to(said.device)
        )

    def answers(self, said: Tensor, reading: HeadBatch) -> Answers:
        """Return probabilities."""
        assert reading.marks is not None
        ends = (reading.marks.amax(1) + 1).cumsum(0).cpu().numpy()
        return np.split(said.double().softmax(-1).cpu().numpy(), ends[:-1])


def pool_words(states: Tensor, words: Tensor, pooling: Pooling) -> Tensor:
    """Turn the states of tokens (t, width) into one a word, by the number of each token's word (t,), ascending from 0.

    >>> states, words = torch.tensor([[1.0], [3.0], [9.0]]), torch.tensor([0, 0, 1])
    >>> [pool_words(states, words, how).flatten().tolist() for how in ("mean", "last", "first")]
    [[2.0, 9.0], [3.0, 9.0], [1.0, 9.0]]
    """
    counts = words.bincount()
    if pooling == "mean":
        sums = states.new_zeros(len(counts), states.shape[1]).index_add(0, words, states)
        return sums / counts[:, None]
    last = counts.cumsum(0) - 1
    return states[last if pooling == "last" else last - counts + 1]


@dataclass(frozen=True)
class PairHead:
    """A score for a pair of texts, from u, v, |u - v| and u * v of their pooled states (Conneau et al. 2017).

    Each text is read by itself, as every objective reads texts in pretraining. Read as one, the second text would see
    the first but not the other way round in a causal network, and both would share one context. An answer: (1,).
    """

    texts: ClassVar[int] = 2
    outputs: ClassVar[int] = 1
    pooling: Pooling

    def size(self, width: int) -> int:
        """Return four times the width."""
        return 4 * width

    def features(self, states: Tensor, reading: HeadBatch) -> Tensor:
        """Pool and combine. Shape (B, 4 width)."""
        pooled = pool(states, reading.tensors.attention_mask, self.pooling)
        u, v = pooled[0::2], pooled[1::2]
        return torch.cat([u, v, (u - v).abs(), u * v], dim=-1)

    def loss(self, said: Tensor, reading: HeadBatch) -> Tensor:
        """Return the mean squared error."""
        return F.mse_loss(
            said[:, 0], torch.tensor(reading.wanted, dtype=said.dtype, device=said.device)
        )

    def answers(self, said: Tensor, reading: HeadBatch) -> Answers:
        """Return the score."""
        return list(said.double().cpu().numpy())


@dataclass(frozen=True)
class SpanHead:
    """Where an answer begins and ends in a text (Devlin et al. 2019, section 4.2), or that it is not there.

    'Not there' is the last input (eos, [SEP]), the one that every network may give all the text to. An answer: (3,)
    the first and last token of the best span, from 0 at the first token of the text, and by how much its score lies
    above that of 'not there', so that windows of one text can be set against one another (section 4.3 there).

    Attributes:
        longest: tokens of an answer, at most.
    """

    texts: ClassVar[int] = 1
    outputs: ClassVar[int] = 2
    pooling: ClassVar[None] = None
    longest: int = 30

    def size(self, width: int) -> int:
        """Return the width."""
        return width

    def features(self, states: Tensor, reading: HeadBatch) -> Tensor:
        """Return the states as they are. Shape (B, n, width)."""
        return states

    def loss(self, said: Tensor, reading: HeadBatch) -> Tensor:
        """Return the mean cross-entropy of beginning and end, in nats."""
        assert reading.starts is not None
        ends = reading.tensors.attention_mask.sum(1) - 1
        wanted = torch.tensor(np.array(reading.wanted), device=said.device)
        wanted = torch.where(wanted >= 0, wanted + reading.starts[:, None], ends[:, None])
        return F.cross_entropy(
            self._allowed(said, reading).transpose(1, 2).flatten(0, 1), wanted.flatten()
        )

    def answers(self, said: Tensor, reading: HeadBatch) -> Answers:
        """Return the best spans."""
        assert reading.marks is not None and reading.starts is not None
        rows = torch.arange(len(said), device=said.device)
        nowhere = said[rows, reading.tensors.attention_mask.sum(1) - 1].sum(-1)
        begins, ends = said.masked_fill((reading.marks <= 0)[..., None], -torch.inf).unbind(-1)
        spans = begins[:, :, None] + ends[:, None, :]  # (B, n, n)
        near = (
            torch.ones(spans.shape[1:], dtype=torch.bool, device=said.device)
            .triu()
            .tril(self.longest - 1)
        )
        best, place = spans.masked_fill(~near, -torch.inf).flatten(1).max(1)
        n = said.shape[1]
        found = torch.stack(
            [place // n - reading.starts, place % n - reading.starts, best - nowhere], dim=1
        )
        return list(found.double().cpu().numpy())

    def _allowed(self, said: Tensor, reading: HeadBatch) -> Tensor:
        """Leave what may not be said out of the softmax."""
        assert reading.marks is not None
        allowed = reading.marks > 0
        allowed[
            torch.arange(len(said), device=said.device), reading.tensors.attention_mask.sum(1) - 1
        ] = True
        return said.masked_fill(~allowed[..., None], -torch.inf)
