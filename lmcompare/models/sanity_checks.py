"""Sanity checks of a checkpoint, made once before its scores are used."""

import numpy as np
import torch
from numpy.typing import NDArray

from lmcompare.core.errors import InputError
from lmcompare.core.example import IGNORE, Example, Ids, SpecialTokens, collate
from lmcompare.models.batch_tensors import BatchTensors
from lmcompare.models.input_formats import context_length
from lmcompare.models.network import Network, evaluation_mode
from lmcompare.objectives import Objective

_TOLERANCE = 1e-3
"""Share of a log-probability that rounding may change in float32."""

_FAILURES = (
    AttributeError,
    IndexError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What a forward pass of a class with another interface raises."""


def check_padding(network: Network, objective: Objective, special: SpecialTokens) -> None:
    """Refuse a network that fails, or whose log-probabilities depend on the padding beside a text.

    A class may have a head of another shape than its siblings (MobileBERT), or mix padding into
    what it reads (FNet, ConvBERT), and its config does not say so. One short text is scored alone,
    and beside a longer one.

    Raises:
        InputError: it fails, or they depend on it.
    """
    transformer = network.transformer
    name, context = type(transformer).__name__, context_length(transformer.config)
    texts = [_text(special, size) for size in (3, 9)]
    short, long = (objective.scoring_examples(text[:-1], text[-1:], special)[:1] for text in texts)
    if context is not None and any(_length(example) > context for example in long):
        return
    try:
        with evaluation_mode(network):
            alone = _nats(network, short, special)
            padded = _nats(network, [*short, *long], special)[: len(alone)]
    except _FAILURES as error:
        reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise InputError(
            f"{name}: wanted a network that scores a short text, got an error: {reason[0]}"
        ) from error
    tolerance = max(_TOLERANCE, 32 * torch.finfo(transformer.dtype).eps)
    if np.abs(alone - padded).max() > tolerance * max(1.0, np.abs(alone).max()):
        raise InputError(
            f"{name}: wanted log-probabilities that do not depend on padding, got "
            f"{-alone.sum():.3f} nats for a text alone, {-padded.sum():.3f} beside a longer one"
        )


def check_causal(network: Network, special: SpecialTokens) -> None:
    """Refuse a network whose earlier outputs depend on the last input: it gives no likelihoods.

    Names and configs promise a causal mask; this measures it, in one batch of five short rows.

    Raises:
        InputError: they depend on it.
    """
    length = min(8, context_length(network.transformer.config) or 8)
    if length < 2:
        return
    tokens = _text(special, length)
    others = special.ordinary[special.ordinary != tokens[-1]][:3]
    # An unchanged copy, the last row, measures how much rounding alone changes.
    rows = [tokens, *(np.append(tokens[:-1], other) for other in others), tokens]
    examples = [Example(row, row, attention="causal") for row in rows]
    batch = BatchTensors.of(collate(examples, special.pad), network.device)
    with evaluation_mode(network):
        logits = network.logits(batch, batch.targets != IGNORE).float()
    earlier = logits.view(len(rows), length, -1)[:, :-1]  # (rows, length - 1, vocab)
    shift = (earlier[1:] - earlier[0]).abs().amax((1, 2))  # (rows - 1,)
    rounding = max(1e-6, torch.finfo(network.transformer.dtype).eps)
    noise = max(float(shift[-1]), float(earlier.abs().max()) * rounding)
    if float(shift.max()) > 4 * noise:
        raise InputError(
            f"{type(network.transformer).__name__}: wanted a causal network, got one that "
            "attends to later tokens: its first outputs change with the last input"
        )


def _text(special: SpecialTokens, length: int) -> Ids:
    if not len(special.ordinary):
        raise InputError("tokenizer: wanted one with ordinary tokens, got special ones alone")
    return np.resize(special.ordinary, length)


def _length(example: Example) -> int:
    decoder = () if example.decoder_inputs is None else example.decoder_inputs
    return max(len(example.inputs), len(decoder))


def _nats(network: Network, examples: list[Example], special: SpecialTokens) -> NDArray[np.float64]:
    """Return -log p of each target. Shape (targets,)."""
    batch = BatchTensors.of(collate(examples, special.pad), network.device)
    nats: NDArray[np.float64] = network(batch).double().cpu().numpy()
    return nats
