"""What each model was given and what it cost: the budget in every cost, the gate, the data and the machine."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import pandas as pd

from lmcompare.core.settings import GATE
from lmcompare.report.formatting import NONE, engineering, plain
from lmcompare.report.markdown import Table, code, escape
from lmcompare.report.results import Results

TOLERANCE = 0.05
"""Models whose means differ by more than this share of the smallest are flagged."""

WIDE = 9
"""More models than this do not fit side by side: the table names the smallest and the largest; the csv file has all."""

COSTS = {
    "parameters": ("parameters", ""),
    "parameters_without_embeddings": ("parameters without embeddings", ""),
    "training_flops": ("training FLOPs", "FLOPs"),
    "corpus_tokens": ("corpus tokens read", ""),
    "positions": ("positions computed", ""),
    "targets": ("targets (tokens that bear loss)", ""),
    "unique_tokens": ("unique corpus tokens", ""),
    "epochs": ("passes over the corpus", ""),
    "steps": ("optimiser steps", ""),
    "seconds": ("wall time", "s"),
    "tokens_per_second": ("corpus tokens per second", ""),
    "peak_memory_bytes": ("peak memory", "B"),
    "threads": ("threads", ""),
    "workers": ("processes at once", ""),
}
MACHINE = {"seconds", "tokens_per_second", "peak_memory_bytes", "threads", "workers"}
"""Costs that depend on the machine and on what else it was doing."""


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


SIZES = ("parameters", "parameters_without_embeddings")
"""All that is known of what a checkpoint cost."""


def means(rows: Results) -> pd.DataFrame:
    """Return the mean over seeds of each cost of pretraining. Rows: costs; columns: models trained here."""
    runs = {model: rows.pretraining(model) for model in rows.models}
    return _ordered(
        {
            model: pd.DataFrame([run.costs for run in some]).mean()
            for model, some in runs.items()
            if some
        }
    )


def _ordered(columns: Any) -> pd.DataFrame:
    frame = pd.DataFrame(columns)
    known = [key for key in COSTS if key in frame.index]
    return frame.loc[[*known, *(key for key in frame.index if key not in COSTS)]]


def _named(key: object) -> tuple[str, str]:
    """Return the title of a cost and its unit."""
    return COSTS.get(str(key), (str(key).replace("_", " "), ""))


def sizes(rows: Results) -> pd.DataFrame:
    """Return the sizes of the checkpoints. Rows: as far as they are known, those of ``SIZES``; columns: models."""
    known = {model: rows.checkpoint(model) for model in rows.checkpoints}
    return pd.DataFrame(
        {model: {key: getattr(info, key) for key in SIZES} for model, info in known.items() if info}
    )


def budget(rows: Results) -> Table | None:
    """The parity table: every cost of pretraining, and how far apart the models are; of checkpoints, their size."""
    frame = _ordered(means(rows).join(sizes(rows), how="outer", sort=False))
    frame = frame[[model for model in rows.models if model in frame.columns]]
    if frame.empty:
        return None
    rendered = []
    for key, values in frame.iterrows():
        title, unit = _named(key)
        if key == "seconds":
            cells = [f"{value:,.0f} s" if value >= 10 else f"{value:.1f} s" for value in values]
        else:
            cells = [plain(v, 2) if key == "epochs" else engineering(v, unit) for v in values]
        cells = [
            cell if math.isfinite(value) else NONE
            for cell, value in zip(cells, values, strict=True)
        ]
        apart = ratio(values)
        if not math.isfinite(apart):
            flag = NONE
        elif differs(values):
            flag = f"**differs: {apart:.2f} ×**"
        else:
            flag = "equal" if apart < 1.0005 else f"within 5% ({apart:.3f} ×)"
        rendered.append([escape(title), *cells, flag if values.notna().sum() > 1 else NONE])
    if len(frame.columns) > WIDE:
        rendered = [[row[0], *_ends(values, row[1:-1]), row[-1]] for (_, values), row in zip(
            frame.iterrows(), rendered, strict=True)]  # fmt: skip
        headings = ["cost (mean over seeds)", "smallest", "largest", "largest / smallest"]
    else:
        headings = [
            "cost (mean over seeds)",
            *(code(model) for model in frame.columns),
            "largest / smallest",
        ]
    numbers = [
        {"model": model, "seed": run.seed, "cost": key, "value": value}
        for model in rows.models
        for run in rows.pretraining(model)
        for key, value in run.costs.items()
    ]
    numbers += [
        {"model": model, "seed": None, "cost": key, "value": value}
        for model, values in sizes(rows).items()
        for key, value in values.items()
    ]
    return Table("budget", headings, rendered, pd.DataFrame(numbers))


def _ends(values: pd.Series, cells: list[str]) -> list[str]:
    """Return the cells of the smallest and the largest value, each with its model where they differ."""
    if not differs(values):
        return [cells[int(values.argmin())], cells[int(values.argmax())]]
    return [
        f"{cells[i]} ({code(str(values.index[i]))})"
        for i in (int(values.argmin()), int(values.argmax()))
    ]


def matched(rows: Results) -> tuple[list[str], list[str]]:
    """Return the costs, the machine's left out, in which the models agree within 5%, and those in which not."""
    frame = means(rows)
    agree: list[str] = []
    apart: list[str] = []
    for key, values in frame.iterrows():
        if key in MACHINE or len(frame.columns) < 2:
            continue
        title, _ = _named(key)
        if differs(values):
            apart.append(f"{title} ({ratio(values):.2f} ×)")
        elif math.isfinite(ratio(values)):
            agree.append(title)
    return agree, apart


