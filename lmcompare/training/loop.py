"""The one training loop, on accelerate: it knows neither the objective nor the device it serves."""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader

from lmcompare.core import settings
from lmcompare.core.cells import Progress
from lmcompare.core.errors import InputError, LmcompareError
from lmcompare.core.example import SpecialTokens
from lmcompare.models.batch_tensors import BatchTensors
from lmcompare.models.network import Network, compiled
from lmcompare.objectives import Objective
from lmcompare.training.batches import TrainingBatches, ValidationBatches, first_rows
from lmcompare.training.budget import BudgetMeter, peak_memory, reset_peak_memory
from lmcompare.training.checkpointing import agreed, interruptible, save_checkpoint


@dataclass(frozen=True)
class TrainingResult:
    """What training did.

    Attributes:
        costs: see ``budget.Meter``; and seconds, tokens a second, peak memory, epochs.
        curve: points of the learning curve, losses in nats per target.
        gate: the last validation loss on text targets beside the unigram loss on the same positions, in nats.
    """

    costs: dict[str, float]
    curve: list[dict[str, Any]]
    gate: dict[str, float]


def optimizer_for(
    network: torch.nn.Module, learning_rate: float, weight_decay: float, betas: tuple[float, float]
) -> Any:
    """Return fused AdamW (Loshchilov & Hutter 2019) that decays matrices only."""
    weights = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in weights if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in weights if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=betas, fused=True)


def schedule(training: settings.TrainingSettings, steps: int) -> Callable[[int], float]:
    """Return the factor of the learning rate at each step: up in ``warmup``, then down to a tenth.

    >>> factor = schedule(settings.TrainingSettings(warmup_ratio=0.5, lr_scheduler="linear"), steps=4)
    >>> [round(factor(step), 2) for step in range(4)]
    [0.5, 1.0, 1.0, 0.55]
    """
    rise = round(training.warmup_ratio * steps)

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / rise
        done = (step - rise) / max(1, steps - rise)
        if training.lr_scheduler == "constant":
            return 1.0
        fall = (
            done
            if training.lr_scheduler == "linear"
            else (1 - math.cos(math.pi * min(done, 1.0))) / 2
        )
        return 1 - 0.9 * fall

    return factor


def on_cpu(device: str | None) -> bool:
    """Return whether the work is done on the CPU: it is asked for, or there is nothing else.

    accelerate must be told either: without an accelerator and without being told, its processes do not see each other.
    """
    return device == "cpu" or not torch.accelerator.is_available()


def accelerator_for(
    training: settings.TrainingSettings, device: str | None, trackers: Sequence[str], folder: Path
) -> Accelerator:
    """Return the Accelerator for ``device`` (None: the best there is), in bf16 where the device gains from it."""
    cpu = on_cpu(device)
    precision = training.precision
    if precision == "auto":
        precision = (
            "bf16"
            if not cpu and torch.cuda.is_available() and torch.cuda.is_bf16_supported()
            else "no"
        )
    return Accelerator(
        cpu=cpu,
        mixed_precision=precision,
        log_with=list(trackers) or None,
        project_dir=str(folder),
        step_scheduler_with_optimizer=False,
    )


