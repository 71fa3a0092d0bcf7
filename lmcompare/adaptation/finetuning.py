"""Fine-tuning of any module: AdamW, batches of similar length, early stopping."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from lmcompare.core import settings
from lmcompare.core.cells import Progress
from lmcompare.core.errors import LmcompareError
from lmcompare.language_model import LanguageModel
from lmcompare.training.optimizer import adamw, finetuning_schedule

Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class FinetuningRun:
    """The model that is fine-tuned, which is left as it is, and how."""

    model: LanguageModel
    adaptation: settings.Adaptation
    seed: int
    """of new weights, dropout and the order of the items"""
    progress: Progress = lambda event: None


@dataclass(frozen=True)
class FinetuningProblem(Generic[Module]):
    """What is fine-tuned on which items, and what decides."""

    build: Callable[[], Module]
    """returns the module before fine-tuning, on its device"""
    loss: Callable[[Module, list[int], int], Tensor]
    """of a batch, by the indices of its items and the epoch, from 1"""
    score: Callable[[Module], float]
    """on the validation items; higher is better"""
    lengths: Sequence[int]
    """of the training items"""


@dataclass(frozen=True)
class FinetuningResult:
    """What a trial came to."""

    score: float
    """on validation, at the best epoch"""
    epoch: int
    """the best one, from 1"""
    epochs: int
    """passes over the training items until early stopping or the end"""


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's generators, and restore them afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def steps_of(problem: FinetuningProblem[Any], adaptation: settings.Adaptation) -> int:
    """Return the number of steps without early stopping."""
    return math.ceil(len(problem.lengths) / adaptation.batch_size) * adaptation.epochs


def fit(
    module: Module,
    problem: FinetuningProblem[Module],
    adaptation: settings.Adaptation,
    *,
    learning_rate: float,
    seed: int,
    progress: Callable[[int, float], None] = lambda step, loss: None,
) -> FinetuningResult:
    """Fine-tune ``module`` in place and leave it at its best epoch.

    Args:
        module: as ``problem.build`` returns it; torch's generator drives its dropout.
        problem: the items.
        adaptation: epochs, patience, batch size, warmup, weight decay.
        learning_rate: at its peak.
        seed: of the order of the items.
        progress: called with the number of steps done and the loss of the last, every ten steps.

    Raises:
        LmcompareError: no epoch had a finite score.
    """
    optimizer = adamw(module, learning_rate, adaptation.weight_decay, (0.9, 0.999))
    steps = steps_of(problem, adaptation)
    schedule = finetuning_schedule(adaptation.warmup_ratio, steps)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)
    rng = np.random.default_rng(seed)
    best, best_weights = FinetuningResult(-math.inf, 0, 0), None
    step = epoch = 0
    for epoch in range(1, adaptation.epochs + 1):
        # One pass over the training items.
        module.train()
        for batch in group_by_length(problem.lengths, adaptation.batch_size, rng):
            loss = problem.loss(module, batch, epoch)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad(set_to_none=True)
            step += 1
            if step % 10 == 0 or step == steps:
                progress(step, float(loss.detach()))

        # Validation, and early stopping.
        score = problem.score(module)
        if score > best.score:
            best = FinetuningResult(score, epoch, epoch)
            best_weights = copy.deepcopy(module.state_dict())
        if adaptation.patience is not None and epoch - best.epoch >= adaptation.patience:
            break
    if best_weights is None:
        raise LmcompareError(
            f"fine-tuning: no epoch had a finite score at learning rate {learning_rate:g}: lower it"
        )
    module.load_state_dict(best_weights)
    return FinetuningResult(best.score, best.epoch, epoch)


def group_by_length(
    lengths: Sequence[int], batch_size: int, rng: np.random.Generator
) -> list[list[int]]:
    """Return shuffled batches of items of similar length: sorted within pools of 32 batches."""
    order = rng.permutation(len(lengths))
    pool_size = 32 * batch_size
    batches = []
    for first in range(0, len(order), pool_size):
        pool = sorted(order[first : first + pool_size], key=lambda i: lengths[i])
        batches += [
            [int(i) for i in pool[k : k + batch_size]] for k in range(0, len(pool), batch_size)
        ]
    return [batches[i] for i in rng.permutation(len(batches))]
