"""The work of one cell: prepare the data, pretrain a network, or measure a model on a task."""

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging as transformers_logging

from lmcompare import __version__
from lmcompare.core.cells import Cell, CellContext, CellSettings
from lmcompare.core.records import CheckpointInfo, Convergence, Notes, Record, Run, TaskInfo
from lmcompare.core.settings import CONVERGENCE_MARGIN, PRETRAINING, plain
from lmcompare.data.sources._files import filled
from lmcompare.evaluation.harness import Harness, PreparedData
from lmcompare.language_model import LanguageModel, load
from lmcompare.models.checkpoint_files import cached_folder, fingerprint, is_local
from lmcompare.models.network import build_network, reinitialize
from lmcompare.objectives import Objective
from lmcompare.tasks.base import Measurement, TaskOutcome
from lmcompare.training.batches import TrainingData
from lmcompare.training.costs import peak_memory, reset_peak_memory
from lmcompare.training.loop import TrainingResult, TrainingRun, train

LIBRARIES = (
    "accelerate",
    "datasets",
    "evaluate",
    "numpy",
    "scikit-learn",
    "tokenizers",
    "torch",
    "transformers",
)
"""Libraries whose versions are recorded."""


@dataclass(frozen=True)
class CellWork:
    """A cell with everything that its work reads."""

    experiment: CellSettings
    cell: Cell
    context: CellContext
    data: PreparedData

    def harness(self, model: LanguageModel | None) -> Harness:
        """Return what a task measures the model with; None: a control."""
        length = self.experiment.sequence.length
        context = length if model is None else min(length, model.context or length)
        tokens = self.experiment.training.tokens
        return Harness(self.data, model, self.cell.seed, context, tokens, self.context.progress)

    def initial_model(self) -> LanguageModel:
        """Return the model before any training: where pretraining and 'scratch' start."""
        settings: Any = self.experiment.models[self.cell.model]
        objective: Objective = settings.objective
        tokenizer = self.data.tokenizer
        sizes = self.experiment.network_of(self.cell.model)
        network = build_network(sizes, objective.role, tokenizer.special, seed=self.cell.seed)
        return LanguageModel(network, tokenizer, objective)


@dataclass(frozen=True)
class CellResult:
    """What the work of a cell gives: fields of its ``Run``, and values."""

    fields: dict[str, Any]
    outcomes: Sequence[TaskOutcome] = ()


def perform(experiment: CellSettings, cell: Cell, context: CellContext) -> tuple[Run, list[Record]]:
    """Do the work of ``cell``.

    Raises:
        InputError: the settings do not fit the data.
        LmcompareError: the work failed.
        KeyboardInterrupt: after a checkpoint was saved.
    """
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    context.progress({"done": 0, "total": 1, "stage": "reading the corpus"})
    data = PreparedData.of(experiment, context.cache)
    reset_peak_memory()
    start = time.perf_counter()
    result = WORK[cell.kind](CellWork(experiment, cell, context, data))
    seconds = time.perf_counter() - start

    # The run: its settings, its costs, and what they depend on.
    source: Any = experiment.corpus.source
    fingerprints = {
        "source": source.fingerprint(),
        "corpus": data.corpus.fingerprint,
        "vocabulary": data.tokenizer.fingerprint,
        "blocks": data.sequences.fingerprint,
    }
    costs = {"seconds": seconds, "peak_memory_bytes": peak_memory(), **result.fields["costs"]}
    costs |= {"threads": float(torch.get_num_threads()), "workers": float(context.workers)}
    run = Run(
        experiment=experiment.name,
        cell=cell.name,
        key=cell.key,
        model=cell.model,
        seed=cell.seed,
        task=cell.task,
        condition=cell.condition,
        versions={"python": platform.python_version(), "lmcompare": __version__}
        | {name: version(name) for name in LIBRARIES},
        machine=machine(context.device),
        **result.fields
        | {"costs": costs, "fingerprints": fingerprints | result.fields["fingerprints"]},
    )

    # The records: one row a value.
    records = [
        Record(
            experiment=experiment.name,
            model=outcome.model or cell.model,
            seed=cell.seed,
            task=cell.task or PRETRAINING,
            condition=cell.condition or "pretrained",
            split=outcome.split,
            item=outcome.item,
            metric=outcome.metric,
            value=float(outcome.value),
            exactness=outcome.exactness,
            part=outcome.part,
        )
        for outcome in result.outcomes
    ]
    return run, records


def prepare(work: CellWork) -> CellResult:
    """Count the data, which are in the cache by now."""
    data = work.data
    counts = {**data.corpus.counts, **data.sequences.counts, "vocabulary": data.tokenizer.size}
    return CellResult(_fields(notes=Notes(counts=counts)))


