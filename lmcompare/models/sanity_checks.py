"""What a network is asked once, before anything that it says is believed."""

import numpy as np
import torch
from numpy.typing import NDArray

from lmcompare.core.errors import InputError
from lmcompare.core.example import IGNORE, Example, SpecialTokens, collate
from lmcompare.models.batch_tensors import BatchTensors
from lmcompare.models.families import context_length
from lmcompare.models.network import Network, evaluation_mode
from lmcompare.objectives import Objective

_LEAST = 1e-3
"""Share of an answer that rounding may move in float32."""


def check_answers(network: Network, objective: Objective, special: SpecialTokens) -> None:
    """Refuse a network that cannot be asked, or whose answers move with the padding beside a text.

    A class may have a head of another shape than its siblings (MobileBERT), or mix padding into what it reads (FNet,
    ConvBERT): its config does not say so. One short text is asked alone, and beside a longer one.

    Raises:
        InputError: it raises, or they move.
    """
    name, context = type(network.transformer).__name__, context_length(network.transformer.config)
    texts = [_text(special, size) for size in (3, 9)]
    short, long = (objective.scoring_examples(text[:-1], text[-1:], special)[:1] for text in texts)
    if context is not None and any(_size(example) > context for example in long):
        return
    try:
        with evaluation_mode(network):
            alone = _nats(network, short, special)
            beside = _nats(network, [*short, *long], special)[: len(alone)]
    except (
        AttributeError,
        IndexError,
        KeyError,
        NotImplementedError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        said = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise InputError(
            f"{name}: wanted a network that answers, got one that fails: {said[0]}"
        ) from error
    rounding = max(_LEAST, 32 * torch.finfo(network.transformer.dtype).eps)
    if np.abs(alone - beside).max() > rounding * max(1.0, np.abs(alone).max()):
        raise InputError(
            f"{name}: wanted a network that reads its text alone, got one whose answer moves with the padding beside "
            f"it ({-alone.sum():.3f} nats alone, {-beside.sum():.3f} beside a longer text)"
        )


def check_causal(network: Network, special: SpecialTokens) -> None:
    """Refuse a network whose outputs move when the last input changes: what it says of a text would be no likelihood.

    Names and configs promise a mask; this asks, once, in a batch of five rows of at most eight tokens.

    Raises:
        InputError: they move.
    """
    size = min(8, context_length(network.transformer.config) or 8)
    if size < 2:
        return
    tokens = _text(special, size)
    others = special.ordinary[special.ordinary != tokens[-1]][:3]
    # An unchanged copy, at the end, says how much rounding alone moves.
    rows = [tokens, *(np.append(tokens[:-1], other) for other in others), tokens]
    batch = BatchTensors.of(
        collate([Example(row, row, attention="causal") for row in rows], special.pad),
        network.device,
    )
    with evaluation_mode(network):
        before = (
            network.logits(batch, batch.targets != IGNORE).float().view(len(rows), size, -1)[:, :-1]
        )
    moved = (before[1:] - before[0]).abs().amax((1, 2))
    noise = max(
        float(moved[-1]),
        float(before.abs().max()) * max(1e-6, torch.finfo(network.transformer.dtype).eps),
    )
    if float(moved.max()) > 4 * noise:
        raise InputError(
            f"{type(network.transformer).__name__}: wanted a causal network, got one that sees what follows: what it "
            "says of the first tokens changes with the last one"
        )


def _text(special: SpecialTokens, size: int) -> NDArray[np.int64]:
    if not len(special.ordinary):
        raise InputError("tokenizer: wanted one with ordinary tokens, got special ones alone")
    return np.resize(special.ordinary, size)


def _size(example: Example) -> int:
    return max(
        len(example.inputs), 0 if example.decoder_inputs is None else len(example.decoder_inputs)
    )


def _nats(network: Network, examples: list[Example], special: SpecialTokens) -> NDArray[np.float64]:
    batch = BatchTensors.of(collate(examples, special.pad), network.device)
    found: NDArray[np.float64] = network(batch).double().cpu().numpy()
    return found
