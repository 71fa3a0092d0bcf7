"""The rows that a run left in its folder, and what is missing among them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from lmcompare.core.errors import InputError
from lmcompare.core.records import CheckpointInfo, Run, read_records, read_runs
from lmcompare.core.settings import PRETRAINING

PRETRAINED, SCRATCH, CONTROL = "pretrained", "scratch", "control"
_VALUES = ["seed", "item", "value", "exactness"]


@dataclass(frozen=True)
class TaskResults:
    """What the report must know of a task."""

    name: str
    """its key in the YAML file"""
    kind: str
    """its word in the registry of tasks"""
    primary: str
    """the metric that decides"""
    better: str
    """'higher' or 'lower'"""
    family: str
    """'understanding' or 'generation'"""
    description: str
    """one line"""
    conditions: tuple[str, ...]
    """of each model: 'pretrained', 'scratch'"""
    smallest_effect: float = 0.0
    """of interest, in the metric's own unit; 0 if the task names none"""
    per_item: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """metric -> the per-item records it is the ratio of sums of; '' below: the number of items"""


@dataclass(frozen=True)
class Results:
    """Everything that the report is made from."""

    settings: dict[str, Any]
    """the experiment as resolved (``experiment.yaml``): each model and each task is a mapping"""
    runs: list[Run]
    """the finished cells"""
    records: pd.DataFrame
    """one row a value; the columns are the fields of ``Record``"""
    command: str = ""
    """the command that made them, as the head of ``experiment.yaml`` has it; '' without one"""

    @property
    def name(self) -> str:
        """Name of the experiment."""
        return str(self.settings["name"])

    @property
    def models(self) -> list[str]:
        """Names of the models, in the order of the YAML file."""
        return list(self.settings["models"])

    @cached_property
    def checkpoints(self) -> list[str]:
        """Names of the models that came trained, whose corpus and budget are not controlled."""
        return [
            model for model, given in self.settings["models"].items() if given.get("checkpoint")
        ]

    @cached_property
    def fresh(self) -> list[str]:
        """Names of the models that were trained here."""
        return [model for model in self.models if model not in self.checkpoints]

    @property
    def seeds(self) -> list[int]:
        """The seeds of the experiment: of pretraining; of a checkpoint's adaptation."""
        return [int(seed) for seed in self.settings["seeds"]]

    @cached_property
    def tasks(self) -> list[TaskResults]:
        """The tasks, in the order of the YAML file."""
        return [self._task(str(name)) for name in self.settings.get("tasks") or {}]

    def _task(self, name: str) -> TaskResults:
        cells = [run for run in self.runs if run.task == name]
        info = None
        for run in cells:
            if run.notes.task is None:
                raise InputError(f"runs.jsonl: {run.cell}: notes.task: wanted a mapping, got null")
            info = run.notes.task
        finished = {run.condition for run in cells} - {CONTROL}
        conditions = (info.conditions if info else ()) or sorted(finished) or [PRETRAINED]
        return TaskResults(
            name=name,
            kind=str(self.settings["tasks"][name]["kind"]),
            primary=info.primary_metric if info else "",
            better=info.better if info else "higher",
            family=info.family if info else "",
            description=info.description if info else "",
            conditions=tuple(str(condition) for condition in conditions if condition != CONTROL),
            smallest_effect=info.smallest_effect if info else 0.0,
            per_item=info.per_item if info else {},
        )

    def records_of(self, task: str, metric: str) -> tuple[str, str]:
        """Return the per-item records whose sums a metric is the ratio of, or its own name."""
        per_item = next((each.per_item for each in self.tasks if each.name == task), {})
        return per_item.get(metric, (metric, ""))

    @cached_property
    def _pretraining(self) -> dict[str, list[Run]]:
        cells = [run for run in self.runs if run.cell.startswith("pretrain/")]
        return {
            model: sorted((run for run in cells if run.model == model), key=lambda run: run.seed)
            for model in self.models
        }

    def pretraining(self, model: str) -> list[Run]:
        """Return the pretraining cells of ``model``, by seed."""
        return self._pretraining.get(model, [])

    def checkpoint(self, model: str) -> CheckpointInfo | None:
        """Return what is known of a checkpoint: its class, its size, its vocabulary."""
        runs = (run for run in self.runs if run.model == model)
        return next((run.notes.checkpoint for run in runs if run.notes.checkpoint), None)

    def finished(self, model: str) -> int:
        """Return how many seeds of ``model`` are there; of a checkpoint, those that a task has."""
        if model not in self.checkpoints:
            return len(self.pretraining(model))
        return len(
            {run.seed for run in self.runs if run.model == model and run.condition == PRETRAINED}
        )

    def models_of(self, task: str) -> list[str]:
        """Return the models that do ``task``: all but those whose own `tasks` leave it out."""
        tasks = {model: given.get("tasks") for model, given in self.settings["models"].items()}
        return [model for model, own in tasks.items() if own is None or task in own]

    def cells(self, task: str, model: str | None = None) -> list[Run]:
        """Return the cells of ``task`` (of one model), by model and seed."""
        order = {name: place for place, name in enumerate(self.models)}
        cells = [run for run in self.runs if run.task == task and model in (None, run.model)]
        return sorted(
            cells, key=lambda run: (order.get(run.model, len(order)), run.seed, run.condition)
        )

    @cached_property
    def _by_task(self) -> dict[str, pd.DataFrame]:
        return {str(task): frame for task, frame in self.records.groupby("task", sort=False)}

    @cached_property
    def _values(self) -> dict[tuple[str, ...], pd.DataFrame]:
        """The records of whole sets of items: by task, model, condition, metric and split."""
        whole = self.records[self.records["part"] == ""]
        keys = ["task", "model", "condition", "metric", "split"]
        # numpy objects and categories: thousands of small frames of Arrow strings are slow
        values = whole[_VALUES].astype({"item": object, "exactness": object})
        values = values.set_axis(range(len(values)))
        groups = whole[keys].astype("category").reset_index(drop=True)
        places = groups.groupby(keys, sort=False, observed=True).indices
        return {key: values.take(place) for key, place in places.items()}

    @cached_property
    def outcomes_cache(self) -> dict[tuple[str, ...], Any]:
        """The item outcomes computed so far; see ``outcomes.item_outcomes``."""
        return {}

    def of_task(self, task: str) -> pd.DataFrame:
        """Return the records of a task."""
        return self._by_task.get(task, self.records[:0])

    def controls(self, task: str) -> list[str]:
        """Return the names of the controls of ``task``, sorted."""
        frame = self.of_task(task)
        return sorted(frame.loc[frame["condition"] == CONTROL, "model"].unique())

    def values(self, task: str, model: str, condition: str, metric: str) -> pd.DataFrame:
        """Return the test records of one metric, of pretraining those of validation."""
        split = "validation" if task == PRETRAINING else "test"
        key = (task, model, condition, metric, split)
        return self._values[key] if key in self._values else self.records[_VALUES][:0]

    def parts(self, task: str, metric: str, kind: str) -> pd.DataFrame:
        """Return the test records of ``metric`` on parts '<kind>/<name>'; ``part`` is the name."""
        frame = self.of_task(task)
        frame = frame[frame["split"] == "test"]
        head = f"{kind}/"
        frame = frame[(frame["metric"] == metric) & frame["part"].str.startswith(head)]
        frame = frame.assign(part=frame["part"].str.removeprefix(head))
        return frame[["model", "condition", "seed", "part", "value", "exactness"]]

    def converged(self, model: str) -> bool | None:
        """Return whether every finished seed passed the convergence check; None if unknown."""
        checks = [run.notes.convergence for run in self.pretraining(model) if run.notes.convergence]
        return all(check.passed for check in checks) if checks else None

    @cached_property
    def expected_cells(self) -> list[str]:
        """Names of all cells of the experiment."""
        names = [
            "prepare",
            *(f"pretrain/{model}/{seed}" for model in self.fresh for seed in self.seeds),
        ]
        for task in self.tasks:
            for model in self.models_of(task.name):
                names += [
                    f"{task.name}/{model}/{seed}/{c}"
                    for seed in self.seeds
                    for c in task.conditions
                ]
            names.append(f"{task.name}/control")
        return names

    @cached_property
    def missing_cells(self) -> list[str]:
        """Names of the cells that have not finished."""
        done = {run.cell for run in self.runs}
        return [name for name in self.expected_cells if name not in done]


