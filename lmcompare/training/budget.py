"""What a run costs, in every cost."""

import resource
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lmcompare.core import settings
from lmcompare.core.example import IGNORE, Batch
from lmcompare.objectives import Role


def forward_flops(
    network: settings.NetworkSettings,
    role: Role,
    inputs: NDArray[np.int64],
    decoder_inputs: NDArray[np.int64],
    vocabulary: int,
    targets: int,
) -> float:
    """Count the floating-point operations of one forward pass, a multiply-add as two (Kaplan et al. 2020, section 2.1).

    Only matrix products count. Attention is counted over all pairs of a row, seen or not, as the kernels compute it.

    Args:
        network: the sizes.
        role: of the block.
        inputs: (B,) inputs of each row.
        decoder_inputs: (B,) inputs of the decoder of each row; empty if there is none.
        vocabulary: number of ids.
        targets: positions at which logits are computed.

    >>> tiny = settings.NetworkSettings(hidden_size=8, num_layers=1, num_heads=2, ffn_multiplier=2.0)
    >>> forward_flops(tiny, "decoder", np.array([4]), np.array([]), vocabulary=10, targets=3)
    6112.0
    """
    d, inner, layers = (
        network.hidden_size,
        round(network.ffn_multiplier * network.hidden_size),
        network.num_layers,
    )
    n, m = inputs.astype(float), decoder_inputs.astype(float)
    block = 2 * (4 * d * d + 3 * d * inner)
    total = layers * (block * n.sum() + 4 * d * (n**2).sum())
    if role == "encoder-decoder" and len(m):
        total += layers * (block * m.sum() + 4 * d * (m**2).sum())
        total += layers * (4 * d * d * (n.sum() + m.sum()) + 4 * d * (n * m).sum())
    return float(total + 2 * d * vocabulary * targets)


def batch_flops(
    network: settings.NetworkSettings, role: Role, batch: Batch, vocabulary: int
) -> float:
    """Count the operations of one forward pass over a batch, padding left out; training costs three times as much."""
    decoder = np.array([]) if batch.decoder_inputs is None else decoder_lengths(batch)
    return forward_flops(
        network, role, batch.attention_mask.sum(1), decoder, vocabulary, batch.num_targets
    )


def decoder_lengths(batch: Batch) -> NDArray[np.int64]:
    """Return the number of decoder inputs of each row, padding left out: up to its last target. Shape (B,)."""
    asked = batch.targets != IGNORE
    return np.where(asked.any(1), asked.shape[1] - asked[:, ::-1].argmax(1), 0)


@dataclass
class BudgetMeter:
    """Counts what training spends; saved with a checkpoint, so that a resumed run counts on."""

    corpus_tokens: int = 0
    positions: int = 0
    targets: int = 0
    training_flops: float = 0.0
    seconds: float = 0.0
    steps: int = 0

    def add(
        self, network: settings.NetworkSettings, role: Role, batch: Batch, vocabulary: int
    ) -> None:
        """Count one batch of training."""
        decoder = 0 if batch.decoder_inputs is None else int(decoder_lengths(batch).sum())
        self.positions += int(batch.attention_mask.sum()) + decoder
        self.targets += batch.num_targets
        self.training_flops += 3 * batch_flops(network, role, batch, vocabulary)

    def costs(self) -> dict[str, float]:
        """Return the counts by name."""
        return {name: float(value) for name, value in asdict(self).items()}


def reset_peak_memory() -> None:
    """Start a new measurement of the peak memory of this process (Linux; elsewhere the peak is since its start)."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        return
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass


def peak_memory() -> float:
    """Return the peak memory in bytes: of the GPU if there is one, else resident memory of this process."""
    if torch.cuda.is_available():
        return float(torch.cuda.max_memory_allocated())
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) * 1024
    except OSError:
        pass
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * 1024
