"""What each model cost, its convergence, and what the data and the machine were."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import pandas as pd

from lmcompare.core.settings import CONVERGENCE_MARGIN
from lmcompare.report.analysis import TaskAnalysis
from lmcompare.report.formatting import NONE, engineering, plain
from lmcompare.report.results import Results
from lmcompare.report.sections.base import Section
from lmcompare.report.tables import Column, Table, name, strong

TOLERANCE = 0.05
"""Models whose means differ by more than this share of the smallest are flagged."""

WIDE = 9
"""More models than this do not fit side by side: the smallest and the largest are shown."""

COSTS = {
    "parameters": ("parameters", ""),
    "parameters_without_embeddings": ("parameters without embeddings", ""),
    "training_flops": ("training FLOPs", "FLOPs"),
    "corpus_tokens": ("corpus tokens read", ""),
    "positions": ("positions computed", ""),
    "targets": ("targets (tokens that bear loss)", ""),
    "unique_tokens": ("unique corpus tokens", ""),
    "epochs": ("passes over the corpus", ""),
    "steps": ("optimizer steps", ""),
    "seconds": ("wall time", "s"),
    "tokens_per_second": ("corpus tokens per second", ""),
    "peak_memory_bytes": ("peak memory", "B"),
    "threads": ("threads", ""),
    "workers": ("processes at once", ""),
}
MACHINE = {"seconds", "tokens_per_second", "peak_memory_bytes", "threads", "workers"}
"""Costs that depend on the machine and on what else it was doing."""
SIZES = ("parameters", "parameters_without_embeddings")
"""All that is known of what a checkpoint cost."""


def sections(results: Results, analyses: Sequence[TaskAnalysis]) -> list[Section]:
    """Return the costs of pretraining and of the tasks."""
    agree, differ = matched(results)
    facts = {
        "budget": budget(results),
        "agree": agree,
        "differ": differ,
        "fresh": results.fresh,
        "checkpoints": results.checkpoints,
        "adaptation": adaptation(results),
    }
    return [Section("costs", facts)]


def convergence_sections(results: Results, analyses: Sequence[TaskAnalysis]) -> list[Section]:
    """Return the convergence check of each pretraining."""
    facts = {"table": convergence(results), "fresh": results.fresh, "margin": CONVERGENCE_MARGIN}
    return [Section("convergence", facts)]


def environment_sections(results: Results, analyses: Sequence[TaskAnalysis]) -> list[Section]:
    """Return what was counted in the data, its fingerprints, the machine and the versions."""
    facts = {
        "counts": counts(results),
        "fingerprints": fingerprints(results),
        "environment": environment(results),
    }
    return [Section("environment", facts)]


def ratio(values: Iterable[float]) -> float:
    """Return the largest over the smallest; NaN if there is nothing to divide."""
    known = [value for value in values if math.isfinite(value)]
    return max(known) / min(known) if known and min(known) > 0 else float("nan")


def differs(values: Iterable[float]) -> bool:
    """Return whether the models differ by more than 5%.

    >>> differs([100.0, 104.9]), differs([100.0, 106.0])
    (False, True)
    """
    return ratio(values) > 1 + TOLERANCE


def means(results: Results) -> pd.DataFrame:
    """Return each cost of pretraining, the mean over seeds. Rows: costs; columns: models."""
    runs = {model: results.pretraining(model) for model in results.models}
    return _ordered(
        {
            model: pd.DataFrame([run.costs for run in cells]).mean()
            for model, cells in runs.items()
            if cells
        }
    )


def sizes(results: Results) -> pd.DataFrame:
    """Return the sizes of the checkpoints. Rows: those of ``SIZES``; columns: models."""
    known = {model: results.checkpoint(model) for model in results.checkpoints}
    return pd.DataFrame(
        {model: {key: getattr(info, key) for key in SIZES} for model, info in known.items() if info}
    )


def _ordered(columns: Any) -> pd.DataFrame:
    frame = pd.DataFrame(columns)
    known = [key for key in COSTS if key in frame.index]
    return frame.loc[[*known, *(key for key in frame.index if key not in COSTS)]]


def title(key: str) -> str:
    """Return the title of a cost."""
    return COSTS.get(key, (key.replace("_", " "), ""))[0]


def _cost(key: str, value: float) -> str:
    if not math.isfinite(value):
        return NONE
    if key == "seconds":
        return f"{value:,.0f} s" if value >= 10 else f"{value:.1f} s"
    return plain(value, 2) if key == "epochs" else engineering(value, COSTS.get(key, ("", ""))[1])


def budget(results: Results) -> Table | None:
    """Return every cost of pretraining, and how far apart the models are; checkpoints' sizes."""
    frame = _ordered(means(results).join(sizes(results), how="outer", sort=False))
    frame = frame[[model for model in results.models if model in frame.columns]]
    if frame.empty:
        return None
    lines = []
    for index, values in frame.iterrows():
        key = str(index)
        cells: list[Any] = [_cost(key, value) for value in values]
        columns = dict(zip(frame.columns, cells, strict=True))
        if len(cells) > WIDE:
            ends = {"smallest": int(values.argmin()), "largest": int(values.argmax())}
            columns = {
                end: [cells[i], *([" (", name(values.index[i]), ")"] if differs(values) else [])]
                for end, i in ends.items()
            }
        spread = _spread(values) if values.notna().sum() > 1 else NONE
        lines.append({"cost": title(key), **columns, "ratio": spread})
    numbers = [
        {"model": model, "seed": run.seed, "cost": key, "value": value}
        for model in results.models
        for run in results.pretraining(model)
        for key, value in run.costs.items()
    ]
    numbers += [
        {"model": model, "seed": None, "cost": key, "value": value}
        for model, values in sizes(results).items()
        for key, value in values.items()
    ]
    formats = {model: Column(name(model)) for model in results.models}
    formats |= {"cost": Column("cost (mean over seeds)"), "ratio": Column("largest / smallest")}
    return Table("budget", pd.DataFrame(lines), formats, pd.DataFrame(numbers))