def train(
    network: Network,
    objective: Objective,
    blocks: Any,
    special: SpecialTokens,
    training: settings.TrainingSettings,
    *,
    shape: settings.NetworkSettings,
    seed: int,
    isolated: bool = False,
    folder: Path,
    device: str | None = None,
    trackers: Sequence[str] = (),
    name: str = "lmcompare",
    progress: Progress = lambda event: None,
) -> TrainingResult:
    """Train ``network`` in place.

    The loss of a step is the sum over its targets, times their weights, divided by the sum of the weights (by the
    number of targets, if each counts 1), over all micro-batches and processes: cutting a step into more of them
    changes nothing, which transformers' Trainer does not promise.

    Args:
        network: what is trained.
        objective: what a block asks.
        blocks: has ``train`` and ``validation`` (rows of tokens) and ``unigram``.
        special: of the vocabulary.
        training: the settings.
        shape: the sizes of the network, for counting FLOPs.
        seed: orders and corrupts the blocks.
        isolated: whether documents of a block are kept from seeing one another.
        folder: where checkpoints are kept; one that lies there is resumed.
        device: 'cpu', 'cuda', or None for the best there is.
        trackers: names that accelerate knows ('tensorboard').
        name: of the run, for the trackers.
        progress: is told {"done", "total", "stage", "loss", "tokens_per_second"}.

    Raises:
        InputError: fewer blocks in a step than processes, or torch cannot compile here and is asked to.
        LmcompareError: the loss is not finite.
        KeyboardInterrupt: after a checkpoint was saved.
    """
    accelerator = accelerator_for(training, device, trackers, folder)
    if training.batch_size < accelerator.num_processes:
        raise InputError(
            f"training.batch_size: wanted at least one block for each of {accelerator.num_processes} processes, "
            f"got {training.batch_size}"
        )
    rows = first_rows(blocks.train, training.unique_tokens)
    steps = TrainingBatches(
        rows,
        objective,
        special,
        training,
        seed,
        isolated,
        accelerator.process_index,
        accelerator.num_processes,
    )
    validation = ValidationBatches.of(
        blocks.validation,
        objective,
        special,
        blocks.unigram,
        blocks=training.validation_sequences,
        batch=training.batch_size,
        isolated=isolated,
    )
    reset_peak_memory()
    network.train()
    optimizer = optimizer_for(
        network, training.learning_rate, training.weight_decay, training.adam_betas
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule(training, len(steps)))
    model, optimizer, scheduler = accelerator.prepare(network, optimizer, scheduler)
    if trackers:
        accelerator.init_trackers(
            name,
            config={k: v for k, v in asdict(training).items() if isinstance(v, int | float | str)},
        )
    meter, curve = BudgetMeter(), []
    checkpoint = folder / "checkpoint"
    if (checkpoint / "meter.json").is_file():
        accelerator.load_state(str(checkpoint))
        saved = json.loads((checkpoint / "meter.json").read_text())
        meter, curve = BudgetMeter(**saved["meter"]), saved["curve"]
    length = len(steps.rows[0]["tokens"])
    points = {
        round((i + 1) * len(steps) / training.evaluations) for i in range(training.evaluations)
    } | {len(steps)}
    loader = DataLoader(
        steps,
        batch_size=None,
        sampler=range(meter.steps, len(steps)),
        num_workers=0 if accelerator.device.type == "cpu" else 4,
    )
    clock, saved_at = time.perf_counter(), time.monotonic()
    shown = 0.0
    total_tokens = len(steps) * training.batch_size * length
    if training.compile:
        progress({"done": meter.corpus_tokens, "total": total_tokens, "stage": "compiling"})
    with interruptible() as interrupted, compiled(network) if training.compile else nullcontext():
        for batches in loader:
            exact = torch.float32 if accelerator.device.type == "mps" else torch.float64
            weight = torch.tensor(
                sum(batch.total_weight for batch in batches), dtype=exact, device=accelerator.device
            )
            total = float(accelerator.reduce(weight, "sum"))
            summed = torch.zeros((), device=accelerator.device)
            for i, batch in enumerate(batches):
                last = i == len(batches) - 1
                with nullcontext() if last else accelerator.no_sync(model):
                    with accelerator.autocast():
                        losses = model(BatchTensors.of(batch, accelerator.device))
                    losses = losses * torch.from_numpy(batch.target_weights).to(losses)
                    # DDP averages gradients over processes: undo that, for one global mean over targets.
                    loss = losses.sum() * (accelerator.num_processes / (total or 1))
                    accelerator.backward(loss)
                    summed += losses.detach().sum()
                meter.add(shape, network.role, batch, len(special.word_starts))
            accelerator.clip_grad_norm_(model.parameters(), training.max_grad_norm)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad(set_to_none=True)
            meter.steps += 1
            meter.corpus_tokens += training.batch_size * length
            now = time.perf_counter()
            meter.seconds, clock = meter.seconds + now - clock, now
            due, several = now - shown > 0.5 or meter.steps in points, accelerator.num_processes > 1
            # What all processes sum, all must ask for: their clocks differ.
            if due or several or accelerator.device.type == "cpu":
                value = mean_loss(accelerator, summed, total, meter.steps, training)
                accelerator.log(
                    {"loss": value, "learning_rate": scheduler.get_last_lr()[0]}, step=meter.steps
                )
            if due:
                shown = now
                progress(
                    {
                        "done": meter.corpus_tokens,
                        "total": total_tokens,
                        "stage": "training",
                        "loss": value,
                        "tokens_per_second": meter.corpus_tokens / meter.seconds,
                    }
                )
            if meter.steps in points:
                curve.append(_point(meter, accelerator, "train", {"loss": value}))
                curve.append(_point(meter, accelerator, "validation", validation.measure(network)))
                accelerator.log({"validation_loss": curve[-1]["loss"]}, step=meter.steps)
                clock = time.perf_counter()
            late = time.monotonic() - saved_at > 60 * training.checkpoint_minutes
            asked_to_stop = agreed(accelerator, interrupted.is_set())
            if asked_to_stop or agreed(accelerator, late):
                mean_loss(
                    accelerator, summed, total, meter.steps, training
                )  # what is saved was trained soundly
                save_checkpoint(accelerator, checkpoint, {"meter": asdict(meter), "curve": curve})
                saved_at, clock = time.monotonic(), time.perf_counter()
                if asked_to_stop:
                    raise KeyboardInterrupt
    if trackers:
        accelerator.end_training()
    last_point = [point for point in curve if point["split"] == "validation"][-1]
    gate = {"loss": last_point["text_loss"], "unigram": last_point["unigram"]}
    return TrainingResult(_currencies(meter, accelerator, len(steps.rows) * length), curve, gate)


