"""Items as batches that a head reads, and a network with a head on it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from lmcompare.adaptation.heads import Answers, Head, HeadBatch
from lmcompare.core.example import Example, Ids, collate
from lmcompare.data.tokenized_split import TokenizedSplit
from lmcompare.language_model import LanguageModel
from lmcompare.models.network import BatchTensors, Network, evaluation_mode
from lmcompare.models.pooling import place_of

GROUP = 64
"""Items that are answered at once."""


@dataclass(frozen=True)
class EncodedSplit:
    """A part as one network reads it.

    Attributes:
        part: what it is made of.
        examples: of each item, what is read of its texts.
        pad: fills short rows.
        sizes: of each item, the inputs of its longest text.
    """

    part: TokenizedSplit
    examples: list[tuple[Example, ...]]
    pad: int
    sizes: list[int]

    @classmethod
    def of(cls, model: LanguageModel, part: TokenizedSplit, attention: str) -> "EncodedSplit":
        """Read the texts as the model's objective does, with the attention mask of ``Adaptation.attention``."""
        special = model.tokenizer.special
        examples = [
            tuple(_seen(model.objective.encoding_example(row, special), attention) for row in rows)
            for rows in part.rows
        ]
        return cls(
            part,
            examples,
            special.pad,
            [max(len(e.inputs) for e in several) for several in examples],
        )

    def reading(self, group: Sequence[int], device: torch.device) -> HeadBatch:
        """Return a batch of the items with these numbers."""
        batch = collate([example for i in group for example in self.examples[i]], self.pad)
        tensors, wanted = BatchTensors.of(batch, device), [self.part.wanted[i] for i in group]
        if not self.part.marks:
            return HeadBatch(tensors, wanted)
        marks, starts = np.full(batch.inputs.shape, -1), np.zeros(len(group), dtype=np.int64)
        for number, i in enumerate(group):
            starts[number] = first = place_of(self.part.rows[i][0], self.examples[i][0].inputs)
            marks[number, first : first + len(self.part.marks[i])] = self.part.marks[i]
        return HeadBatch(
            tensors, wanted, torch.from_numpy(marks).to(device), torch.from_numpy(starts).to(device)
        )

    def by_length(self, device: torch.device) -> Iterator[tuple[list[int], HeadBatch]]:
        """Yield batches of items of like length."""
        order = sorted(
            range(len(self.part.rows)), key=lambda i: max(len(row) for row in self.part.rows[i])
        )
        for first in range(0, len(order), GROUP):
            yield order[first : first + GROUP], self.reading(order[first : first + GROUP], device)


def _seen(example: Example, attention: str) -> Example:
    if attention == "own":
        return example
    return replace(example, attention="full" if attention == "bidirectional" else "causal")


class ModelWithHead(nn.Module):
    """A network, what a head makes of its states, dropout and one linear layer: the same for every objective.

    Args:
        network: see ``trainable.trainable``.
        head: the kind of head.
    """

    def __init__(self, network: Network, head: Head) -> None:
        super().__init__()
        self.network = network
        self.kind = head
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(head.size(network.hidden_size), head.outputs)

    def forward(self, reading: HeadBatch) -> Tensor:
        """Return what the linear layer says. Shape (..., outputs)."""
        states = self.kind.features(self.network.states(reading.tensors), reading)
        said: Tensor = self.head(self.dropout(states.float()))
        return said

    def train(self, mode: bool = True) -> Self:
        """Switch dropout on or off; that of a frozen network stays off."""
        super().train(mode)
        if not any(weight.requires_grad for weight in self.network.parameters()):
            self.network.eval()
        return self

    def loss(self, reading: HeadBatch) -> Tensor:
        """Return the mean loss."""
        return self.kind.loss(self(reading), reading)

    def answers(self, items: EncodedSplit) -> Answers:
        """Return the answer to each item, in order."""
        return each(
            self, self.network, items, lambda reading: self.kind.answers(self(reading), reading)
        )


def each(
    module: nn.Module, network: Network, items: EncodedSplit, ask: Callable[[HeadBatch], Answers]
) -> Answers:
    """Return what ``ask`` says of each item, in order, asked in batches of items of like length."""
    found: Answers = [np.empty(0)] * len(items.part.rows)
    with evaluation_mode(module):
        for group, reading in items.by_length(network.device):
            for i, answer in zip(group, ask(reading), strict=True):
                found[i] = answer
    return found


def texts(rows: Sequence[Ids]) -> list[tuple[Ids, ...]]:
    """Return rows as items of one text."""
    return [(row,) for row in rows]
