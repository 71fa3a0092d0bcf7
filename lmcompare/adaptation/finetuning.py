"""One trial of fine-tuning: the same loop for every head and every objective; it stops early and keeps the best."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lmcompare.core import settings
from lmcompare.core.errors import LmcompareError
from lmcompare.training.optimizer import adamw, finetuning_schedule


@dataclass(frozen=True)
class FinetuningResult:
    """What a trial found.

    Attributes:
        score: on validation, at the best epoch; higher is better.
        epoch: the best one, from 1.
        epochs: passes that were made.
    """

    score: float
    epoch: int
    epochs: int


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Let torch draw from this seed, and go on afterwards as if nothing had been drawn."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def fit(
    module: nn.Module,
    sizes: Sequence[int],
    loss: Callable[[list[int], int], Tensor],
    judge: Callable[[nn.Module], float],
    *,
    adaptation: settings.Adaptation,
    learning_rate: float,
    seed: int,
    patience: int | None = None,
    progress: Callable[[int, float], None] = lambda done, loss: None,
) -> FinetuningResult:
    """Fine-tune ``module`` in place and leave it at its best epoch.

    AdamW; the learning rate rises over ``adaptation.warmup_ratio`` of the steps and falls linearly to 0; gradients are
    clipped at a norm of 1. Dropout draws from torch's own generator: see ``seeded``.

    Args:
        module: on its device.
        sizes: length of each training item, so that items of like length share a batch.
        loss: of a batch, by the numbers of its items and of the epoch, from 1.
        judge: says, after each epoch, how good the module is on validation; higher is better.
        adaptation: epochs, batch, warmup, weight decay.
        learning_rate: its peak.
        seed: of the order of the items.
        patience: epochs in a row without a better score after which the trial ends; None: none does.
        progress: is told the steps done and the loss of the last.

    Raises:
        LmcompareError: no epoch had a finite score.
    """
    best, epoch = FinetuningResult(-math.inf, 0, 0), 0
    state: dict[str, Any] = {}
    optimizer = adamw(module, learning_rate, adaptation.weight_decay, (0.9, 0.999))
    steps = math.ceil(len(sizes) / adaptation.batch_size) * adaptation.epochs
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, finetuning_schedule(adaptation.warmup_ratio, steps)
    )
    rng = np.random.default_rng(seed)
    done = 0
    for epoch in range(1, adaptation.epochs + 1):
        module.train()
        for group in grouped(sizes, adaptation.batch_size, rng):
            value = loss(group, epoch)
            value.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad(set_to_none=True)
            done += 1
            if done % 10 == 0 or done == steps:
                progress(done, float(value.detach()))
        score = judge(module)
        if score > best.score:
            best, state = FinetuningResult(score, epoch, epoch), copy.deepcopy(module.state_dict())
        if patience is not None and epoch - best.epoch >= patience:
            break
    if not state:
        raise LmcompareError(
            f"fine-tuning: no epoch had a finite score at learning rate {learning_rate:g}: lower it"
        )
    module.load_state_dict(state)
    return FinetuningResult(best.score, best.epoch, epoch)


def grouped(sizes: Sequence[int], batch: int, rng: np.random.Generator) -> list[list[int]]:
    """Return batches of items of like length, in random order: sorted within pools of 32 batches, then shuffled."""
    order = rng.permutation(len(sizes))
    groups = []
    for first in range(0, len(order), 32 * batch):
        pool = sorted(order[first : first + 32 * batch], key=lambda i: sizes[i])
        groups += [[int(i) for i in pool[k : k + batch]] for k in range(0, len(pool), batch)]
    return [groups[i] for i in rng.permutation(len(groups))]