def _spread(values: pd.Series) -> Any:
    factor = ratio(values)
    if not math.isfinite(factor):
        return NONE
    if differs(values):
        return strong(f"differs: {factor:.2f} ×")
    return "equal" if factor < 1.0005 else f"within 5% ({factor:.3f} ×)"


def matched(results: Results) -> tuple[list[str], list[tuple[str, float]]]:
    """Return the costs in which the models agree within 5%, and those that differ, with ratios.

    Costs of the machine are left out.
    """
    frame = means(results)
    agree: list[str] = []
    differ: list[tuple[str, float]] = []
    for key, values in frame.iterrows():
        if key in MACHINE or len(frame.columns) < 2:
            continue
        if differs(values):
            differ.append((title(str(key)), ratio(values)))
        elif math.isfinite(ratio(values)):
            agree.append(title(str(key)))
    return agree, differ


def convergence(results: Results) -> Table | None:
    """Return each pretraining against the unigram loss on the same positions."""
    checks = [
        {
            "model": run.model,
            "seed": run.seed,
            **asdict(check),
            "margin": check.margin,
            "passed": check.passed,
        }
        for model in results.models
        for run in results.pretraining(model)
        if (check := run.notes.convergence)
    ]
    if not checks:
        return None
    numbers = pd.DataFrame(checks)
    columns = {
        "model": Column(format=name),
        "loss": Column("validation loss, nats per text target"),
        "unigram_loss": Column("unigram loss"),
        "margin": Column("below unigram by"),
        "passed": Column(
            f"check (≥ {CONVERGENCE_MARGIN})",
            format=lambda ok: "passed" if ok else strong("failed"),
        ),
    }
    shown = numbers[["model", "seed", "loss", "unigram_loss", "margin", "passed"]]
    shown = shown.assign(model=[name(model) for model in shown["model"]])
    return Table("convergence", shown, columns, numbers)


_UNITS = {"flops": "FLOPs", "bytes": "B", "seconds": "s"}


