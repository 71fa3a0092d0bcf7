"""Heads: one linear layer on the states of a network, for texts, words, pairs or spans."""

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from lmcompare.models.network import BatchTensors
from lmcompare.models.pooling import Pooling, pool

Predictions = list[NDArray[np.float64]]
"""One array an item: see the head."""


@dataclass(frozen=True)
class HeadBatch:
    """A batch of B items of T texts each, n inputs long."""

    tensors: BatchTensors
    """what the network reads: B x T rows, the texts of an item one after another"""
    targets: list[Any]
    """of each item: see ``TokenizedSplit``"""
    marks: Tensor | None = None
    """(B, n) the mark of each input, -1 where it has none: see ``TokenizedSplit``"""
    starts: Tensor | None = None
    """(B,) the index of the first token of the text among the inputs"""

    @property
    def last_inputs(self) -> Tensor:
        """The index of the last input of each row (eos, [SEP]). Shape (B,)."""
        return self.tensors.attention_mask.sum(1) - 1

    @property
    def word_ends(self) -> Tensor:
        """The running sum of the items' numbers of words, which marks count. Shape (B,)."""
        assert self.marks is not None
        return (self.marks.amax(1) + 1).cumsum(0)


class Head(Protocol):
    """What the linear layer reads of the states, and what its outputs mean."""

    @property
    def outputs(self) -> int:
        """Outputs of the linear layer."""

    @property
    def pooling(self) -> Pooling | None:
        """How the states of several tokens become one; None: they do not."""

    def input_size(self, hidden_size: int) -> int:
        """Return the number of inputs of the linear layer."""

    def features(self, states: Tensor, batch: HeadBatch) -> Tensor:
        """Turn states (B x T, n, hidden) into the layer's inputs. Shape (..., input_size)."""

    def loss(self, logits: Tensor, batch: HeadBatch) -> Tensor:
        """Return the mean loss of logits (..., outputs)."""

    def predict(self, logits: Tensor, batch: HeadBatch) -> Predictions:
        """Return the prediction for each item."""


@dataclass(frozen=True)
class ClassificationHead:
    """One label a text, from its pooled state. A prediction: (classes,) probabilities.

    (transformers' own heads pool unlike each other: last token without padding, first, last eos.)
    """

    outputs: int
    pooling: Pooling

    def input_size(self, hidden_size: int) -> int:
        return hidden_size

    def features(self, states: Tensor, batch: HeadBatch) -> Tensor:
        return pool(states, batch.tensors.attention_mask, self.pooling)  # (B, hidden)

    def loss(self, logits: Tensor, batch: HeadBatch) -> Tensor:
        return F.cross_entropy(logits, torch.as_tensor(batch.targets, device=logits.device))

    def predict(self, logits: Tensor, batch: HeadBatch) -> Predictions:
        return list(logits.double().softmax(-1).cpu().numpy())


@dataclass(frozen=True)
class TokenClassificationHead:
    """One label a word, from its tokens' states. A prediction: (words, labels) probabilities.

    Which state represents a word matters between objectives: a causal network has not read the word
    at its first token, which Devlin et al. (2019, section 5.3) take. So its pooling is chosen, too.
    """

    outputs: int
    pooling: Pooling

    def input_size(self, hidden_size: int) -> int:
        return hidden_size

    def features(self, states: Tensor, batch: HeadBatch) -> Tensor:
        assert batch.marks is not None
        # Number the words of all items in order: those of an item go on where the last item ended.
        ends = batch.word_ends
        first_word = torch.cat([ends.new_zeros(1), ends[:-1]])
        of_a_word = batch.marks >= 0  # (B, n)
        words = (batch.marks + first_word[:, None])[of_a_word]
        return pool_words(states[of_a_word], words, self.pooling)  # (words, hidden)

    def loss(self, logits: Tensor, batch: HeadBatch) -> Tensor:
        targets = torch.from_numpy(np.concatenate(batch.targets)).to(logits.device)
        return F.cross_entropy(logits, targets)

    def predict(self, logits: Tensor, batch: HeadBatch) -> Predictions:
        probabilities = logits.double().softmax(-1).cpu().numpy()  # (words, labels)
        return np.split(probabilities, batch.word_ends.cpu().numpy()[:-1])


