"""AdamW and the learning-rate schedules of pretraining and of fine-tuning."""

import math
from collections.abc import Callable
from typing import Any

import torch

from lmcompare.core import settings


def adamw(
    module: torch.nn.Module, learning_rate: float, weight_decay: float, betas: tuple[float, float]
) -> Any:
    """Return fused AdamW (Loshchilov & Hutter 2019) with weight decay of matrices only."""
    weights = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in weights if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in weights if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=betas, fused=True)


def pretraining_schedule(training: settings.TrainingSettings, steps: int) -> Callable[[int], float]:
    """Return the factor of the learning rate at each step: linear warmup, then decay to a tenth.

    >>> training = settings.TrainingSettings(warmup_ratio=0.5, lr_scheduler="linear")
    >>> factor = pretraining_schedule(training, steps=4)
    >>> [round(factor(step), 2) for step in range(4)]
    [0.5, 1.0, 1.0, 0.55]
    """
    warmup_steps = round(training.warmup_ratio * steps)

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        if training.lr_scheduler == "constant":
            return 1.0
        progress = (step - warmup_steps) / max(1, steps - warmup_steps)
        if training.lr_scheduler == "cosine":
            progress = (1 - math.cos(math.pi * min(progress, 1.0))) / 2
        return 1 - 0.9 * progress

    return factor


def finetuning_schedule(warmup_ratio: float, steps: int) -> Callable[[int], float]:
    """Return the factor of the learning rate at each step: linear warmup, then linear decay to 0.

    >>> factor = finetuning_schedule(warmup_ratio=0.5, steps=4)
    >>> [factor(step) for step in range(4)]
    [0.5, 1.0, 1.0, 0.5]
    """
    warmup_steps = max(1, round(warmup_ratio * steps))

    def factor(step: int) -> float:
        return min((step + 1) / warmup_steps, (steps - step) / max(1, steps - warmup_steps))

    return factor
