"""The cells of an experiment, in order: what needs what, and what each key hashes."""

import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lmcompare.core.cells import Cell
from lmcompare.core.errors import InputError
from lmcompare.core.settings import ModelSettings, plain
from lmcompare.data.sources._files import filled
from lmcompare.execution.cell_keys import cell_key
from lmcompare.execution.source_checks import missing_columns, missing_labels, parts_with_source
from lmcompare.experiments.experiment import Experiment
from lmcompare.models.checkpoint_files import (
    cached_folder,
    check_folder,
    check_hub_name,
    fingerprint,
    is_local,
)


def plan(experiment: Experiment) -> list[Cell]:
    """Return all cells, each after those that it needs.

    A key hashes the settings that decide the cell's result, the content of its sources, the keys of
    the cells that it needs, and the code that it depends on (``cell_keys``). Names of experiments
    and models are not in it, so experiments share cells. A model that is a checkpoint has no
    pretrain cell: its files' hash (or its name and revision on the hub) is in the keys of its
    tasks.

    Raises:
        InputError: sources or checkpoints are missing or cannot be read: all of them at once.
    """
    problems: list[str] = []
    corpus = _content(experiment.corpus, "corpus", problems)
    tasks = {
        name: _checked_content(task, f"tasks.{name}", problems)
        for name, task in experiment.tasks.items()
    }
    checkpoints = {
        name: _checkpoint(model, f"models.{name}.checkpoint", problems)
        for name, model in experiment.models.items()
        if model.checkpoint is not None
    }
    if problems:
        raise InputError(*problems)

    draft = _Plan(experiment, tasks, checkpoints)
    shared = {
        "corpus": corpus,
        "tokenizer": plain(experiment.tokenizer),
        "sequence": plain(experiment.sequence),
    }
    prepare = draft.add("prepare", "prepare", shared, [])
    draft.add_controls(prepare)
    for seed in experiment.seeds:
        draft.add_seed(seed, prepare)
    return draft.cells


class _Plan:
    """Cells in the making: each is added after those that it needs."""

    def __init__(
        self, experiment: Experiment, tasks: dict[str, Any], checkpoints: dict[str, Any]
    ) -> None:
        self.experiment = experiment
        self.tasks = tasks
        self.checkpoints = checkpoints
        self.cells: list[Cell] = []

    def add(
        self, kind: Any, name: str, settings: Any, needs: Sequence[Cell], **belongs: Any
    ) -> Cell:
        parts: list[Any] = [self.experiment.corpus]
        if task := belongs.get("task"):
            parts.append(self.experiment.tasks[task])
        key = cell_key(kind, settings, [cell.key for cell in needs], parts)
        names: dict[str, Any] = {"model": "", "seed": 0, "task": "", "condition": ""} | belongs
        needed = tuple(cell.name for cell in needs)
        self.cells.append(Cell(name=name, kind=kind, needs=needed, key=key, **names))
        return self.cells[-1]

    def add_controls(self, prepare: Cell) -> None:
        for name, content in self.tasks.items():
            # The n-gram controls read as many tokens as each network.
            settings = {"task": content, "tokens": self.experiment.training.tokens}
            cell = f"{name}/control"
            self.add("control", cell, settings, [prepare], task=name, condition="control")

    def add_seed(self, seed: int, prepare: Cell) -> None:
        """Add every network of a seed, then every task on each of them."""
        networks: dict[str, Any] = {}
        pretrained: dict[str, Cell] = {}
        for name, model in self.experiment.models.items():
            if name in self.checkpoints:
                networks[name] = {"checkpoint": self.checkpoints[name], "seed": seed}
                continue
            networks[name] = {
                "objective": _content(model.objective),
                "network": plain(self.experiment.network_of(name)),
                "seed": seed,
            }
            training = plain(self.experiment.training_of(name))
            del training["checkpoint_minutes"]  # decides no result
            settings = networks[name] | {"training": training}
            cell = f"pretrain/{name}/{seed}"
            pretrained[name] = self.add(
                "pretrain", cell, settings, [prepare], model=name, seed=seed
            )
        for task in self.tasks:
            for name, network in networks.items():
                if task in self.experiment.tasks_of(name):
                    needs = [prepare, pretrained[name]] if name in pretrained else [prepare]
                    self.add_conditions(task, name, network, needs)

    def add_conditions(
        self, task: str, model: str, network: dict[str, Any], needs: list[Cell]
    ) -> None:
        """Add a task on a network; from random initialization it needs no pretraining."""
        seed = network["seed"]
        for condition in self.experiment.tasks[task].conditions:
            settings = network | {"task": self.tasks[task], "condition": condition}
            self.add(
                "task",
                f"{task}/{model}/{seed}/{condition}",
                settings,
                needs if condition == "pretrained" else needs[:1],
                model=model,
                seed=seed,
                task=task,
                condition=condition,
            )


def _checked_content(task: Any, path: str, problems: list[str]) -> Any:
    """Return ``_content`` of a task, and check what it names of a source that can be read."""
    before = len(problems)
    content = _content(task, path, problems)
    if len(problems) == before:
        for where, part in parts_with_source(path, task):
            problems += missing_columns(where, part) or missing_labels(where, part)
    return content


def _content(part: Any, path: str = "", problems: list[str] | None = None) -> Any:
    """Return settings with each source replaced by its fingerprint, and the code of a plug-in.

    Problems with sources are added to the list; without one they are raised.
    """
    settings = plain(part)
    for where, inner in parts_with_source(path, part):
        place = settings
        for key in where.removeprefix(path).split(".", 2)[1:]:
            place = place[key]
        try:
            place["source"] = inner.source.fingerprint()
        except InputError as error:
            if problems is None:
                raise
            problems += [f"{where}.source: {problem}" for problem in error.problems]
    module = type(part).__module__
    if not module.startswith("lmcompare."):
        file = getattr(sys.modules.get(module), "__file__", None)
        settings["code"] = hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else module
    return settings


def _checkpoint(model: ModelSettings, path: str, problems: list[str]) -> Any:
    """Return what identifies a checkpoint's content, or None and add what is wrong with it."""
    try:
        name = filled(str(model.checkpoint))
        if is_local(name):
            if model.revision is not None:
                revision = path.replace("checkpoint", "revision")
                problems.append(f"{revision}: wanted none beside a folder, got {model.revision!r}")
                return None
            folder: Path | None = Path(name)
        else:
            check_hub_name(name)
            folder = cached_folder(name, model.revision)
        if folder is not None and not check_folder(folder):
            # The name of the class does not tell, so transformers must: slow to import.
            from lmcompare.models.checkpoints import role_of_folder

            role_of_folder(folder)
    except InputError as error:
        problems += [f"{path}: {problem}" for problem in error.problems]
        return None
    if folder and is_local(name):
        return fingerprint(folder)
    return {"name": name, "revision": model.revision or "main"}


def pending_downloads(experiment: Experiment) -> list[str]:
    """Return a line for each checkpoint that a run must fetch from the hub; touches no network."""
    lines = []
    for model, settings in experiment.models.items():
        name = settings.checkpoint and filled(settings.checkpoint)
        if name is None or is_local(name) or cached_folder(name, settings.revision) is not None:
            continue
        needs = "which needs the network"
        if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
            needs += ", and HF_HUB_OFFLINE is set: unset it, or download the checkpoint before"
        lines.append(
            f"models.{model}.checkpoint: {name} is not on this machine; a run fetches it from the "
            f"hub, {needs}"
        )
    return lines
