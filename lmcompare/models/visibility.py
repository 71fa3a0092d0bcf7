"""The attention of a network, measured: change one input, and see which outputs change."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmcompare.core.example import Example, Ids, SpecialTokens, collate
from lmcompare.models.batch_tensors import BatchTensors
from lmcompare.models.network import Network, evaluation_mode

Matrix = NDArray[np.bool_]

_SUBSTITUTES = 3
"""Other tokens that each input is changed to."""

_ROUNDING = 1e-6
"""Change of an output, as a share of the largest output, that is put down to rounding at least."""


@dataclass(frozen=True)
class Visibility:
    """In each matrix, [i, j] says whether output i changes when input j does."""

    own: Matrix
    """(n, n) self-attention over the inputs; of an encoder-decoder, that of the encoder's states"""
    decoder: Matrix | None = None
    """(m, m) the logits of an encoder-decoder over the decoder's inputs"""
    cross: Matrix | None = None
    """(m, n) the same logits over the encoder's inputs"""


def measure_visibility(
    network: Network, example: Example, special: SpecialTokens, *, batch_tokens: int = 16_384
) -> Visibility:
    """Measure which outputs of the network depend on which inputs of an example.

    Each input is changed, in copies of the example, to three other ordinary tokens. An output that
    changes by more than it does in unchanged copies depends on that input. Nothing is read off a
    config, so paths through several layers count, and so does the residual stream from an input to
    its own output; an influence below float32's rounding is not seen.

    Args:
        network: of any role.
        example: what it reads; the targets do not matter.
        special: of its tokenizer.
        batch_tokens: tokens of a forward pass at most.

    >>> from lmcompare.core.settings import NetworkSettings
    >>> from lmcompare.models.network import build_network
    >>> from lmcompare.objectives.causal import Causal
    >>> tiny = NetworkSettings(hidden_size=8, num_layers=1, num_heads=2, ffn_multiplier=2.0)
    >>> network = build_network(tiny, "decoder", special, seed=1)
    >>> example = Causal().encoding_example(np.array([50, 51]), special)
    >>> measure_visibility(network, example, special).own.astype(int).tolist()
    [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    """

    def logits(batch: BatchTensors) -> Tensor:
        everywhere = torch.ones_like(batch.targets, dtype=torch.bool)
        flat = network.logits(batch, everywhere)
        return flat.view(len(batch.targets), -1, flat.shape[-1])  # (B, m, vocab)

    def measured(field: str, forward: Callable[[BatchTensors], Tensor]) -> Matrix:
        def run(rows: Ids) -> Tensor:
            examples = [replace(example, **{field: row}) for row in rows]
            return forward(BatchTensors.of(collate(examples, special.pad), network.device))

        return _changes(network, run, getattr(example, field), special, batch_tokens)

    if example.decoder_inputs is None:
        return Visibility(own=measured("inputs", logits))
    return Visibility(
        own=measured("inputs", network.states),
        decoder=measured("decoder_inputs", logits),
        cross=measured("inputs", logits),
    )


def _changes(
    network: Network,
    run: Callable[[Ids], Tensor],
    inputs: Ids,
    special: SpecialTokens,
    batch_tokens: int,
) -> Matrix:
    """Return whether output i changes when input j does. Shape (outputs, inputs)."""
    variants = _variants(inputs, special)
    substitutes = len(variants) // len(inputs)
    size = max(1, batch_tokens // len(inputs) - 2)
    shifts: list[NDArray[np.float32]] = []
    noise = 0.0
    with evaluation_mode(network):
        for first in range(0, len(variants), size):
            # Two unchanged copies, first and last, measure how much rounding alone changes.
            rows = [inputs, *variants[first : first + size], inputs]
            outputs = run(np.stack(rows)).float()  # (rows, outputs, vocab or hidden)
            shift = (outputs[1:] - outputs[0]).abs().amax(-1)  # (rows - 1, outputs)
            largest = float(outputs.abs().max())
            noise = max(noise, float(shift[-1].max()), largest * _ROUNDING)
            shifts.extend(shift[:-1].cpu().numpy())
    largest_shift = np.stack(shifts).reshape(len(inputs), substitutes, -1).max(1)
    changed: Matrix = (largest_shift > 4 * noise).T
    return changed


def _variants(inputs: Ids, special: SpecialTokens) -> list[Ids]:
    """Return copies of the inputs (n,), each with one token changed: the first place's first."""
    variants = []
    for place, token in enumerate(inputs):
        others = special.ordinary[special.ordinary != token]
        count = min(_SUBSTITUTES, len(others))
        for other in np.random.default_rng(place).choice(others, count, replace=False):
            variant = inputs.copy()
            variant[place] = other
            variants.append(variant)
    return variants
