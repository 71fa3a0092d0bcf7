"""Which output can see which input, measured: change one input, watch which outputs move."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmcompare.core.example import Example, Ids, SpecialTokens, collate
from lmcompare.models.network import BatchTensors, Network, evaluation_mode

Matrix = NDArray[np.bool_]

_SUBSTITUTES = 3


@dataclass(frozen=True)
class Visibility:
    """Who sees whom; in each matrix [i, j] says whether output i moves when input j changes.

    Attributes:
        own: (n, n) of the decoder or encoder over its inputs; of an encoder-decoder, the encoder's states.
        decoder: (m, m) the logits of an encoder-decoder over what its decoder reads; None if there is none.
        cross: (m, n) the same logits over what its encoder reads; None if there is none.
    """

    own: Matrix
    decoder: Matrix | None = None
    cross: Matrix | None = None


def measure_visibility(
    network: Network, example: Example, special: SpecialTokens, *, batch_tokens: int = 16_384
) -> Visibility:
    """Measure which output of the network can see which input of an example.

    Each input is changed in copies of its own (to three other ordinary tokens), and an output that moves by more than
    rounding does in unchanged copies has seen it. Nothing is read off a config. So what is found is what the network
    does with this text: paths through several layers count, the path of a token to its own output by the residual
    stream counts, and an influence below float32's rounding (say, through attention that a trained head has all but
    switched off) is not seen.

    Args:
        network: in any role.
        example: what it reads; the targets are not looked at.
        special: of its vocabulary.
        batch_tokens: positions that one forward pass may hold.

    >>> from lmcompare.core.settings import NetworkSettings
    >>> from lmcompare.models.network import build_network
    >>> from lmcompare.objectives.causal import Causal
    >>> tiny = NetworkSettings(width=8, layers=1, heads=2, feedforward=2.0)
    >>> network = build_network(tiny, "decoder", special, seed=1)
    >>> example = Causal().encoding_example(np.array([50, 51]), special)
    >>> measure_visibility(network, example, special).own.astype(int).tolist()
    [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    """
    if example.decoder_inputs is None:
        own = _logits(network, example, special)
        return Visibility(_moved(network, own, example.inputs, special, batch_tokens))
    decoder = example.decoder_inputs

    def states(rows: Ids) -> Tensor:
        read = [Example(row, row, None, example.attention, example.segments) for row in rows]
        return network.states(BatchTensors.of(collate(read, special.pad), network.device))

    return Visibility(
        own=_moved(network, states, example.inputs, special, batch_tokens),
        decoder=_moved(
            network, _logits(network, example, special, True), decoder, special, batch_tokens
        ),
        cross=_moved(
            network, _logits(network, example, special), example.inputs, special, batch_tokens
        ),
    )


def _logits(
    network: Network, example: Example, special: SpecialTokens, decoder: bool = False
) -> Callable[[Ids], Tensor]:
    """Return the function from rows of (changed) inputs to the logits at every output."""

    def ask(rows: Ids) -> Tensor:
        read = [
            replace(example, **{"decoder_inputs" if decoder else "inputs": row}) for row in rows
        ]
        batch = BatchTensors.of(collate(read, special.pad), network.device)
        logits = network.logits(batch, torch.ones_like(batch.targets, dtype=torch.bool))
        return logits.view(len(rows), -1, logits.shape[-1])

    return ask


def _moved(
    network: Network,
    ask: Callable[[Ids], Tensor],
    inputs: Ids,
    special: SpecialTokens,
    batch_tokens: int,
) -> Matrix:
    """Return whether output i moves when input j changes. Shape (outputs, inputs)."""
    changed: list[Ids] = []
    for place, token in enumerate(inputs):
        others = special.ordinary[special.ordinary != token]
        for other in np.random.default_rng(place).choice(
            others, min(_SUBSTITUTES, len(others)), replace=False
        ):
            row = inputs.copy()
            row[place] = other
            changed.append(row)
    each = len(changed) // len(inputs)
    shifts: list[NDArray[np.float32]] = []
    noise = 0.0
    size = max(1, batch_tokens // len(inputs) - 2)
    with evaluation_mode(network):
        for first in range(0, len(changed), size):
            # Two unchanged copies, first and last, say how much rounding alone moves.
            part = [inputs, *changed[first : first + size], inputs]
            outputs = ask(np.stack(part)).float()
            far = (outputs[1:] - outputs[0]).abs().amax(-1)  # (changed + 1, outputs)
            largest = float(outputs.abs().max())
            noise = max(noise, float(far[-1].max()), largest * 1e-6)
            shifts.extend(far[:-1].cpu().numpy())
    shift = np.stack(shifts).reshape(len(inputs), each, -1).max(1)
    moved: Matrix = (shift > 4 * noise).T
    return moved