def pool_words(states: Tensor, words: Tensor, pooling: Pooling) -> Tensor:
    """Pool states of tokens (t, hidden) by the number of each token's word (t,), ascending from 0.

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
    """A score of two texts: u, v, |u - v|, u * v of their pooled states (Conneau et al. 2017).

    Each text is encoded by itself, as in pretraining. Encoded as one, the second text would attend
    to the first but not the reverse in a causal network, and both would share one context. A
    prediction is (1,).
    """

    outputs: ClassVar[int] = 1
    pooling: Pooling

    def input_size(self, hidden_size: int) -> int:
        return 4 * hidden_size

    def features(self, states: Tensor, batch: HeadBatch) -> Tensor:
        pooled = pool(states, batch.tensors.attention_mask, self.pooling)  # (2 B, hidden)
        u, v = pooled[0::2], pooled[1::2]
        return torch.cat([u, v, (u - v).abs(), u * v], dim=-1)  # (B, 4 hidden)

    def loss(self, logits: Tensor, batch: HeadBatch) -> Tensor:
        targets = torch.tensor(batch.targets, dtype=logits.dtype, device=logits.device)
        return F.mse_loss(logits[:, 0], targets)

    def predict(self, logits: Tensor, batch: HeadBatch) -> Predictions:
        return list(logits.double().cpu().numpy())


@dataclass(frozen=True)
class SpanHead:
    """First and last token of an answer in a passage, or none (Devlin et al. 2019, section 4.2).

    'No answer' is the last input (eos, [SEP]), which attends to the whole text in every network. A
    prediction is (3,): first and last token of the best span, from 0 at the first token of the
    text, and by how much its score exceeds that of 'no answer', which compares windows of one
    passage (section 4.3).
    """

    outputs: ClassVar[int] = 2
    pooling: ClassVar[None] = None
    longest: int = 30
    """tokens of an answer, at most"""

    def input_size(self, hidden_size: int) -> int:
        return hidden_size

    def features(self, states: Tensor, batch: HeadBatch) -> Tensor:
        return states

    def loss(self, logits: Tensor, batch: HeadBatch) -> Tensor:
        assert batch.marks is not None and batch.starts is not None
        # Targets count from the first token of the text; (-1, -1) means the last input.
        last = batch.last_inputs
        targets = torch.tensor(np.array(batch.targets), device=logits.device)  # (B, 2)
        targets = torch.where(targets >= 0, targets + batch.starts[:, None], last[:, None])
        # The softmax is over the tokens of the passage and the last input.
        allowed = batch.marks > 0  # (B, n)
        allowed[torch.arange(len(logits), device=logits.device), last] = True
        logits = logits.masked_fill(~allowed[..., None], -torch.inf)
        return F.cross_entropy(logits.transpose(1, 2).flatten(0, 1), targets.flatten())

    def predict(self, logits: Tensor, batch: HeadBatch) -> Predictions:
        assert batch.marks is not None and batch.starts is not None
        n, rows = logits.shape[1], torch.arange(len(logits), device=logits.device)
        no_answer = logits[rows, batch.last_inputs].sum(-1)  # (B,)

        # The score of each pair of a first and a last token, in order and near enough.
        in_passage = (batch.marks > 0)[..., None]
        first, last = logits.masked_fill(~in_passage, -torch.inf).unbind(-1)  # (B, n) each
        scores = first[:, :, None] + last[:, None, :]  # (B, n, n)
        is_span = torch.ones(n, n, dtype=torch.bool, device=logits.device)
        is_span = is_span.triu().tril(self.longest - 1)
        best, place = scores.masked_fill(~is_span, -torch.inf).flatten(1).max(1)

        spans = [place // n - batch.starts, place % n - batch.starts, best - no_answer]
        return list(torch.stack(spans, dim=1).double().cpu().numpy())
