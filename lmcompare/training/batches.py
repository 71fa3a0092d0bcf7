"""Batches of pretraining and validation: examples that seeded generators make of sequences."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from lmcompare.core import settings
from lmcompare.core.example import IGNORE, Batch, Example, Ids, SpecialTokens, collate
from lmcompare.models.batch_tensors import BatchTensors
from lmcompare.models.network import Network, evaluation_mode
from lmcompare.objectives import Objective, sequence_example

ORDER, CORRUPTION, VALIDATION = 1, 2, 3
"""First number of a seed: of the order of sequences (the same for all objectives), and of their
corruption in training and in validation."""


@dataclass(frozen=True)
class TrainingData:
    """Packed sequences and the objective that makes training examples of them."""

    sequences: Any
    """``PackedSequences``, of which ``train``, ``validation`` and ``unigram`` are read"""
    objective: Objective
    special: SpecialTokens
    seed: int
    """of the order of the sequences and of their corruption"""
    isolated: bool = False
    """whether no document of a sequence attends to another"""

    @property
    def vocab_size(self) -> int:
        """Number of ids."""
        return len(self.special.word_starts)

    def example(self, row: Any, rng: np.random.Generator, progress: float = 1.0) -> Example:
        """Return the example of one sequence when a share ``progress`` of training is done."""
        tokens = np.asarray(row["tokens"], dtype=np.int64)
        return sequence_example(
            self.objective, tokens, self.special, rng, isolated=self.isolated, progress=progress
        )

    def collate(self, examples: Sequence[Example]) -> Batch:
        """Return the examples as one padded batch."""
        return collate(examples, self.special.pad)


def first_rows(rows: Any, tokens: int | None) -> Any:
    """Return the first rows that hold ``tokens`` tokens, one at least; None: all of them."""
    count = len(rows) if tokens is None else max(1, tokens // len(rows[0]["tokens"]))
    return rows if count >= len(rows) else rows.select(range(count))


@dataclass(frozen=True)
class TrainingBatches(Dataset[list[Batch]]):
    """The micro-batches of each step for one process.

    They are a function of seed and step alone, so that a run resumes anywhere. All processes
    together read the sequences that one would read.
    """

    data: TrainingData
    training: settings.TrainingSettings
    process: int = 0
    processes: int = 1

    @cached_property
    def rows(self) -> Any:
        """The sequences that are read, ``unique_tokens`` at most."""
        return first_rows(self.data.sequences.train, self.training.unique_tokens)

    @property
    def tokens_per_step(self) -> int:
        """Corpus tokens of a step, over all processes."""
        return self.training.batch_size * len(self.rows[0]["tokens"])

    @cached_property
    def evaluation_steps(self) -> set[int]:
        """Steps after which the network is evaluated: evenly spaced, the last among them."""
        count = self.training.evaluations
        return {round((i + 1) * len(self) / count) for i in range(count)} | {len(self)}

    def __len__(self) -> int:
        return max(1, self.training.tokens // self.tokens_per_step)

    def __getitem__(self, step: int) -> list[Batch]:
        # Every process takes each ``processes``-th sequence of the step.
        first = step * self.training.batch_size
        examples = []
        for position in range(
            first + self.process, first + self.training.batch_size, self.processes
        ):
            epoch, place = divmod(position, len(self.rows))
            index = int(_shuffled(len(self.rows), self.data.seed, epoch)[place])
            rng = np.random.default_rng([CORRUPTION, self.data.seed, epoch, index])
            examples.append(self.data.example(self.rows[index], rng, step / len(self)))

        # Gradient accumulation: the step's examples in parts of almost equal size.
        parts = min(self.training.gradient_accumulation_steps, len(examples))
        cuts = np.array_split(np.arange(len(examples)), parts)
        return [self.data.collate([examples[i] for i in cut]) for cut in cuts]


@lru_cache(maxsize=4)
def _shuffled(count: int, seed: int, epoch: int) -> Ids:
    return np.random.default_rng([ORDER, seed, epoch]).permutation(count)


def weighted_losses(model: Any, batch: Batch, device: torch.device) -> Tensor:
    """Return weight x -log p (nats) of each target of a batch by a network. Shape (targets,)."""
    losses: Tensor = model(BatchTensors.of(batch, device))
    return losses * torch.from_numpy(batch.target_weights).to(losses)


@dataclass(frozen=True)
class ValidationBatches:
    """Validation sequences with frozen corruption: the same at every point of every run's curve.

    A schedule of objectives is validated by its last stage throughout, so that its curve is of one
    quantity.
    """

    data: TrainingData
    batches: list[Batch]

    @classmethod
    def of(cls, data: TrainingData, training: settings.TrainingSettings) -> "ValidationBatches":
        """Take the first ``validation_sequences`` sequences of the validation split."""
        rows = data.sequences.validation
        examples = [
            data.example(rows[i], np.random.default_rng([VALIDATION, i]))
            for i in range(min(training.validation_sequences, len(rows)))
        ]
        size = training.batch_size
        groups = [examples[i : i + size] for i in range(0, len(examples), size)]
        return cls(data, [data.collate(group) for group in groups])

    def evaluate(self, network: Network) -> dict[str, float]:
        """Return three means in nats per target, each target with its weight in the loss.

        'loss' is over all targets; 'text_loss' and 'unigram' (the loss of unigram frequencies) over
        those that are ordinary tokens.
        """
        unigram = self.data.sequences.unigram
        loss_sum, text_sum, unigram_sum, weight_sum, text_weight = 0.0, 0.0, 0.0, 0.0, 0.0
        with evaluation_mode(network):
            for batch in self.batches:
                # All of shape (targets,), in row-major order of where they stand.
                weights = batch.target_weights
                targets = batch.targets[batch.targets != IGNORE]
                is_text = ~self.data.special.is_special(targets)
                losses = network(BatchTensors.of(batch, network.device)).double().cpu().numpy()
                losses *= weights

                loss_sum, weight_sum = loss_sum + losses.sum(), weight_sum + weights.sum()
                text_sum += losses[is_text].sum()
                text_weight += weights[is_text].sum()
                unigram_sum -= (unigram[targets[is_text]] * weights[is_text]).sum()
        return {
            "loss": float(loss_sum / weight_sum),
            "text_loss": float(text_sum / (text_weight or 1)),
            "unigram": float(unigram_sum / (text_weight or 1)),
        }
