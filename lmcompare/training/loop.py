"""The training loop, on accelerate: one for every objective and every device."""

import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader

from lmcompare.core import settings
from lmcompare.core.cells import Progress
from lmcompare.core.errors import InputError, LmcompareError
from lmcompare.core.example import Batch
from lmcompare.models.network import Network, compiled
from lmcompare.training.batches import (
    TrainingBatches,
    TrainingData,
    ValidationBatches,
    weighted_losses,
)
from lmcompare.training.checkpointing import (
    any_process,
    interruptible,
    load_checkpoint,
    save_checkpoint,
)
from lmcompare.training.costs import BudgetMeter, reset_peak_memory
from lmcompare.training.optimizer import adamw, pretraining_schedule


@dataclass(frozen=True)
class TrainingRun:
    """Where a run takes place and who watches it."""

    folder: Path
    """where checkpoints are kept; one that lies there is resumed"""
    device: str | None = None
    """'cpu', 'cuda', or None for the best there is"""
    trackers: Sequence[str] = ()
    """names that accelerate knows ('tensorboard')"""
    name: str = "lmcompare"
    """of the run, for the trackers"""
    progress: Progress = lambda event: None


@dataclass(frozen=True)
class TrainingResult:
    """What training cost and what came of it."""

    costs: dict[str, float]
    """see ``BudgetMeter``; and tokens a second, peak memory, epochs"""
    curve: list[dict[str, Any]]
    """points of the learning curve, losses in nats per target"""

    @property
    def last_validation(self) -> dict[str, Any]:
        """The last point of validation: 'loss', 'text_loss' and 'unigram', in nats per target."""
        points: list[dict[str, Any]] = [p for p in self.curve if p["split"] == "validation"]
        return points[-1]


@dataclass
class TrainingState:
    """What the steps of a run change, and the settings that they read."""

    accelerator: Accelerator
    network: Network
    model: Any
    """the network as accelerate wraps it for several processes"""
    optimizer: Any
    scheduler: Any
    training: settings.TrainingSettings
    run: TrainingRun
    meter: BudgetMeter = field(default_factory=BudgetMeter)
    curve: list[dict[str, Any]] = field(default_factory=list)
    clock: float = 0.0
    """``time.perf_counter`` up to which ``meter`` has counted"""
    shown_at: float = 0.0
    """the same, of the last event of ``run.progress``"""
    saved_at: float = 0.0
    """the same, of the last checkpoint"""

    @property
    def checkpoint(self) -> Path:
        """The folder of the run's checkpoint."""
        return self.run.folder / "checkpoint"


@dataclass(frozen=True)
class StepLoss:
    """The loss of a step: a sum over targets, in nats, and the sum of their weights."""

    nats: Tensor
    """() of this process alone"""
    weight: float
    """of all processes"""