def gate(rows: Results) -> Table | None:
    """Each pretraining against the unigram loss on the same positions."""
    runs = [
        (run, run.notes.convergence)
        for model in rows.models
        for run in rows.pretraining(model)
        if run.notes.convergence
    ]
    if not runs:
        return None
    rendered, numbers = [], []
    for run, convergence in runs:
        passed = "passed" if convergence.passed else "**not passed**"
        rendered.append(
            [
                code(run.model),
                str(run.seed),
                plain(convergence.loss, 3),
                plain(convergence.unigram_loss, 3),
                plain(convergence.margin, 3),
                passed,
            ]
        )
        numbers.append(
            {
                "model": run.model,
                "seed": run.seed,
                **asdict(convergence),
                "margin": convergence.margin,
                "passed": convergence.passed,
            }
        )
    headings = [
        "model",
        "seed",
        "validation loss, nats per text target",
        "unigram loss",
        "below unigram by",
    ]
    headings.append(f"gate (≥ {GATE})")
    return Table("gate", headings, rendered, pd.DataFrame(numbers))


def adaptation(rows: Results) -> Table | None:
    """What each cell of each task cost, summed over seeds."""
    runs = [run for task in rows.tasks for run in rows.cells(task.name) if run.costs]
    if not runs:
        return None
    keys = sorted({key for run in runs for key in run.costs} - {"threads", "workers"})
    frame = pd.DataFrame(
        [
            {
                "task": run.task,
                "model": run.model,
                "condition": run.condition,
                "seed": run.seed,
                **run.costs,
            }
            for run in runs
        ]
    )
    rendered = []
    for (task, model, condition), part in frame.groupby(["task", "model", "condition"], sort=False):
        cells = [engineering(part[key].mean(), _unit(key)) for key in keys]
        rendered.append(
            [code(task), code(model) if model else "controls", condition, str(len(part)), *cells]
        )
    headings = [
        "task",
        "model",
        "condition",
        "cells",
        *(f"{escape(key.replace('_', ' '))}, mean" for key in keys),
    ]
    return Table("adaptation", headings, rendered, frame)


_UNITS = {"flops": "FLOPs", "bytes": "B", "seconds": "s"}


def _unit(key: str) -> str:
    return next((unit for end, unit in _UNITS.items() if key.endswith(end)), "")


