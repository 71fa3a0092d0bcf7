"""The work of one cell: prepare the data, pretrain a network, or measure one on a task; outcomes become records."""

import os
import platform
import time
from dataclasses import asdict, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging as transformers_logging

from lmcompare import __version__
from lmcompare.core.cells import Cell, CellContext
from lmcompare.core.records import CheckpointInfo, Convergence, Notes, Record, Run, TaskInfo
from lmcompare.core.settings import GATE, PRETRAINING, plain
from lmcompare.data.sources._files import filled
from lmcompare.evaluation.harness import Experiment, Harness
from lmcompare.evaluation.harness import PreparedData as PreparedData
from lmcompare.language_model import LanguageModel, load
from lmcompare.models.checkpoint_files import cached_folder, fingerprint, is_local
from lmcompare.models.network import build_network, reinitialize
from lmcompare.objectives import Objective
from lmcompare.tasks.base import Measurement, TaskOutcome
from lmcompare.training.batches import TrainingData
from lmcompare.training.budget import peak_memory, reset_peak_memory
from lmcompare.training.loop import TrainingRun, train

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


def perform(experiment: Experiment, cell: Cell, place: CellContext) -> tuple[Run, list[Record]]:
    """Do the work of ``cell``.

    Raises:
        InputError: the settings do not fit the data.
        LmcompareError: the work failed.
        KeyboardInterrupt: after a checkpoint was saved.
    """
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    place.progress({"done": 0, "total": 1, "stage": "reading the corpus"})
    data = PreparedData.of(experiment, place.cache)
    reset_peak_memory()
    start = time.perf_counter()
    run, outcomes = WORK[cell.kind](experiment, cell, place, data)
    seconds = time.perf_counter() - start
    fingerprints = {
        "source": experiment.corpus.source.fingerprint(),  # type: ignore[attr-defined]
        "corpus": data.corpus.fingerprint,
        "vocabulary": data.tokenizer.fingerprint,
        "blocks": data.blocks.fingerprint,
    }
    run = replace(
        run,
        fingerprints=fingerprints | run.fingerprints,
        costs={
            "seconds": seconds,
            **run.costs,
            "peak_memory_bytes": run.costs.get("peak_memory_bytes", peak_memory()),
            "threads": float(torch.get_num_threads()),
            "workers": float(place.workers),
        },
        versions={"python": platform.python_version(), "lmcompare": __version__}
        | {name: version(name) for name in LIBRARIES},
        machine=machine(place.device),
    )
    records = [
        Record(
            experiment.name,
            outcome.model or cell.model,
            cell.seed,
            cell.task or PRETRAINING,
            cell.condition or "pretrained",
            outcome.split,
            outcome.item,
            outcome.metric,
            float(outcome.value),
            outcome.exactness,
            outcome.part,
        )
        for outcome in outcomes
    ]
    return run, records


def _prepare(
    experiment: Experiment, cell: Cell, place: CellContext, data: PreparedData
) -> tuple[Run, list[TaskOutcome]]:
    counts = {**data.corpus.counts, **data.blocks.counts, "vocabulary": data.tokenizer.size}
    return _run(experiment, cell, notes=Notes(counts=counts)), []


def _pretrain(
    experiment: Experiment, cell: Cell, place: CellContext, data: PreparedData
) -> tuple[Run, list[TaskOutcome]]:
    network_settings, training = (
        experiment.network_of(cell.model),
        experiment.training_of(cell.model),
    )
    model = fresh(experiment, cell, data)
    objective = model.objective
    training_data = TrainingData(
        data.blocks,
        objective,
        data.tokenizer.special,
        cell.seed,
        isolated=experiment.sequence.packing == "isolated",
    )
    name = f"{experiment.name}-{cell.name}".replace("/", "-")
    training_run = TrainingRun(place.folder, place.device, place.trackers, name, place.progress)
    trained = train(
        model.network, training_data, training, shape=network_settings, run=training_run
    )
    model.save_pretrained(place.folder / "weights")
    last = trained.last_validation
    convergence = Convergence(last["text_loss"], last["unigram"], GATE)
    costs = {**model.network.parameters_counted(), **trained.costs}
    details = {
        "objective": objective.kind,
        "family": objective.family,
        "exactness": objective.exactness,
        "target_share": trained.costs["targets"] / trained.costs["corpus_tokens"],
    }
    notes = Notes(role=objective.role, convergence=convergence, details=details)
    config = {
        "objective": plain(objective),
        "network": asdict(network_settings),
        "training": asdict(training),
    }
    points = [point for point in trained.curve if point["split"] == "validation"]
    rise = last["loss"] - min(point["loss"] for point in points)
    values = {
        "loss": last["loss"],
        "text_loss": last["text_loss"],
        "unigram_loss": last["unigram"],
        "margin": convergence.margin,
    }
    values["validation_rise"] = rise
    outcomes = [TaskOutcome(metric, value, split="validation") for metric, value in values.items()]
    run = _run(experiment, cell, config=config, costs=costs, curve=trained.curve, notes=notes)
    return run, outcomes