def pretrain(work: CellWork) -> CellResult:
    """Train a network from its initialization and save its weights."""
    experiment, cell, context, data = work.experiment, work.cell, work.context, work.data
    network, training = experiment.network_of(cell.model), experiment.training_of(cell.model)
    isolated = experiment.sequence.packing == "isolated"

    model = work.initial_model()
    objective, special = model.objective, data.tokenizer.special
    training_data = TrainingData(data.sequences, objective, special, cell.seed, isolated)
    name = f"{experiment.name}-{cell.name}".replace("/", "-")
    training_run = TrainingRun(
        context.folder, context.device, context.trackers, name, context.progress
    )
    result = train(model.network, training_data, training, shape=network, run=training_run)
    model.save_pretrained(context.folder / "weights")

    last = result.last_validation
    convergence = Convergence(last["text_loss"], last["unigram"], CONVERGENCE_MARGIN)
    details = {
        "objective": objective.kind,
        "family": objective.family,
        "exactness": objective.exactness,
        "target_share": result.costs["targets"] / result.costs["corpus_tokens"],
    }
    fields = _fields(
        config={
            "objective": plain(objective),
            "network": asdict(network),
            "training": asdict(training),
        },
        costs={**model.network.parameters_counted(), **result.costs},
        curve=result.curve,
        notes=Notes(role=objective.role, convergence=convergence, details=details),
    )
    return CellResult(fields, _pretraining_outcomes(result, convergence))


def _pretraining_outcomes(result: TrainingResult, convergence: Convergence) -> list[TaskOutcome]:
    last = result.last_validation
    lowest = min(point["loss"] for point in result.curve if point["split"] == "validation")
    values = {
        "loss": last["loss"],
        "text_loss": last["text_loss"],
        "unigram_loss": last["unigram"],
        "margin": convergence.margin,
        "validation_rise": last["loss"] - lowest,
    }
    return [TaskOutcome(metric, value, split="validation") for metric, value in values.items()]


def measure(work: CellWork) -> CellResult:
    """Measure a model on a task: a network that was pretrained here, or a checkpoint."""
    task = work.experiment.tasks[work.cell.task]
    if work.experiment.models[work.cell.model].checkpoint is not None:
        return _measure_checkpoint(work)
    if work.cell.condition == "scratch":
        model = work.initial_model()
    else:
        folders = work.context.folders.items()
        (folder,) = (path for name, path in folders if name.startswith("pretrain/"))
        model = LanguageModel.from_pretrained(folder / "weights")
    model.network.to(_device(work.context.device))
    measurement = task.measure(work.harness(model))
    return _measured(work, measurement, role=model.objective.role)


def _measure_checkpoint(work: CellWork) -> CellResult:
    settings: Any = work.experiment.models[work.cell.model]
    name = filled(settings.checkpoint)
    model = load(name, revision=settings.revision)
    if work.cell.condition == "scratch":
        network = reinitialize(model.network, work.cell.seed)
        model = type(model)(network, model.tokenizer, model.objective, context=model.context)
    model.network.to(_device(work.context.device))

    harness = work.harness(model)
    hub = None if is_local(name) else cached_folder(name, settings.revision)
    checkpoint = CheckpointInfo(
        architecture=type(model.network.transformer).__name__,
        vocab_size=model.tokenizer.size,
        shared_tokenizer=not harness.has_own_tokenizer,
        context=model.context,
        commit=None if hub is None else hub.name,
        **model.network.parameters_counted(),
    )
    measurement = work.experiment.tasks[work.cell.task].measure(harness)
    result = _measured(work, measurement, role=model.objective.role, checkpoint=checkpoint)
    fields = result.fields
    fields["config"] = {"checkpoint": settings.checkpoint, "revision": settings.revision}
    if is_local(name):
        content = {"checkpoint": fingerprint(Path(name))}
        fields["fingerprints"] = content | fields["fingerprints"]
    return result


def measure_control(work: CellWork) -> CellResult:
    """Measure the baselines of a task, which need no network."""
    return _measured(work, work.experiment.tasks[work.cell.task].control(work.harness(None)))


def _measured(work: CellWork, measurement: Measurement, **notes: Any) -> CellResult:
    task = work.experiment.tasks[work.cell.task]
    info = TaskInfo(
        kind=task.kind,
        family=task.family,
        primary_metric=task.primary_metric,
        better=task.better,
        conditions=task.conditions,
        smallest_effect=task.smallest_effect,
        per_item=dict(task.per_item),
        description=task.describe(),
    )
    fields = _fields(
        costs=measurement.costs,
        samples=measurement.samples,
        fingerprints={"items": measurement.fingerprint},
        notes=replace(measurement.notes, task=info, **notes),
    )
    return CellResult(fields, measurement.outcomes)


def _fields(**fields: Any) -> dict[str, Any]:
    return {"config": {}, "costs": {}, "fingerprints": {}, **fields}


WORK = {"prepare": prepare, "pretrain": pretrain, "task": measure, "control": measure_control}


def _device(device: str | None) -> str:
    if device:
        return device
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


@cache
def machine(device: str | None) -> dict[str, str]:
    """Return the device, its name, the number of cores and the operating system."""
    chosen = _device(device)
    name = platform.processor() or platform.machine()
    if chosen.startswith("cuda"):
        name = torch.cuda.get_device_name()
    elif chosen == "cpu" and Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        name = next(models, name)
    return {
        "device": chosen,
        "processor": name,
        "cores": str(os.cpu_count()),
        "system": platform.system(),
    }