def train(
    network: Network,
    data: TrainingData,
    training: settings.TrainingSettings,
    *,
    shape: settings.NetworkSettings,
    run: TrainingRun,
) -> TrainingResult:
    """Train ``network`` in place; ``shape`` has its sizes, for counting FLOPs.

    The loss of a step is the weighted mean over the targets of all its micro-batches and processes:
    cutting a step into more of them changes nothing, which transformers' Trainer does not promise.

    Raises:
        InputError: fewer sequences in a step than processes, or torch cannot compile here.
        LmcompareError: the loss is not finite.
        KeyboardInterrupt: after a checkpoint was saved.
    """
    # Setup: batches, frozen validation, optimizer; a checkpoint in the folder is resumed.
    accelerator = build_accelerator(training, run)
    batches = TrainingBatches(data, training, accelerator.process_index, accelerator.num_processes)
    validation = ValidationBatches.of(data, training)
    reset_peak_memory()
    state = prepare(accelerator, network, training, run, len(batches))
    meter = state.meter
    total_tokens = len(batches) * batches.tokens_per_step
    loader = _loader(batches, meter.steps, accelerator.device)
    if training.compile:
        run.progress({"done": meter.corpus_tokens, "total": total_tokens, "stage": "compiling"})

    with interruptible() as interrupted, compiled(network) if training.compile else nullcontext():
        state.clock = state.saved_at = time.perf_counter()
        for micro_batches in loader:
            # Step: the gradient of all micro-batches, then one update of the weights.
            loss = train_step(state, micro_batches)

            # Costs: time counts from the end of the last step, evaluation or checkpoint.
            for batch in micro_batches:
                meter.add(shape, network.role, batch, data.vocab_size)
            now = time.perf_counter()
            meter.add_step(batches.tokens_per_step, now - state.clock)
            state.clock = now

            # Logging, to the trackers and to whoever watches the run.
            evaluate_now = meter.steps in batches.evaluation_steps
            train_loss = log_step(state, loss, total_tokens, show=evaluate_now)

            # Evaluation: two points of the learning curve.
            if evaluate_now:
                evaluate(state, validation, train_loss)

            # Checkpointing: now and then, and before the run is interrupted.
            stop = any_process(accelerator, interrupted.is_set())
            minutes = (time.perf_counter() - state.saved_at) / 60
            if stop or any_process(accelerator, minutes > training.checkpoint_minutes):
                save(state, loss)
            if stop:
                raise KeyboardInterrupt
    if run.trackers:
        accelerator.end_training()
    available_tokens = len(batches.rows) * len(batches.rows[0]["tokens"])
    return TrainingResult(meter.costs(accelerator, available_tokens), state.curve)


def _loader(batches: TrainingBatches, first: int, device: torch.device) -> DataLoader[list[Batch]]:
    steps = range(first, len(batches))
    workers = 0 if device.type == "cpu" else 4
    return DataLoader(batches, batch_size=None, sampler=steps, num_workers=workers)


def runs_on_cpu(device: str | None) -> bool:
    """Return whether the CPU does the work: it was chosen, or there is nothing else.

    accelerate must be told of both, or its processes would not find each other.
    """
    return device == "cpu" or not torch.accelerator.is_available()


def build_accelerator(training: settings.TrainingSettings, run: TrainingRun) -> Accelerator:
    """Return the Accelerator of a run; 'auto' precision is bf16 where the device supports it.

    Raises:
        InputError: fewer sequences in a step than processes.
    """
    cpu = runs_on_cpu(run.device)
    precision: str = training.precision
    if precision == "auto":
        bf16 = not cpu and torch.cuda.is_available() and torch.cuda.is_bf16_supported()
        precision = "bf16" if bf16 else "no"
    accelerator = Accelerator(
        cpu=cpu,
        mixed_precision=precision,
        log_with=list(run.trackers) or None,
        project_dir=str(run.folder),
        step_scheduler_with_optimizer=False,
    )
    if training.batch_size < accelerator.num_processes:
        raise InputError(
            "training.batch_size: wanted at least one sequence for each of "
            f"{accelerator.num_processes} processes, got {training.batch_size}"
        )
    return accelerator


def prepare(
    accelerator: Accelerator,
    network: Network,
    training: settings.TrainingSettings,
    run: TrainingRun,
    steps: int,
) -> TrainingState:
    """Return the state at the start of the run or at its checkpoint, and start the trackers."""
    network.train()
    optimizer = adamw(network, training.learning_rate, training.weight_decay, training.adam_betas)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, pretraining_schedule(training, steps))
    model, optimizer, scheduler = accelerator.prepare(network, optimizer, scheduler)
    if run.trackers:
        config = {k: v for k, v in asdict(training).items() if isinstance(v, int | float | str)}
        accelerator.init_trackers(run.name, config=config)
    state = TrainingState(accelerator, network, model, optimizer, scheduler, training, run)
    if saved := load_checkpoint(accelerator, state.checkpoint):
        state.meter, state.curve = BudgetMeter(**saved["meter"]), saved["curve"]
    return state