def read(folder: Path) -> Results:
    """Read ``experiment.yaml``, ``runs.jsonl`` and ``records.parquet`` from ``folder``.

    Rows of models that the experiment no longer has are left out.

    Raises:
        InputError: the folder or one of the files is missing, or is not what a run writes.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; wanted the results of `lmcompare run`")
    path = folder / "experiment.yaml"
    try:
        text = path.read_text(encoding="utf-8")
        settings = YAML(typ="safe", pure=True).load(text)
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file; wanted the experiment as `lmcompare run` resolved it"
        ) from None
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise InputError(f"{path}: cannot be read ({' '.join(str(error).split())})") from error
    if not isinstance(settings, dict):
        raise InputError(f"{path}: wanted a mapping, got {type(settings).__name__}")
    shapes: dict[str, Any] = {"name": str, "models": dict, "tasks": dict, "seeds": (list, tuple)}
    problems = [
        f"{path}: {key}: wanted one, got {settings.get(key)!r}"
        for key, shape in shapes.items()
        if not isinstance(settings.get(key), shape)
        or (key in ("name", "models", "seeds") and not settings[key])
    ]
    if problems:
        raise InputError(*problems)
    try:
        runs = read_runs(folder / "runs.jsonl")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{folder / 'runs.jsonl'}: wanted UTF-8, got {error.reason} at byte {error.start}"
        ) from error
    records = read_records(folder / "records.parquet")
    models = set(settings["models"])
    runs = [run for run in runs if not run.model or run.model in models or run.condition == CONTROL]
    records = records[records["model"].isin(models) | (records["condition"] == CONTROL)]
    command = re.match(r"# As `(.+)` resolved it", text)
    return Results(
        settings=settings, runs=runs, records=records, command=command[1] if command else ""
    )
