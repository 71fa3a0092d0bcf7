"""Measures what training costs: floating-point operations, tokens, targets, time and memory."""

import resource
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from accelerate import Accelerator

from lmcompare.core import settings
from lmcompare.core.example import Batch
from lmcompare.core.network_costs import batch_flops, decoder_lengths
from lmcompare.objectives import Role


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

    def add_step(self, corpus_tokens: int, seconds: float) -> None:
        """Count one step, of all processes together."""
        self.steps += 1
        self.corpus_tokens += corpus_tokens
        self.seconds += seconds

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
