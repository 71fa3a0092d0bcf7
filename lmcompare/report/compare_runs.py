"""Two folders of results side by side: paired where they may be, refused with a reason if not."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lmcompare.core.errors import InputError, nearest
from lmcompare.report import rendering
from lmcompare.report.analysis import (
    Comparison,
    compare_pairs,
    decimals_of,
    smallest_effect,
    with_verdict,
)
from lmcompare.report.formatting import MetricFormat, metric_format, probability
from lmcompare.report.outcomes import ItemOutcomes, comparable, item_outcomes, paired
from lmcompare.report.results import Results, TaskResults, read
from lmcompare.report.sections.costs import flattened
from lmcompare.report.tables import Column, Table, listed

PER_TOKEN = {"perplexity", "nats_per_token", "bits_per_token", "loss"}
"""Metrics that count by token: they mean something else under another tokenizer."""


@dataclass(frozen=True)
class PairedValues:
    """One model of each folder under one condition, and whether they may be compared."""

    models: tuple[str, str]
    """of the first folder, of the second"""
    condition: str
    """pretrained or scratch"""
    outcomes: tuple[ItemOutcomes | None, ItemOutcomes | None]
    """None if a folder has none"""
    refusal: dict[str, Any]
    """why they are not compared: a reason and its facts; empty if they are"""


def compare(first: Path, second: Path, models: Mapping[str, str] | None = None) -> str:
    """Set two folders of results side by side, as GitHub Markdown.

    Each model of the first is paired with the model of the same name in the second, on item and
    on the seed's number; p-values are Holm's over the rows of a task. Not compared, with the
    reason: other test items, a likelihood and a pseudo-likelihood or a bound, a metric by token
    across tokenizers, another primary metric.

    Args:
        first: a folder of results.
        second: another one.
        models: which model of the first goes with which of the second, where the names differ.

    Raises:
        InputError: a folder is no folder of results, or has no such model.
    """
    one, other = read(first), read(second)
    pairs = _pairs(one, other, models or {})
    shared = [task for task in one.tasks if task.name in {other.name for other in other.tasks}]
    facts = {
        "names": (first.name, second.name)
        if first.name != second.name
        else (str(first), str(second)),
        "folders": (str(first), str(second)),
        "tasks": [_task(one, other, task, pairs) for task in shared],
        "alone": _alone(one, other, pairs),
        "settings": _settings(one, other),
    }
    return rendering.render("compare", facts) + "\n"


def _alone(
    one: Results, other: Results, pairs: Iterable[tuple[str, str]]
) -> list[tuple[str, list[str], str]]:
    """Return the tasks and models that only one folder has: (task or model, names, which)."""
    matched = {model for pair in pairs for model in pair}
    kinds = {
        "task": ({task.name for task in one.tasks}, {task.name for task in other.tasks}),
        "model": (set(one.models) - matched, set(other.models) - matched),
    }
    return [
        (kind, sorted(names), side)
        for kind, (a, b) in kinds.items()
        for side, names in (("first", a - b), ("second", b - a))
        if names
    ]


def _pairs(one: Results, other: Results, requested: Mapping[str, str]) -> list[tuple[str, str]]:
    problems = [
        f"--models {a}={b}: the {side} folder has no model {name!r}{nearest(name, results.models)}"
        for a, b in requested.items()
        for side, name, results in (("first", a, one), ("second", b, other))
        if name not in results.models
    ]
    if problems:
        raise InputError(*problems)
    same = [(model, model) for model in one.models if model in other.models]
    return list(requested.items()) or same


def _task(
    one: Results, other: Results, task: TaskResults, pairs: Iterable[tuple[str, str]]
) -> dict[str, Any]:
    metric = metric_format(task.primary, task.better)
    candidates = [
        _pair(one, other, task, pair, condition) for condition in task.conditions for pair in pairs
    ]
    candidates = [pair for pair in candidates if any(pair.outcomes) or pair.refusal]
    open_ = [pair for pair in candidates if not pair.refusal]
    differences = [
        (str(i), "", paired(*pair.outcomes, metric.largest_difference))
        for i, pair in enumerate(open_)
    ]
    comparisons = {}
    for compared in compare_pairs(differences, task.better, best_first=False):
        pair = open_[int(compared.first)]
        sides = zip((one, other), pair.models, strict=True)
        converged = all(results.converged(model) is not False for results, model in sides)
        effect = smallest_effect(task)
        comparisons[compared.first] = with_verdict(compared, effect, converged=converged)
    seeds = [compared.difference.seeds for compared in comparisons.values()]
    refused = [pair for pair in candidates if pair.refusal]
    return {
        "name": task.name,
        "table": _table(task, metric, open_, comparisons) if comparisons else None,
        "seeds": min(seeds, default=0),
        "refused": [
            {"models": list(dict.fromkeys(pair.models)), "condition": pair.condition} | pair.refusal
            for pair in refused
        ],
    }


def _table(
    task: TaskResults,
    metric: MetricFormat,
    pairs: list[PairedValues],
    comparisons: Mapping[str, Comparison],
) -> Table:
    lines = []
    for i, compared in comparisons.items():
        pair = pairs[int(i)]
        means = [float(np.mean(o.per_seed)) if o else float("nan") for o in pair.outcomes]
        lines.append(
            {
                "model": listed(list(dict.fromkeys(pair.models))),
                "condition": pair.condition,
                "first": means[0],
                "second": means[1],
                "difference": compared.difference,
                "p": compared.difference.p,
                "Holm": compared.holm,
                "verdict": compared.word,
            }
        )
    decimals = decimals_of(metric, [one.difference for one in comparisons.values()])
    columns = {
        "first": Column(f"first, {metric.heading}", metric, decimals),
        "second": Column("second", metric, decimals),
        "difference": Column("difference [95%]", metric, decimals, signed=True),
        "p": Column("p", format=probability),
        "Holm": Column("Holm", format=probability),
    }
    return Table(task.name, pd.DataFrame(lines, dtype=object), columns)


def _pair(
    one: Results, other: Results, task: TaskResults, models: tuple[str, str], condition: str
) -> PairedValues:
    sides = zip((one, other), models, strict=True)
    a, b = (item_outcomes(rows, task.name, model, condition, task.primary) for rows, model in sides)
    return PairedValues(models, condition, (a, b), _refusal(one, other, task, (a, b)))


def _refusal(
    one: Results,
    other: Results,
    task: TaskResults,
    outcomes: tuple[ItemOutcomes | None, ItemOutcomes | None],
) -> dict[str, Any]:
    """Return why two outcomes may not be compared; empty if they may."""
    a, b = outcomes
    theirs = next(their for their in other.tasks if their.name == task.name)
    if theirs.primary and task.primary != theirs.primary:
        return {"reason": "metric", "metrics": (task.primary, theirs.primary)}
    if a is None or b is None:
        sides = [side for side, outcome in (("first", a), ("second", b)) if outcome is None]
        return {"reason": "unfinished", "side": sides[0]} if len(sides) == 1 else {}
    if not comparable(a, b):
        return {"reason": "exactness", "kinds": (a.exactness, b.exactness)}
    tokens = [_fingerprint(results, "vocabulary") for results in (one, other)]
    if task.primary in PER_TOKEN and tokens[0] != tokens[1]:
        return {"reason": "tokenizer", "metric": task.primary}
    items = [_items(results, task.name) for results in (one, other)]
    keys = items[0].keys() | items[1].keys()
    differ = sorted(key for key in keys if items[0].get(key) != items[1].get(key))
    if differ:
        return {"reason": "items", "differ": differ}
    if not set(a.items) & set(b.items) or not set(a.seeds) & set(b.seeds):
        return {"reason": "disjoint"}
    return {}


def _fingerprint(results: Results, step: str) -> str:
    return next((run.fingerprints[step] for run in results.runs if step in run.fingerprints), "")


def _items(results: Results, task: str) -> dict[str, Any]:
    """Return what decides the test items: their own fingerprint, else the data's and settings."""
    cells = results.cells(task)
    own = {run.fingerprints["items"] for run in cells if "items" in run.fingerprints}
    if own:
        return {"items": sorted(own)}
    settings = flattened({"": results.settings["tasks"][task]})
    return {
        "corpus": _fingerprint(results, "corpus"),
        "tokenizer": _fingerprint(results, "vocabulary"),
        **{f"setting {key}": value for key, value in settings.items()},
    }


def _settings(one: Results, other: Results) -> Table | None:
    """Return the settings in which the two experiments differ; None if they are the same."""
    mine, theirs = (
        flattened({k: v for k, v in results.settings.items() if k != "description"})
        for results in (one, other)
    )
    keys = [key for key in {**mine, **theirs} if mine.get(key) != theirs.get(key)]
    if not keys:
        return None
    lines = [
        [key, *(str(side[key]) if key in side else None for side in (mine, theirs))] for key in keys
    ]
    return Table("settings", pd.DataFrame(lines, columns=["setting", "first", "second"]))
