"""The cells of an experiment, in order, and their keys."""

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import fields
from functools import cache as once
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lmcompare.core.errors import InputError, nearest
from lmcompare.core.settings import ModelSettings, plain
from lmcompare.data.sources._files import filled
from lmcompare.execution.cells import Cell
from lmcompare.experiments.experiment import Experiment
from lmcompare.models.checkpoint_files import check, check_name, downloaded, fingerprint, is_local

OUTSIDE = frozenset(
    "statistics report experiments execution cli benchmarks __main__ __init__".split()
)
"""Rooms (files and folders of the package) that decide no cell's result: a change there repeats no work."""
ROWS = 100_000
"""Rows of a source that are read for a label that is not among the first, before a run."""


def plan(experiment: Experiment) -> list[Cell]:
    """Return all cells in the order in which they are best done; whatever a cell needs comes before it.

    The key of a cell hashes the settings that decide its result, the content of its sources, the keys of the cells
    that it needs, the source files that compute, and the versions of torch and transformers. The names of the
    experiment and of its models are not in it: experiments share cells. A model that is a checkpoint has no pretraining;
    its key has the hash of its files or, of the hub, its name and revision.

    Raises:
        InputError: sources or checkpoints are missing or cannot be read: all of them at once.
    """
    cells: list[Cell] = []

    def add(kind: Any, name: str, decides: Any, needs: Sequence[Cell], **said: Any) -> Cell:
        code = [_code(), *(version_of(library) for library in ("torch", "transformers"))]
        text = json.dumps([kind, decides, [need.key for need in needs], code], sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()[:32]
        names: dict[str, Any] = {"model": "", "seed": 0, "task": "", "condition": ""} | said
        cells.append(
            Cell(name=name, kind=kind, needs=tuple(need.name for need in needs), key=key, **names)
        )
        return cells[-1]

    parts = {
        "corpus": experiment.corpus,
        **{f"tasks.{name}": task for name, task in experiment.tasks.items()},
    }
    contents: dict[str, Any] = {}
    problems: list[str] = []
    for path, part in parts.items():
        before = len(problems)
        content = _content(part, path, problems)
        if len(problems) == before:
            contents[path] = content
            for where, asked in _reading(path, part) if path != "corpus" else ():
                problems += _without_column(where, asked) or _without_label(where, asked)
    ready: dict[str, Any] = {}
    for model, side in experiment.models.items():
        if side.checkpoint is not None:
            ready[model] = _checkpoint(side, f"models.{model}", problems)
    if problems:
        raise InputError(*problems)
    shared = {"corpus": contents["corpus"], "vocabulary": plain(experiment.vocabulary)}
    prepare = add("prepare", "prepare", shared | {"blocks": plain(experiment.blocks)}, [])
    tasks = {name: contents[f"tasks.{name}"] for name in experiment.tasks}
    for task in tasks:
        # The n-gram controls read as many tokens as each network.
        decides = {"task": tasks[task], "tokens": experiment.training.tokens}
        add("control", f"{task}/control", decides, [prepare], task=task, condition="control")
    for seed in experiment.seeds:
        trained = {}
        networks = {
            model: {"checkpoint": ready[model], "seed": seed}
            if model in ready
            else {
                "objective": _content(side.objective),
                "network": plain(experiment.network_of(model)),
                "seed": seed,
            }
            for model, side in experiment.models.items()
        }
        for model, network in networks.items():
            if model in ready:
                continue
            training = plain(experiment.training_of(model))
            del training["checkpoint_minutes"]
            decides = network | {"training": training}
            trained[model] = add(
                "pretrain", f"pretrain/{model}/{seed}", decides, [prepare], model=model, seed=seed
            )
        for task, settings in tasks.items():
            for model, network in networks.items():
                if task not in experiment.tasks_of(model):
                    continue
                for condition in experiment.tasks[task].conditions:
                    needs = (
                        [prepare, trained[model]]
                        if condition == "pretrained" and model in trained
                        else [prepare]
                    )
                    name = f"{task}/{model}/{seed}/{condition}"
                    decides = network | {"task": settings, "condition": condition}
                    add(
                        "task",
                        name,
                        decides,
                        needs,
                        model=model,
                        seed=seed,
                        task=task,
                        condition=condition,
                    )
    return cells


def _without_column(path: str, task: Any) -> list[str]:
    """Return which columns that a task names are not in the first row of its source."""
    try:
        row = next(iter(task.source.rows()), None) if task.columns else None
    except InputError as error:
        return [f"{path}.source: {problem}" for problem in error.problems]
    return [
        f"{path}.{key}: the source has no column {name!r}{nearest(name, row)}"
        for key, name in ((key, getattr(task, key)) for key in task.columns)
        if row is not None and name not in row
    ]


def _without_label(path: str, task: Any) -> list[str]:
    """Return which keys of ``words`` are no label of the source: it is read until each has been seen."""
    missing, column = (
        dict.fromkeys(getattr(task, "words", ())),
        getattr(task, task.columns[-1]) if task.columns else "",
    )
    if not missing:
        return []
    known: set[str] = set()
    try:
        for number, row in enumerate(task.source.rows()):
            if number == ROWS or not missing:
                return []
            for label in {
                str(one).strip() for one in _listed(row.get(column)) if one is not None
            } - known:
                known.add(label)
                missing.pop(label, None)
    except InputError as error:
        return [f"{path}.source: {problem}" for problem in error.problems]
    return [
        f"{path}.words.{label}: no such label in column {column!r}{nearest(label, known)}"
        for label in missing
    ]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _reading(path: str, part: Any) -> list[tuple[str, Any]]:
    """Return what has a source, with its path: the part itself, and what its ``sections`` hold."""
    own = [(path, part)] if "source" in {field.name for field in fields(part)} else []
    inner = [
        (f"{path}.{key}.{n}", one)
        for key in getattr(type(part), "sections", ())
        for n, one in getattr(part, key).items()
    ]
    return own + inner


def _content(part: Any, path: str = "", problems: list[str] | None = None) -> Any:
    """Return the settings of a part with each source replaced by its fingerprint, and the code of a plug-in.

    Of sources that cannot be read the problems are added to the list.
    """
    said = plain(part)
    for where, one in _reading(path, part):
        place = said
        for key in where.removeprefix(path).split(".", 2)[1:]:
            place = place[key]
        try:
            place["source"] = one.source.fingerprint()
        except InputError as error:
            if problems is None:
                raise
            problems += [f"{where}.source: {problem}" for problem in error.problems]
    module = type(part).__module__
    if not module.startswith("lmcompare."):
        file = getattr(sys.modules.get(module), "__file__", None)
        said["code"] = hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else module
    return said


def _checkpoint(side: ModelSettings, path: str, problems: list[str]) -> Any:
    """Return what decides the answers of a model that is a checkpoint, or None and say what is wrong with it."""
    try:
        name = filled(str(side.checkpoint))
        if not is_local(name):
            check_name(name)
            folder = downloaded(name, side.revision)
        elif side.revision is not None:
            problems.append(f"{path}.revision: wanted none beside a folder, got {side.revision!r}")
            return None
        else:
            folder = Path(name)
        if folder is not None and not check(folder):
            from lmcompare.models.checkpoints import (
                check_type,  # transformers: only where the name of the class says nothing
            )

            check_type(folder)
    except InputError as error:
        problems += [f"{path}.checkpoint: {problem}" for problem in error.problems]
        return None
    return (
        fingerprint(folder)
        if folder and is_local(name)
        else {"name": name, "revision": side.revision or "main"}
    )


def to_download(experiment: Experiment) -> list[str]:
    """Say which checkpoints a run must fetch from the hub first; nothing is fetched, and the hub is not asked."""
    said = []
    for model, side in experiment.models.items():
        name = side.checkpoint and filled(side.checkpoint)
        if name is not None and not is_local(name) and downloaded(name, side.revision) is None:
            how = "which needs the network"
            if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
                how += ", and HF_HUB_OFFLINE is set: unset it, or download the checkpoint before"
            said.append(
                f"models.{model}.checkpoint: {name} is not on this machine; a run fetches it from the hub, {how}"
            )
    return said


@once
def _code() -> str:
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        inside = path.relative_to(root)
        if inside.parts[0].removesuffix(".py") not in OUTSIDE:
            digest.update(f"{inside.as_posix()}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def version_of(library: str) -> str:
    """Return the version of an installed library without importing it, or 'absent'."""
    try:
        return version(library)
    except PackageNotFoundError:
        return "absent"
