"""A measured attention mask in words, and attention weights."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lmcompare.core.example import Example, collate
from lmcompare.models.network import BatchTensors, Network
from lmcompare.models.visibility import Matrix


def pattern(matrix: Matrix) -> str:
    """Describe a measured attention mask in words.

    >>> pattern(np.tril(np.ones((3, 3), dtype=bool))), pattern(np.ones((3, 4), dtype=bool))
    ('itself and all before', 'everything')
    """
    outputs, inputs = matrix.shape
    if matrix.all():
        return "everything"
    if not matrix.any():
        return "nothing"
    if outputs == inputs:
        past = np.tril(np.ones_like(matrix))
        if (matrix == past).all():
            return "itself and all before"
        for prefix in range(1, inputs):
            if (matrix == (past | (np.arange(inputs) < prefix))).all():
                return f"the first {prefix}, and itself and all before"
    return f"{matrix.mean():.0%} of the inputs, in another pattern"


def attention_on_itself(
    network: Network, example: Example, places: NDArray[np.int64]
) -> float | None:
    """Return the mean attention weight, over layers and heads, of these places on themselves.

    None for a network that does not return its weights. A measured dependence of an output on its
    own input does not show this: the residual stream suffices for that.
    """
    transformer: Any = network.transformer
    implementation = getattr(transformer.config, "_attn_implementation", None)
    batch = BatchTensors.of(collate([example], 0), network.device)
    if example.decoder_inputs is not None or network.role != "encoder" or implementation is None:
        return None
    try:
        transformer.set_attn_implementation("eager")
        with torch.inference_mode():
            output = transformer(
                input_ids=batch.inputs,
                attention_mask=batch.attention_mask.long(),
                output_attentions=True,
            )
        weights = [
            layer[0][:, places, places].float().mean()
            for layer in output.attentions or ()
            if layer is not None
        ]
    except (ValueError, TypeError, NotImplementedError):
        return None
    finally:
        transformer.set_attn_implementation(implementation)
    return float(torch.stack(weights).mean()) if weights else None
