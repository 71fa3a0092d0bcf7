"""What training costs: floating-point operations, tokens, targets, time and memory."""

import resource
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray

from lmcompare.core import settings
from lmcompare.core.example import IGNORE, Batch
from lmcompare.objectives import Role


def forward_flops(
    network: settings.NetworkSettings,
    role: Role,
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

    >>> tiny = settings.NetworkSettings(
    ...     hidden_size=8, num_layers=1, num_heads=2, ffn_multiplier=2.0
    ... )
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


def batch_flops(
    network: settings.NetworkSettings, role: Role, batch: Batch, vocab_size: int
) -> float:
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


@dataclass
class BudgetMeter:
    """Counts what training costs; saved with a checkpoint, so that a resumed run counts on."""

    corpus_tokens: int = 0
    positions: int = 0
    targets: int = 0
    training_flops: float = 0.0
    seconds: float = 0.0
    steps: int = 0

    def add(
        self, network: settings.NetworkSettings, role: Role, batch: Batch, vocab_size: int
    ) -> None:
        """Count one batch of training."""
        decoder = 0 if batch.decoder_inputs is None else int(decoder_lengths(batch).sum())
        self.positions += int(batch.attention_mask.sum()) + decoder
        self.targets += batch.num_targets
        self.training_flops += 3 * batch_flops(network, role, batch, vocab_size)

    def costs(self, accelerator: Accelerator, available_tokens: int) -> dict[str, float]:
        """Return all costs of a run over all processes, of a corpus with so many tokens."""
        counts = {name: float(value) for name, value in asdict(self).items()}
        # Each process counts its own batches; steps and corpus tokens are counted for all.
        own = ("positions", "targets", "training_flops")
        summed = torch.tensor([counts[name] for name in own], dtype=torch.float64)
        summed = accelerator.reduce(summed.to(accelerator.device), "sum")
        counts |= dict(zip(own, map(float, summed), strict=True))
        return counts | {
            "unique_tokens": min(counts["corpus_tokens"], available_tokens),
            "epochs": counts["corpus_tokens"] / available_tokens,
            "tokens_per_second": counts["corpus_tokens"] / counts["seconds"],
            "peak_memory_bytes": peak_memory(),
        }


def reset_peak_memory() -> None:
    """Start a new measurement of peak memory (on the CPU: on Linux alone)."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        return
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass


def peak_memory() -> float:
    """Return the peak memory in bytes: of the GPU if there is one, else of the process."""
    if torch.cuda.is_available():
        return float(torch.cuda.max_memory_allocated())
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) * 1024
    except OSError:
        pass
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * 1024
