"""Who sees whom, in words and in weights."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lmcompare.core.example import Example, collate
from lmcompare.models.network import BatchTensors, Network
from lmcompare.models.visibility import Matrix


def pattern(matrix: Matrix) -> str:
    """Return in words what a matrix of who sees whom looks like.

    >>> pattern(np.tril(np.ones((3, 3), dtype=bool))), pattern(np.ones((3, 4), dtype=bool))
    ('itself and what came before', 'everything')
    """
    outputs, inputs = matrix.shape
    if matrix.all():
        return "everything"
    if not matrix.any():
        return "nothing"
    if outputs == inputs:
        past = np.tril(np.ones_like(matrix))
        if (matrix == past).all():
            return "itself and what came before"
        for prefix in range(1, inputs):
            if (matrix == (past | (np.arange(inputs) < prefix))).all():
                return f"the first {prefix}, and itself and what came before"
    return f"{matrix.mean():.0%} of what is read, in a pattern of its own"


def attention_on_itself(
    network: Network, example: Example, places: NDArray[np.int64]
) -> float | None:
    """Return the mean weight, over layers and heads, that these places give themselves; None if it is not told.

    That an output moves with its own input does not say so much: the residual stream would do.
    """
    transformer: Any = network.transformer
    kept = getattr(transformer.config, "_attn_implementation", None)
    batch = BatchTensors.of(collate([example], 0), network.device)
    if example.decoder_inputs is not None or network.role != "encoder" or kept is None:
        return None
    try:
        transformer.set_attn_implementation("eager")
        with torch.inference_mode():
            told = transformer(
                input_ids=batch.inputs,
                attention_mask=batch.attention_mask.long(),
                output_attentions=True,
            )
        weights = [
            layer[0][:, places, places].float().mean()
            for layer in told.attentions or ()
            if layer is not None
        ]
    except (ValueError, TypeError, NotImplementedError):
        return None
    finally:
        transformer.set_attn_implementation(kept)
    return float(torch.stack(weights).mean()) if weights else None
