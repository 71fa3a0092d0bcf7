"""Items of a task as batches for a head, and a network with a head."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from lmcompare.adaptation.heads import Head, HeadBatch, Predictions
from lmcompare.core.example import Example, collate
from lmcompare.data.tokenized_split import TokenizedSplit
from lmcompare.language_model import LanguageModel
from lmcompare.models.network import BatchTensors, Network, evaluation_mode
from lmcompare.models.pooling import place_of

EVALUATION_BATCH = 64
"""Items that are predicted at once."""


@dataclass(frozen=True)
class EncodedSplit:
    """The items of one split as the objective of a model encodes them."""

    items: TokenizedSplit
    examples: list[tuple[Example, ...]]
    """of each item, one for each of its texts"""
    pad: int

    @classmethod
    def of(cls, model: LanguageModel, items: TokenizedSplit, attention: str) -> "EncodedSplit":
        """Encode the texts, with the attention mask of ``Adaptation.attention``."""
        special, encode = model.tokenizer.special, model.objective.encoding_example
        examples = [
            tuple(_masked(encode(row, special), attention) for row in rows) for rows in items.rows
        ]
        return cls(items, examples, special.pad)

    @property
    def lengths(self) -> list[int]:
        """Of each item, the number of inputs of its longest text."""
        return [max(len(text.inputs) for text in texts) for texts in self.examples]

    def batch(self, indices: Sequence[int], device: torch.device) -> HeadBatch:
        """Return a batch of the items with these indices."""
        texts = [text for i in indices for text in self.examples[i]]
        batch = collate(texts, self.pad)
        tensors = BatchTensors.of(batch, device)
        targets = [self.items.targets[i] for i in indices]
        if not self.items.marks:
            return HeadBatch(tensors, targets)

        # The marks of a text's tokens, moved to their places among the inputs (after bos, say).
        marks = np.full(batch.inputs.shape, -1)  # (B, n)
        starts = np.zeros(len(indices), dtype=np.int64)  # (B,)
        for row, i in enumerate(indices):
            start = place_of(self.items.rows[i][0], self.examples[i][0].inputs)
            marks[row, start : start + len(self.items.marks[i])] = self.items.marks[i]
            starts[row] = start
        places = (torch.from_numpy(array).to(device) for array in (marks, starts))
        return HeadBatch(tensors, targets, *places)

    def batches_by_length(self, device: torch.device) -> Iterator[tuple[list[int], HeadBatch]]:
        """Yield the indices of items of similar length, and their batch."""
        rows = self.items.rows
        order = sorted(range(len(rows)), key=lambda i: max(len(row) for row in rows[i]))
        for first in range(0, len(order), EVALUATION_BATCH):
            indices = order[first : first + EVALUATION_BATCH]
            yield indices, self.batch(indices, device)


def _masked(example: Example, attention: str) -> Example:
    if attention == "own":
        return example
    return replace(example, attention="full" if attention == "bidirectional" else "causal")


class ModelWithHead(nn.Module):
    """A network and a head: features of its states, dropout and one linear layer."""

    def __init__(self, network: Network, head: Head) -> None:
        super().__init__()
        self.network = network
        self.kind = head
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(head.input_size(network.hidden_size), head.outputs)

    def forward(self, batch: HeadBatch) -> Tensor:
        """Return the logits, or the scores, of a batch. Shape (..., outputs): see the head."""
        features = self.kind.features(self.network.states(batch.tensors), batch)
        logits: Tensor = self.head(self.dropout(features.float()))
        return logits

    def train(self, mode: bool = True) -> Self:
        """Switch dropout on or off; that of a frozen network stays off."""
        super().train(mode)
        if not any(weight.requires_grad for weight in self.network.parameters()):
            self.network.eval()
        return self

    def loss(self, batch: HeadBatch) -> Tensor:
        """Return the mean loss of a batch."""
        return self.kind.loss(self(batch), batch)

    def predict(self, split: EncodedSplit) -> Predictions:
        """Return the prediction for each item, in order."""
        return map_batches(self, split, lambda batch: self.kind.predict(self(batch), batch))


def map_batches(
    module: "ModelWithHead | Network",
    split: EncodedSplit,
    predict: Callable[[HeadBatch], Predictions],
) -> Predictions:
    """Return what ``predict`` makes of each item, in order; it gets batches of similar length."""
    device = next(module.parameters()).device
    predictions: Predictions = [np.empty(0)] * len(split.items.rows)
    with evaluation_mode(module):
        for indices, batch in split.batches_by_length(device):
            for i, prediction in zip(indices, predict(batch), strict=True):
                predictions[i] = prediction
    return predictions
