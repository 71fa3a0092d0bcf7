"""Parameters and floating-point operations of a network, from its sizes alone."""

import numpy as np
from numpy.typing import NDArray

from lmcompare.core.example import IGNORE, Batch
from lmcompare.core.settings import NetworkSettings


def count_parameters(network: NetworkSettings, role: str, vocab_size: int) -> dict[str, int]:
    """Count the parameters of a fresh network, with and without its table of embeddings.

    A layer has four projections of the attention, three matrices of the gated feed-forward and four
    norms; a layer of the decoder of an encoder-decoder has four projections and two norms more, of
    its cross-attention. The one table of embeddings is the output layer too.

    >>> tiny = NetworkSettings(hidden_size=8, num_layers=1, num_heads=2, ffn_multiplier=2.0)
    >>> count_parameters(tiny, "decoder", 10)
    {'parameters': 760, 'parameters_without_embeddings': 680}
    """
    d, layers = network.hidden_size, network.num_layers
    inner = round(network.ffn_multiplier * d)
    stack = layers * (4 * d * d + 3 * d * inner + 4 * d) + d
    if role == "encoder-decoder":
        stack = 2 * stack + layers * (4 * d * d + 2 * d)
    return {"parameters": stack + vocab_size * d, "parameters_without_embeddings": stack}


def forward_flops(
    network: NetworkSettings,
    role: str,
    inputs: NDArray[np.int64],
    decoder_inputs: NDArray[np.int64],
    vocab_size: int,
    targets: int,
) -> float:
    """Count the floating-point operations of one forward pass (Kaplan et al. 2020, section 2.1).

    A multiply-add counts as two, and only matrix products count. Attention is counted over all
    pairs of a row, masked or not, as the kernels compute it.

    Args:
        network: the sizes.
        role: of the network.
        inputs: (B,) the number of inputs of each row.
        decoder_inputs: (B,) the number of decoder inputs of each row; empty without a decoder.
        vocab_size: number of ids.
        targets: positions at which logits are computed.

    >>> tiny = NetworkSettings(hidden_size=8, num_layers=1, num_heads=2, ffn_multiplier=2.0)
    >>> forward_flops(tiny, "decoder", np.array([4]), np.array([]), vocab_size=10, targets=3)
    6112.0
    """
    d, layers = network.hidden_size, network.num_layers
    inner = round(network.ffn_multiplier * d)
    n, m = inputs.astype(float), decoder_inputs.astype(float)

    # Each position: four projections of attention, three matrices of the gated feed-forward.
    per_position = 2 * (4 * d * d + 3 * d * inner)
    # Each pair of positions: a score and a weighted sum.
    total = layers * (per_position * n.sum() + 4 * d * (n**2).sum())
    if role == "encoder-decoder" and len(m):
        total += layers * (per_position * m.sum() + 4 * d * (m**2).sum())
        # Cross-attention: two projections on each side, then all pairs.
        total += layers * (4 * d * d * (n.sum() + m.sum()) + 4 * d * (n * m).sum())
    return float(total + 2 * d * vocab_size * targets)


def batch_flops(network: NetworkSettings, role: str, batch: Batch, vocab_size: int) -> float:
    """Count the operations of one forward pass without padding; training takes three times that."""
    decoder = np.array([]) if batch.decoder_inputs is None else decoder_lengths(batch)
    return forward_flops(
        network, role, batch.attention_mask.sum(1), decoder, vocab_size, batch.num_targets
    )


def decoder_lengths(batch: Batch) -> NDArray[np.int64]:
    """Return the number of decoder inputs of each row, up to its last target. Shape (B,)."""
    has_target = batch.targets != IGNORE
    last = has_target.shape[1] - has_target[:, ::-1].argmax(1)
    return np.where(has_target.any(1), last, 0)
