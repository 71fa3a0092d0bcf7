"""What a model will cost, told from its settings alone; and the sizes and steps at which it costs a given amount."""

from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lmcompare.core import settings
from lmcompare.core.cells import CellSettings
from lmcompare.core.example import Batch, Example, SpecialTokens, collate
from lmcompare.objectives import Objective, Role, sequence_example

COSTS = {
    "tokens": "corpus tokens read",
    "flops": "training FLOPs",
    "flops_per_token": "training FLOPs per corpus token",
    "parameters": "parameters",
    "parameters_without_embeddings": "parameters without embeddings",
    "targets": "targets",
}
"""What can be told beforehand, and how a report says it."""

BY_SIZE = frozenset({"flops_per_token", "parameters", "parameters_without_embeddings"})
"""Matched by the size of the network, at equal tokens; the others by the tokens read, at the size that is set."""

_BLOCKS, _MOST = 256, 4096
"""Blocks that an objective is asked about at a time, and at most, to learn what it asks on average."""
_NEAR = 0.01
"""Standard error of that average, as a share of it, at which it is near enough."""


def parameters(network: settings.NetworkSettings, role: Role, vocabulary: int) -> dict[str, int]:
    """Count the parameters that ``build_network`` makes: 'parameters' and 'parameters_without_embeddings'.

    A layer has four projections of the attention, three matrices of the gated feed-forward and four norms; a layer of
    the decoder of an encoder-decoder has four projections and two norms more, of its cross-attention. All roles have
    one table of embeddings, which is the output layer too.

    Args:
        network: the sizes.
        role: of the block.
        vocabulary: number of ids.

    >>> tiny = settings.NetworkSettings(hidden_size=8, num_layers=1, num_heads=2, ffn_multiplier=2.0)
    >>> parameters(tiny, "decoder", 10), parameters(tiny, "encoder-decoder", 10)["parameters_without_embeddings"]
    ({'parameters': 760, 'parameters_without_embeddings': 680}, 1632)
    """
    d, inner = network.hidden_size, round(network.ffn_multiplier * network.hidden_size)
    stack = network.num_layers * (4 * d * d + 3 * d * inner + 4 * d) + d
    own = (
        stack if role != "encoder-decoder" else 2 * stack + network.num_layers * (4 * d * d + 2 * d)
    )
    return {"parameters": own + vocabulary * d, "parameters_without_embeddings": own}


