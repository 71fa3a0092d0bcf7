"""What training reads at each step, and what validation asks: blocks in order, corrupted by seeded generators."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from lmcompare.core import settings
from lmcompare.core.example import IGNORE, Batch, Ids, SpecialTokens, collate
from lmcompare.models.batch_tensors import BatchTensors
from lmcompare.models.network import Network, evaluation_mode
from lmcompare.objectives import Objective, sequence_example

ORDER, CORRUPT, FROZEN = 1, 2, 3
"""Which generator: one orders the blocks (the same for every objective), one corrupts them, one for evaluation."""


def first_rows(rows: Any, tokens: int | None) -> Any:
    """Return the first blocks that hold so many tokens, one at least; all of them if None, or if there are no more."""
    count = None if tokens is None else max(1, tokens // len(rows[0]["tokens"]))
    return rows if count is None or count >= len(rows) else rows.select(range(count))


@dataclass(frozen=True)
class TrainingBatches(Dataset[list[Batch]]):
    """The batches of each step for one process: a function of seed and step alone, so that a run resumes anywhere.

    Attributes:
        rows: (blocks, length) tokens, memory-mapped.
        objective: what a block asks.
        special: of the vocabulary.
        training: batch and accumulation.
        seed: orders and corrupts.
        isolated: whether documents see one another.
        process: number of this process.
        processes: how many there are; together they read the blocks that one would read.
    """

    rows: Any
    objective: Objective
    special: SpecialTokens
    training: settings.TrainingSettings
    seed: int
    isolated: bool
    process: int = 0
    processes: int = 1
    _orders: dict[int, Ids] = field(default_factory=dict)

    def __len__(self) -> int:
        return max(
            1, self.training.tokens // (self.training.batch_size * len(self.rows[0]["tokens"]))
        )

    def __getitem__(self, step: int) -> list[Batch]:
        """Return the micro-batches of ``step`` that this process reads."""
        first = step * self.training.batch_size
        places = range(first + self.process, first + self.training.batch_size, self.processes)
        examples, progress = [], step / len(self)
        for place in places:
            epoch, index = divmod(place, len(self.rows))
            block = int(self._order(epoch)[index])
            rng = np.random.default_rng([CORRUPT, self.seed, epoch, block])
            tokens = np.asarray(self.rows[block]["tokens"], dtype=np.int64)
            examples.append(
                sequence_example(
                    self.objective,
                    tokens,
                    self.special,
                    rng,
                    isolated=self.isolated,
                    progress=progress,
                )
            )
        cuts = np.array_split(
            np.arange(len(examples)), min(self.training.gradient_accumulation_steps, len(examples))
        )
        return [collate([examples[i] for i in cut], self.special.pad) for cut in cuts]

    def _order(self, epoch: int) -> Ids:
        if epoch not in self._orders:
            self._orders.clear()
            self._orders[epoch] = np.random.default_rng([ORDER, self.seed, epoch]).permutation(
                len(self.rows)
            )
        return self._orders[epoch]


@dataclass(frozen=True)
class ValidationBatches:
    """Validation blocks with frozen corruption: every point of the curve, every seed and every run asks the same.

    A schedule asks as its last stage does, from the first point on: its curve is of one question.

    Attributes:
        batches: what is asked.
        unigram: (vocabulary,) log-probabilities in nats.
        special: of the vocabulary.
    """

    batches: list[Batch]
    unigram: NDArray[np.float64]
    special: SpecialTokens

    @classmethod
    def of(
        cls,
        rows: Any,
        objective: Objective,
        special: SpecialTokens,
        unigram: NDArray[np.float64],
        *,
        blocks: int,
        batch: int,
        isolated: bool,
    ) -> "ValidationBatches":
        """Ask ``objective`` about the first ``blocks`` rows."""
        examples = []
        for i in range(min(blocks, len(rows))):
            tokens = np.asarray(rows[i]["tokens"], dtype=np.int64)
            examples.append(
                sequence_example(
                    objective,
                    tokens,
                    special,
                    np.random.default_rng([FROZEN, i]),
                    isolated=isolated,
                )
            )
        groups = [examples[i : i + batch] for i in range(0, len(examples), batch)]
        return cls([collate(group, special.pad) for group in groups], unigram, special)

    def measure(self, network: Network) -> dict[str, float]:
        """Return, in nats per target: 'loss' over all targets, 'text_loss' and 'unigram' over those that are text.

        Each is a mean with the weights that the objective gives its targets.
        """
        total, text, unigram, targets, texts = 0.0, 0.0, 0.0, 0.0, 0.0
        with evaluation_mode(network):
            for batch in self.batches:
                losses = network(BatchTensors.of(batch, network.device)).double().cpu().numpy()
                wanted = batch.targets[batch.targets != IGNORE]
                ordinary = ~self.special.is_special(wanted)
                weights = batch.target_weights
                losses *= weights
                total, targets = total + losses.sum(), targets + weights.sum()
                text, texts = text + losses[ordinary].sum(), texts + weights[ordinary].sum()
                unigram -= (self.unigram[wanted[ordinary]] * weights[ordinary]).sum()
        return {
            "loss": float(total / targets),
            "text_loss": float(text / (texts or 1)),
            "unigram": float(unigram / (texts or 1)),
        }