def _measure(
    experiment: Experiment, cell: Cell, place: CellContext, data: PreparedData
) -> tuple[Run, list[TaskOutcome]]:
    if experiment.models[cell.model].checkpoint is not None:
        return _measure_checkpoint(experiment, cell, place, data)
    if cell.condition == "scratch":
        model = fresh(experiment, cell, data)
    else:
        (folder,) = (path for name, path in place.folders.items() if name.startswith("pretrain/"))
        model = LanguageModel.from_pretrained(folder / "weights")
    model.network.to(_device(place.device))
    harness = Harness(
        data,
        model,
        cell.seed,
        experiment.sequence.length,
        experiment.training.tokens,
        place.progress,
    )
    measurement = experiment.tasks[cell.task].measure(harness)
    return _measured(experiment, cell, measurement, role=model.objective.role)


def _measure_checkpoint(
    experiment: Experiment, cell: Cell, place: CellContext, data: PreparedData
) -> tuple[Run, list[TaskOutcome]]:
    side = experiment.models[cell.model]
    name = filled(side.checkpoint)
    model = load(name, revision=side.revision)
    if cell.condition == "scratch":
        network = reinitialize(model.network, cell.seed)
        model = type(model)(network, model.tokenizer, model.objective, context=model.context)
    model.network.to(_device(place.device))
    context = min(experiment.sequence.length, model.context or experiment.sequence.length)
    harness = Harness(data, model, cell.seed, context, experiment.training.tokens, place.progress)
    hub = None if is_local(name) else cached_folder(name, side.revision)
    checkpoint = CheckpointInfo(
        architecture=type(model.network.transformer).__name__,
        vocab_size=model.tokenizer.size,
        shared_tokenizer=not harness.foreign,
        context=model.context,
        commit=None if hub is None else hub.name,
        **model.network.parameters_counted(),
    )
    measurement = experiment.tasks[cell.task].measure(harness)
    run, outcomes = _measured(
        experiment, cell, measurement, role=model.objective.role, checkpoint=checkpoint
    )
    if is_local(name):
        content = {"checkpoint": fingerprint(Path(name))}
        run = replace(run, fingerprints=content | run.fingerprints)
    return replace(run, config={"checkpoint": side.checkpoint, "revision": side.revision}), outcomes


def _control(
    experiment: Experiment, cell: Cell, place: CellContext, data: PreparedData
) -> tuple[Run, list[TaskOutcome]]:
    harness = Harness(
        data,
        None,
        cell.seed,
        experiment.sequence.length,
        experiment.training.tokens,
        place.progress,
    )
    return _measured(experiment, cell, experiment.tasks[cell.task].control(harness))


def _measured(
    experiment: Experiment, cell: Cell, measurement: Measurement, **notes: Any
) -> tuple[Run, list[TaskOutcome]]:
    task = experiment.tasks[cell.task]
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
    run = _run(
        experiment,
        cell,
        costs=measurement.costs,
        samples=measurement.samples,
        fingerprints=measurement.fingerprints,
        notes=replace(measurement.notes, task=info, **notes),
    )
    return run, measurement.outcomes


WORK = {"prepare": _prepare, "pretrain": _pretrain, "task": _measure, "control": _control}


def fresh(experiment: Experiment, cell: Cell, data: PreparedData) -> LanguageModel:
    """Return the cell's network before any training; pretraining and the 'scratch' control start from the same."""
    objective: Objective = experiment.models[cell.model].objective
    network = build_network(
        experiment.network_of(cell.model), objective.role, data.tokenizer.special, seed=cell.seed
    )
    return LanguageModel(network, data.tokenizer, objective)


def _run(experiment: Experiment, cell: Cell, **fields: Any) -> Run:
    start = Run(
        experiment.name,
        cell.name,
        cell.key,
        cell.model,
        cell.seed,
        cell.task,
        cell.condition,
        config={},
    )
    return replace(start, **fields)


def _device(device: str | None) -> str:
    return device or (
        "cuda"
        if torch.cuda.is_available()
        else "mps"
        if torch.backends.mps.is_available()
        else "cpu"
    )


@cache
def machine(device: str | None) -> dict[str, str]:
    """Return what the report says of the machine."""
    chosen = _device(device)
    name = (
        torch.cuda.get_device_name()
        if chosen.startswith("cuda")
        else platform.processor() or platform.machine()
    )
    if chosen == "cpu" and Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(
            (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
            name,
        )
    return {
        "device": chosen,
        "processor": name,
        "cores": str(os.cpu_count()),
        "system": platform.system(),
    }