def flattened(mapping: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Return nested mappings as one, the keys joined by ': '.

    >>> flattened({"train": {"documents": 3}, "empty": 0})
    {'train: documents': 3, 'empty': 0}
    """
    flat: dict[str, Any] = {}
    for key, value in mapping.items():
        name = f"{path}: {key}" if path else str(key)
        flat |= flattened(value, name) if isinstance(value, Mapping) else {name: value}
    return flat


def counts(rows: Results) -> Table | None:
    """What was counted in the data: documents, duplicates, tokens, truncated texts."""
    found: list[tuple[str, str, Any]] = []
    for run in rows.runs:
        if run.cell == "prepare":
            found += [("corpus", key, value) for key, value in flattened(run.notes.counts).items()]
    for task in rows.tasks:
        seen: dict[str, Any] = {}
        for run in rows.cells(task.name):
            seen |= flattened(run.notes.counts)
            notes = run.notes
            numbers = {**notes.details, "truncated": notes.truncated, "left_out": notes.left_out}
            for note, value in numbers.items():
                if isinstance(value, int | float) and not isinstance(value, bool):
                    key = (
                        f"{note} ({run.model or 'controls'})"
                        if note in ("truncated", "left_out")
                        else note
                    )
                    seen[key] = max(value, seen.get(key, value))
        found += [(task.name, key, value) for key, value in seen.items()]
    if not found:
        return None
    rendered = [
        [escape(part), escape(key.replace("_", " ")), _count(value)] for part, key, value in found
    ]
    return Table(
        "counts",
        ["of", "count", "value"],
        rendered,
        pd.DataFrame(found, columns=["of", "count", "value"]),
    )


def _count(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return escape(value)
    return (
        f"{value:,}"
        if isinstance(value, int) or value.is_integer() and abs(value) < 1e15
        else f"{value:,.4g}"
    )


def environment(rows: Results) -> Table | None:
    """The machine and the versions; where cells disagree, every value that occurs."""
    found: dict[str, dict[str, None]] = {}
    for run in rows.runs:
        for key, value in {**run.machine, **run.versions}.items():
            found.setdefault(key, {})[str(value)] = None
    if not found:
        return None
    rendered = [[escape(key), escape("; ".join(values))] for key, values in found.items()]
    pairs = [(key, value) for key, values in found.items() for value in values]
    return Table(
        "environment", ["what", "value"], rendered, pd.DataFrame(pairs, columns=["what", "value"])
    )


def fingerprints(rows: Results) -> Table | None:
    """The content hash of each step of the data."""
    found: dict[tuple[str, str], None] = {}
    for run in rows.runs:
        for key, value in run.fingerprints.items():
            if key == "checkpoint":
                found[f"checkpoint: {run.model}", value] = None
                continue
            found[
                f"{run.task}: {key}"
                if run.task and run.cell != "prepare" and _own(rows, key)
                else key,
                value,
            ] = None
    if not found:
        return None
    first = {step: place for place, step in enumerate(("source", "corpus", "vocabulary", "blocks"))}
    listed = sorted(found, key=lambda pair: first.get(pair[0], len(first)))
    rendered = [[escape(key), code(value)] for key, value in listed]
    return Table(
        "fingerprints",
        ["step", "sha-256"],
        rendered,
        pd.DataFrame(listed, columns=["step", "hash"]),
    )


def _own(rows: Results, key: str) -> bool:
    """Return whether a fingerprint of this name is a task's own, not one of the corpus's steps."""
    return not any(run.cell == "prepare" and key in run.fingerprints for run in rows.runs)


def in_words(words: str, rows: Results) -> str:
    """Say in which costs the models agree (``words``), or why there is nothing to say."""
    if not rows.checkpoints:
        return words or "One model: nothing to set it against."
    alone = (
        "One model was trained here: nothing to set it against."
        if rows.fresh
        else "Nothing was trained here."
    )
    return f"{words or alone} Of what a checkpoint cost, its size alone is known here."
