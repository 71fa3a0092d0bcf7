"""The cells of an experiment, in order, and their keys."""

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from functools import cache as once
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lmcompare.cells import Cell
from lmcompare.errors import InputError, nearest
from lmcompare.experiment import Experiment
from lmcompare.settings import plain

OUTSIDE = frozenset(
    "statistics report yamlfile overrides grid validation hypotheses experiment cells plan machine state display pool "
    "run worker cli benchmarks scoring_benchmark inspect __main__ __init__".split()
)
"""Rooms (files and folders of the package) that decide no cell's result: a change there repeats no work."""


def plan(experiment: Experiment) -> list[Cell]:
    """Return all cells in the order in which they are best done; whatever a cell needs comes before it.

    The key of a cell hashes the settings that decide its result, the content of its sources, the keys of the cells
    that it needs, the source files that compute, and the versions of torch and transformers. The names of the
    experiment and of its arms are not in it: experiments share cells.

    Raises:
        InputError: sources are missing or cannot be read: all of them at once.
    """
    cells: list[Cell] = []

    def add(kind: Any, name: str, decides: Any, needs: Sequence[Cell], **said: Any) -> Cell:
        code = [_code(), *(version_of(library) for library in ("torch", "transformers"))]
        text = json.dumps([kind, decides, [need.key for need in needs], code], sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()[:32]
        names: dict[str, Any] = {"arm": "", "seed": 0, "task": "", "condition": ""} | said
        cells.append(Cell(name=name, kind=kind, needs=tuple(need.name for need in needs), key=key, **names))
        return cells[-1]

    parts = {"corpus": experiment.corpus, **{f"tasks.{name}": task for name, task in experiment.tasks.items()}}
    contents, problems = {}, []
    for path, part in parts.items():
        try:
            contents[path] = _content(part)
        except InputError as error:
            problems += [f"{path}.source: {problem}" for problem in error.problems]
    for name, asked in experiment.tasks.items():
        problems += [] if f"tasks.{name}" not in contents else _without_column(f"tasks.{name}", asked)
    if problems:
        raise InputError(*problems)
    shared = {"corpus": contents["corpus"], "vocabulary": plain(experiment.vocabulary)}
    prepare = add("prepare", "prepare", shared | {"blocks": plain(experiment.blocks)}, [])
    tasks = {name: contents[f"tasks.{name}"] for name in experiment.tasks}
    for task in tasks:
        add("control", f"{task}/control", tasks[task], [prepare], task=task, condition="control")
    for seed in experiment.seeds:
        trained = {}
        networks = {
            arm: {"objective": _content(side.objective), "network": plain(experiment.network_of(arm)), "seed": seed}
            for arm, side in experiment.arms.items()
        }
        for arm, network in networks.items():
            training = plain(experiment.training_of(arm))
            del training["checkpoint_minutes"]
            decides = network | {"training": training}
            trained[arm] = add("pretrain", f"pretrain/{arm}/{seed}", decides, [prepare], arm=arm, seed=seed)
        for task, settings in tasks.items():
            for arm, network in networks.items():
                for condition in experiment.tasks[task].conditions:
                    needs = [prepare, trained[arm]] if condition == "pretrained" else [prepare]
                    name = f"{task}/{arm}/{seed}/{condition}"
                    decides = network | {"task": settings, "condition": condition}
                    add("task", name, decides, needs, arm=arm, seed=seed, task=task, condition=condition)
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


def _content(part: Any) -> Any:
    """Return the settings of a part with each source replaced by its fingerprint, and the code of a plug-in."""
    said = plain(part)
    if "source" in {field.name for field in fields(part)}:
        said["source"] = part.source.fingerprint()
    module = type(part).__module__
    if not module.startswith("lmcompare."):
        file = getattr(sys.modules.get(module), "__file__", None)
        said["code"] = hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else module
    return said


@once
def _code() -> str:
    root = Path(__file__).parent
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