def train_step(state: TrainingState, micro_batches: Sequence[Batch]) -> StepLoss:
    """Accumulate the gradient of the mean loss over the step's targets; then update the weights."""
    accelerator = state.accelerator
    # The denominator comes first: the weight of the targets of all micro-batches and processes.
    exact = torch.float32 if accelerator.device.type == "mps" else torch.float64
    weight = torch.tensor(
        sum(batch.total_weight for batch in micro_batches), dtype=exact, device=accelerator.device
    )
    total_weight = float(accelerator.reduce(weight, "sum"))

    nats = torch.zeros((), device=accelerator.device)
    for i, batch in enumerate(micro_batches):
        # Processes exchange gradients once, after the last micro-batch.
        is_last = i == len(micro_batches) - 1
        with nullcontext() if is_last else accelerator.no_sync(state.model):
            with accelerator.autocast():
                losses = weighted_losses(state.model, batch, accelerator.device)  # (targets,)
            # DDP averages gradients over processes: undo that, for one mean over all targets.
            accelerator.backward(losses.sum() * (accelerator.num_processes / (total_weight or 1)))
            nats += losses.detach().sum()

    accelerator.clip_grad_norm_(state.model.parameters(), state.training.max_grad_norm)
    state.optimizer.step()
    state.scheduler.step()
    state.optimizer.zero_grad(set_to_none=True)
    return StepLoss(nats, total_weight)


def mean_loss(state: TrainingState, loss: StepLoss) -> float:
    """Return the loss of a step over all processes, in nats per target.

    Raises:
        LmcompareError: it is not finite.
    """
    value = float(state.accelerator.reduce(loss.nats, "sum")) / (loss.weight or 1)
    if not math.isfinite(value):
        training = state.training
        raise LmcompareError(
            f"the loss of step {state.meter.steps} is {value}: lower training.learning_rate "
            f"(now {training.learning_rate:g}) or training.max_grad_norm "
            f"(now {training.max_grad_norm:g})"
        )
    return value


def log_step(
    state: TrainingState, loss: StepLoss, total_tokens: int, *, show: bool
) -> float | None:
    """Log the mean loss of a step where it is read, and return it.

    Reading it waits for the device, so off the CPU it is read twice a second and where ``show`` is
    set. Several processes read it at every step: all must take part, and their clocks differ.
    """
    accelerator, meter = state.accelerator, state.meter
    show = show or state.clock - state.shown_at > 0.5
    if not (show or accelerator.num_processes > 1 or accelerator.device.type == "cpu"):
        return None
    value = mean_loss(state, loss)
    rate = state.scheduler.get_last_lr()[0]
    accelerator.log({"loss": value, "learning_rate": rate}, step=meter.steps)
    if show:
        state.shown_at = state.clock
        event = {"done": meter.corpus_tokens, "total": total_tokens, "stage": "training"}
        speed = meter.corpus_tokens / meter.seconds
        state.run.progress({**event, "loss": value, "tokens_per_second": speed})
    return value


def evaluate(state: TrainingState, validation: ValidationBatches, train_loss: float | None) -> None:
    """Add a point of training and one of validation to the learning curve."""
    meter, processes = state.meter, state.accelerator.num_processes
    position = {
        "step": meter.steps,
        "tokens": meter.corpus_tokens,
        "targets": meter.targets * processes,
        "flops": meter.training_flops * processes,
        "seconds": meter.seconds,
    }
    losses = validation.evaluate(state.network)
    state.curve.append({"split": "train", **position, "loss": train_loss})
    state.curve.append({"split": "validation", **position, **losses})
    state.accelerator.log({"validation_loss": losses["loss"]}, step=meter.steps)
    state.clock = time.perf_counter()


def save(state: TrainingState, loss: StepLoss) -> None:
    """Save a checkpoint, unless the loss of its last step is not finite.

    Raises:
        LmcompareError: it is not.
    """
    mean_loss(state, loss)
    progress = {"meter": asdict(state.meter), "curve": state.curve}
    save_checkpoint(state.accelerator, state.checkpoint, progress)
    state.clock = state.saved_at = time.perf_counter()