@dataclass(frozen=True)
class ModelSide:
    """A model as far as it is known, before anything is run, what it costs.

    Attributes:
        network: its sizes.
        training: how long it is trained.
        role: of its block.
        vocabulary: number of ids.
        length: tokens in a block.
        asked: what its objective asks about some blocks.
    """

    network: settings.NetworkSettings
    training: settings.TrainingSettings
    role: Role
    vocabulary: int
    length: int
    asked: Batch

    @property
    def steps(self) -> int:
        """Steps of training."""
        return max(1, self.training.tokens // (self.training.batch_size * self.length))

    def spends(self, cost: str) -> float:
        """Return how much of a cost (one of ``COSTS``) this model is expected to take."""
        blocks, rows = self.steps * self.training.batch_size, len(self.asked.inputs)
        if cost == "tokens":
            return blocks * self.length
        if cost == "targets":
            return blocks * self.asked.num_targets / rows
        if cost in ("flops", "flops_per_token"):
            from lmcompare.training.budget import batch_flops  # torch: only where FLOPs are matched

            each = 3 * batch_flops(self.network, self.role, self.asked, self.vocabulary) / rows
            return each * blocks if cost == "flops" else each / self.length
        return parameters(self.network, self.role, self.vocabulary)[cost]

    def reading(self, cost: str, amount: float) -> "ModelSide":
        """Return this model with the number of steps at which it takes ``amount`` of a cost."""
        steps = max(1, round(amount * self.steps / self.spends(cost)))
        if steps == self.steps:
            return self
        return replace(
            self,
            training=replace(self.training, tokens=steps * self.training.batch_size * self.length),
        )

    def sized(self, cost: str, amount: float) -> "ModelSide":
        """Return this model with the width that comes nearest to ``amount``; the feed-forward takes up the rest.

        The width is a multiple of twice the heads, so that they divide it into even parts. The inner width of the
        feed-forward is the one that is set or, if that is nearer, a multiple of 8. Layers and heads stay.
        """

        def off(side: "ModelSide") -> float:
            return abs(side.spends(cost) - amount)

        step, most = 2 * self.network.num_heads, 1
        while self._wide(most * step).spends(cost) < amount:
            most *= 2
        place = bisect_left(
            range(most), amount, key=lambda i: self._wide((i + 1) * step).spends(cost)
        )
        near = min((self._wide((i + 1) * step) for i in {max(0, place - 1), place}), key=off)
        width = near.network.hidden_size
        inner = round(near.network.ffn_multiplier * width)
        more = near._wide(width, (inner + 8) / width)
        wanted = inner + 8 * (amount - near.spends(cost)) / (more.spends(cost) - near.spends(cost))
        others = {max(8, 8 * (int(wanted // 8) + i)) for i in (0, 1)}
        return min(
            [near, *(near._wide(width, round(other / width, 4)) for other in sorted(others))],
            key=off,
        )

    def _wide(self, width: int, feedforward: float | None = None) -> "ModelSide":
        of = self.network.ffn_multiplier if feedforward is None else feedforward
        return replace(self, network=replace(self.network, hidden_size=width, ffn_multiplier=of))

    def matched(self, reference: "ModelSide", cost: str) -> "ModelSide":
        """Return this model with as much of a cost as ``reference`` takes, as near as whole sizes and steps come."""
        if cost not in BY_SIZE:
            return self.reading(cost, reference.spends(cost))
        equal = self.reading("tokens", reference.spends("tokens"))
        return equal.sized(cost, reference.spends(cost))


def side(experiment: CellSettings, model: str) -> ModelSide:
    """Return what is known of the cost of a model that is trained here.

    Its objective is asked about random blocks without ends of documents; a vocabulary is taken to be as large as it
    may become. What is really spent, the run counts and the report prints.

    Raises:
        InputError: the objective cannot ask about such blocks.
    """
    objective: Any = experiment.models[model].objective
    vocabulary, length = experiment.tokenizer, experiment.sequence.length
    return ModelSide(
        experiment.network_of(model),
        experiment.training_of(model),
        objective.role,
        vocabulary.vocab_size,
        length,
        _asked(objective, vocabulary, length, isolated=experiment.sequence.packing == "isolated"),
    )


def _asked(
    objective: Objective, vocabulary: settings.TokenizerSettings, length: int, *, isolated: bool
) -> Batch:
    """Return what an objective asks about random blocks of text, the same at each call, over all of training."""
    first = 4 + vocabulary.sentinels
    ids = np.arange(vocabulary.vocab_size)
    special = SpecialTokens(
        0, 1, 2, 3, tuple(range(4, first)), ids[first:], ids % 3 > 0, ids % 20 == 0
    )
    examples: list[Example] = []
    while len(examples) < _MOST:
        for block in range(len(examples), len(examples) + _BLOCKS):
            rng = np.random.default_rng(block)
            tokens = rng.choice(special.ordinary, length)
            # Multiples of the golden ratio: however many blocks there are, they are spread over all of training.
            examples.append(
                sequence_example(
                    objective,
                    tokens,
                    special,
                    rng,
                    isolated=isolated,
                    progress=block * 0.6180339887 % 1,
                )
            )
        counts = np.array([example.has_target.sum() for example in examples])
        if counts.std() <= _NEAR * counts.mean() * len(counts) ** 0.5:
            break
    return collate(examples, special.pad)