def adaptation(results: Results) -> Table | None:
    """Return what the cells of each task cost: means over seeds."""
    runs = [run for task in results.tasks for run in results.cells(task.name) if run.costs]
    if not runs:
        return None
    keys = sorted({key for run in runs for key in run.costs} - {"threads", "workers"})
    ids = ["task", "model", "condition"]
    numbers = pd.DataFrame(
        [{key: getattr(run, key) for key in [*ids, "seed"]} | run.costs for run in runs]
    )
    lines = [
        {
            "task": name(task),
            "model": name(model) if model else "controls",
            "condition": condition,
            "cells": len(part),
            **{key: part[key].mean() for key in keys},
        }
        for (task, model, condition), part in numbers.groupby(ids, sort=False)
    ]
    units = {key: next((u for end, u in _UNITS.items() if key.endswith(end)), "") for key in keys}
    columns = {
        key: Column(f"{key.replace('_', ' ')}, mean", format=partial(engineering, unit=unit))
        for key, unit in units.items()
    }
    return Table("adaptation", pd.DataFrame(lines), columns, numbers)


def flattened(mapping: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Return nested mappings as one, the keys joined by ': '.

    >>> flattened({"train": {"documents": 3}, "empty": 0})
    {'train: documents': 3, 'empty': 0}
    """
    flat: dict[str, Any] = {}
    for key, value in mapping.items():
        inner = f"{path}: {key}" if path else str(key)
        flat |= flattened(value, inner) if isinstance(value, Mapping) else {inner: value}
    return flat


def counts(results: Results) -> Table | None:
    """Return what was counted in the data: documents, duplicates, tokens, truncated texts."""
    lines: list[tuple[str, str, Any]] = []
    for run in results.runs:
        if run.cell == "prepare":
            lines += [("corpus", key, value) for key, value in flattened(run.notes.counts).items()]
    for task in results.tasks:
        of_task: dict[str, Any] = {}
        for run in results.cells(task.name):
            notes = run.notes
            of_task |= flattened(notes.counts)
            own = {"truncated": notes.truncated, "left_out": notes.left_out}
            owner = run.model or "controls"
            numbers = notes.details | {f"{key} ({owner})": value for key, value in own.items()}
            for key, value in numbers.items():
                if isinstance(value, int | float) and not isinstance(value, bool):
                    of_task[key] = max(value, of_task.get(key, value))
        lines += [(task.name, key, value) for key, value in of_task.items()]
    if not lines:
        return None
    numbers_frame = pd.DataFrame(lines, columns=["of", "count", "value"])
    shown = [(of, key.replace("_", " "), _count(value)) for of, key, value in lines]
    return Table("counts", pd.DataFrame(shown, columns=["of", "count", "value"]), {}, numbers_frame)


def _count(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    whole = isinstance(value, int) or (value.is_integer() and abs(value) < 1e15)
    return f"{value:,.0f}" if whole else f"{value:,.4g}"


def environment(results: Results) -> Table | None:
    """Return the machine and the versions; where cells disagree, every value that occurs."""
    values: dict[str, dict[str, None]] = {}
    for run in results.runs:
        for key, value in {**run.machine, **run.versions}.items():
            values.setdefault(key, {})[str(value)] = None
    if not values:
        return None
    shown = pd.DataFrame([(key, "; ".join(each)) for key, each in values.items()])
    pairs = [(key, value) for key, each in values.items() for value in each]
    columns = ["what", "value"]
    return Table(
        "environment", shown.set_axis(columns, axis=1), {}, pd.DataFrame(pairs, columns=columns)
    )


def fingerprints(results: Results) -> Table | None:
    """Return the content hash of each step of the data."""
    shared = {key for run in results.runs if run.cell == "prepare" for key in run.fingerprints}
    hashes: dict[tuple[str, str], None] = {}
    for run in results.runs:
        for key, value in run.fingerprints.items():
            step = f"{run.task}: {key}" if run.task and key not in shared else key
            hashes[f"checkpoint: {run.model}" if key == "checkpoint" else step, value] = None
    if not hashes:
        return None
    steps = ("source", "corpus", "tokenizer", "vocabulary", "sequences", "blocks")
    first = {step: place for place, step in enumerate(steps)}
    listed = sorted(hashes, key=lambda pair: first.get(pair[0], len(first)))
    frame = pd.DataFrame(listed, columns=["step", "hash"])
    shown = frame.assign(hash=[name(value) for value in frame["hash"]])
    return Table("fingerprints", shown, {"hash": Column("sha-256")}, frame)
