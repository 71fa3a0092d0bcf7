"""What training a model will cost, estimated from its settings; and the sizes of a given cost."""

from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lmcompare.core import settings
from lmcompare.core.cells import CellSettings
from lmcompare.core.example import Batch, Example, SpecialTokens, collate
from lmcompare.core.network_costs import batch_flops, count_parameters
from lmcompare.objectives import Objective, Role, sequence_example

COSTS = {
    "tokens": "corpus tokens read",
    "flops": "training FLOPs",
    "flops_per_token": "training FLOPs per corpus token",
    "parameters": "parameters",
    "parameters_without_embeddings": "parameters without embeddings",
    "targets": "targets",
}
"""What can be estimated before training, and how a report says it."""

BY_SIZE = frozenset({"flops_per_token", "parameters", "parameters_without_embeddings"})
"""Matched by the size of the network, at equal tokens; the others by the number of tokens."""

_SAMPLE_STEP, _LARGEST_SAMPLE = 256, 4096
"""Random sequences from which the number of targets is estimated: at a time, and at most."""
_STANDARD_ERROR = 0.01
"""Standard error of that estimate, as a share of it, at which the sample is large enough."""
_SAMPLES: dict[tuple[Any, ...], Batch] = {}


@dataclass(frozen=True)
class CostModel:
    """The expected costs of a model that is trained here."""

    network: settings.NetworkSettings
    training: settings.TrainingSettings
    role: Role
    vocab_size: int
    length: int
    """tokens in a sequence"""
    sample: Batch
    """training examples of random sequences"""
    name: str = ""
    """of the model"""

    @property
    def steps(self) -> int:
        """Steps of training."""
        return max(1, self.training.tokens // (self.training.batch_size * self.length))

    def cost(self, name: str) -> float:
        """Return how much of one of ``COSTS`` the model is expected to take."""
        sequences = self.steps * self.training.batch_size
        sampled = len(self.sample.inputs)
        if name == "tokens":
            return sequences * self.length
        if name == "targets":
            return sequences * self.sample.num_targets / sampled
        if name in ("flops", "flops_per_token"):
            forward = batch_flops(self.network, self.role, self.sample, self.vocab_size)
            per_sequence = 3 * forward / sampled
            return per_sequence * (sequences if name == "flops" else 1 / self.length)
        return count_parameters(self.network, self.role, self.vocab_size)[name]

    def matched(self, reference: "CostModel", cost: str) -> "CostModel":
        """Return this model at the reference's cost, as near as whole sizes and steps come."""
        if cost not in BY_SIZE:
            return self.trained_to(cost, reference.cost(cost))
        equal_tokens = self.trained_to("tokens", reference.cost("tokens"))
        return equal_tokens.resized_to(cost, reference.cost(cost))

    def trained_to(self, cost: str, amount: float) -> "CostModel":
        """Return this model with the number of steps at which it takes ``amount``."""
        steps = max(1, round(amount * self.steps / self.cost(cost)))
        if steps == self.steps:
            return self
        tokens = steps * self.training.batch_size * self.length
        return replace(self, training=replace(self.training, tokens=tokens))

    def resized_to(self, cost: str, amount: float) -> "CostModel":
        """Return this model with the hidden size that comes nearest to ``amount``.

        The hidden size is a multiple of twice the heads, so that they divide it into even parts.
        The inner size of the feed-forward takes up the rest: it is the one that is set or, if that
        is nearer, a multiple of 8. Layers and heads stay.
        """

        def distance(model: "CostModel") -> float:
            return abs(model.cost(cost) - amount)

        # The hidden sizes just below and above the amount.
        step, most = 2 * self.network.num_heads, 1
        while self._resized(most * step).cost(cost) < amount:
            most *= 2
        above = bisect_left(
            range(most), amount, key=lambda i: self._resized((i + 1) * step).cost(cost)
        )
        sizes = {max(0, above - 1), above}
        nearest = min((self._resized((i + 1) * step) for i in sizes), key=distance)

        # The cost is linear in the inner size of the feed-forward.
        hidden = nearest.network.hidden_size
        inner = round(nearest.network.ffn_multiplier * hidden)
        wider = nearest._resized(hidden, (inner + 8) / hidden)
        slope = (wider.cost(cost) - nearest.cost(cost)) / 8
        exact = inner + (amount - nearest.cost(cost)) / slope
        inner_sizes = sorted({max(8, 8 * (int(exact // 8) + i)) for i in (0, 1)})
        others = [nearest._resized(hidden, round(size / hidden, 4)) for size in inner_sizes]
        return min([nearest, *others], key=distance)

    def _resized(self, hidden_size: int, ffn_multiplier: float | None = None) -> "CostModel":
        multiplier = self.network.ffn_multiplier if ffn_multiplier is None else ffn_multiplier
        network = replace(self.network, hidden_size=hidden_size, ffn_multiplier=multiplier)
        return replace(self, network=network)


def cost_model(experiment: CellSettings, model: str) -> CostModel:
    """Return the expected costs of a model that is trained here.

    They rest on random sequences without ends of documents, and on a tokenizer as large as it may
    become. What is really spent, the run counts and the report prints.

    Raises:
        InputError: the objective makes no example of such sequences.
    """
    objective: Any = experiment.models[model].objective
    tokenizer, sequence = experiment.tokenizer, experiment.sequence
    isolated = sequence.packing == "isolated"
    return CostModel(
        experiment.network_of(model),
        experiment.training_of(model),
        objective.role,
        tokenizer.vocab_size,
        sequence.length,
        _sample(objective, tokenizer, sequence.length, isolated=isolated),
        model,
    )


def _sample(
    objective: Objective, tokenizer: settings.TokenizerSettings, length: int, *, isolated: bool
) -> Batch:
    """Return examples of random sequences over all of training, the same at each call."""
    key = repr(objective), tokenizer, length, isolated
    if key not in _SAMPLES:
        _SAMPLES[key] = _draw_sample(objective, tokenizer, length, isolated=isolated)
    return _SAMPLES[key]


def _draw_sample(
    objective: Objective, tokenizer: settings.TokenizerSettings, length: int, *, isolated: bool
) -> Batch:
    first = 4 + tokenizer.sentinels
    ids = np.arange(tokenizer.vocab_size)
    special = SpecialTokens(
        0, 1, 2, 3, tuple(range(4, first)), ids[first:], ids % 3 > 0, ids % 20 == 0
    )
    examples: list[Example] = []
    while len(examples) < _LARGEST_SAMPLE:
        for number in range(len(examples), len(examples) + _SAMPLE_STEP):
            rng = np.random.default_rng(number)
            tokens = rng.choice(special.ordinary, length)
            # Multiples of the golden ratio spread any number of sequences evenly over training.
            progress = number * 0.6180339887 % 1
            examples.append(
                sequence_example(
                    objective, tokens, special, rng, isolated=isolated, progress=progress
                )
            )
        counts = np.array([example.has_target.sum() for example in examples])
        if counts.std() <= _STANDARD_ERROR * counts.mean() * len(counts) ** 0.5:
            break
    return collate(examples, special.pad)