def mean_loss(
    accelerator: Accelerator,
    summed: torch.Tensor,
    total: float,
    step: int,
    training: settings.TrainingSettings,
) -> float:
    """Return the loss of a step over all processes, in nats per target.

    Raises:
        LmcompareError: it is not finite.
    """
    value = float(accelerator.reduce(summed, "sum")) / (total or 1)
    if not math.isfinite(value):
        raise LmcompareError(
            f"the loss of step {step} is {value}: lower training.learning_rate "
            f"(now {training.learning_rate:g}) or training.max_grad_norm (now {training.max_grad_norm:g})"
        )
    return value


def _point(
    meter: BudgetMeter, accelerator: Accelerator, split: str, values: Mapping[str, float]
) -> dict[str, Any]:
    every = accelerator.num_processes
    return {
        "split": split,
        "step": meter.steps,
        "tokens": meter.corpus_tokens,
        "targets": meter.targets * every,
        "flops": meter.training_flops * every,
        "seconds": meter.seconds,
        **values,
    }


def _currencies(meter: BudgetMeter, accelerator: Accelerator, available: int) -> dict[str, float]:
    counts = meter.costs()
    summed = torch.tensor(
        [counts[k] for k in ("positions", "targets", "training_flops")], dtype=torch.float64
    )
    summed = accelerator.reduce(summed.to(accelerator.device), "sum")
    counts |= dict(zip(("positions", "targets", "training_flops"), map(float, summed), strict=True))
    return counts | {
        "unique_tokens": min(counts["corpus_tokens"], available),
        "epochs": counts["corpus_tokens"] / available,
        "tokens_per_second": counts["corpus_tokens"] / counts["seconds"],
        "peak_memory_bytes": peak_memory(),
    }
