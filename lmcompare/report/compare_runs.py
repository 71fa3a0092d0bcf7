"""Two folders of results side by side: paired where they may be, refused with a reason where not."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lmcompare.core.errors import InputError, nearest
from lmcompare.report.analysis import (
    Comparison,
    compare_pairs,
    decimals_of,
    format_interval,
    smallest_effect,
    with_verdict,
)
from lmcompare.report.formatting import (
    NONE,
    MetricFormat,
    counted,
    joined,
    metric_format,
    plain,
    probability,
)
from lmcompare.report.markdown import Table, code, escape
from lmcompare.report.outcomes import ItemOutcomes, comparable, item_outcomes, paired
from lmcompare.report.results import Results, TaskResults, read
from lmcompare.report.sections.budget import flattened

PER_TOKEN = {"perplexity", "nats_per_token", "bits_per_token", "loss"}
"""Metrics that count by token: they mean something else under another tokenizer."""


@dataclass(frozen=True)
class PairedValues:
    """One model of each folder under one condition, and what may be said of them.

    Attributes:
        models: of the first folder, of the second.
        condition: pretrained or scratch.
        outcomes: of both; None if a folder has none.
        refused: why they are not compared; '' if they are.
    """

    models: tuple[str, str]
    condition: str
    outcomes: tuple[ItemOutcomes | None, ItemOutcomes | None]
    refused: str


def compare(first: Path, second: Path, models: Mapping[str, str] | None = None) -> str:
    """Set two folders of results side by side.

    Each model of the first is paired with the model of the same name in the second, on item and on the seed's number;
    p-values are Holm's over the rows of a task. Not compared, and said so: other test items, a likelihood against a
    pseudo-likelihood or a bound, a metric by token across tokenizers, another primary metric.

    Args:
        first: a folder of results.
        second: another one.
        models: which model of the first goes with which of the second, where the names differ.

    Returns:
        GitHub markdown.

    Raises:
        InputError: a folder is no folder of results, or has no such model.
    """
    one, other = read(first), read(second)
    pairs = _pairs(one, other, models or {})
    names = (first.name, second.name) if first.name != second.name else (str(first), str(second))
    lines = [f"# {escape(names[0])} against {escape(names[1])}", ""]
    lines += [
        f"First: {code(first)}. Second: {code(second)}. A positive difference: the first is better.",
        "",
    ]
    shared = [
        task for task in one.tasks if task.name in {other_task.name for other_task in other.tasks}
    ]
    for task in shared:
        lines += _section(one, other, task, pairs)
    alone = [
        f"- {what} {joined([code(name) for name in sorted(missing)])}: only in the {side}."
        for what, a, b in (
            ("task", [task.name for task in one.tasks], [task.name for task in other.tasks]),
            ("model", one.models, other.models),
        )
        for side, missing in (("first", set(a) - set(b)), ("second", set(b) - set(a)))
        if missing
        and not (what == "model" and missing <= {model for pair in pairs for model in pair})
    ]
    if not shared:
        lines += ["**The two have no task in common.**", ""]
    if alone:
        lines += ["## In one alone", "", *alone, ""]
    return "\n".join([*lines, *_settings(one, other)]).rstrip() + "\n"


def _pairs(one: Results, other: Results, asked: Mapping[str, str]) -> list[tuple[str, str]]:
    problems = [
        f"--models {a}={b}: the {side} folder has no model {name!r}{nearest(name, rows.models)}"
        for a, b in asked.items()
        for side, name, rows in (("first", a, one), ("second", b, other))
        if name not in rows.models
    ]
    if problems:
        raise InputError(*problems)
    return list(asked.items()) or [(model, model) for model in one.models if model in other.models]


def _section(
    one: Results, other: Results, task: TaskResults, pairs: Iterable[tuple[str, str]]
) -> list[str]:
    metric, sesoi = metric_format(task.primary, task.better), smallest_effect(task)
    found = [
        _pair(one, other, task, pair, condition) for condition in task.conditions for pair in pairs
    ]
    found = [pair for pair in found if any(pair.outcomes) or pair.refused]
    open_ = [pair for pair in found if not pair.refused]
    differences = [
        (str(i), "", paired(*pair.outcomes, metric.largest_difference))
        for i, pair in enumerate(open_)
    ]
    compared = {
        lead.first: lead for lead in compare_pairs(differences, task.better, best_first=False)
    }
    lines = [f"## {escape(task.name)}", ""]
    if compared:
        decimals = decimals_of(metric, [lead.difference for lead in compared.values()])
        rows = []
        for i, pair in enumerate(open_):
            lead = compared.get(str(i))
            if lead is None:
                continue
            passed = [
                rows_.converged(model) is not False
                for rows_, model in zip((one, other), pair.models, strict=True)
            ]
            lead = with_verdict(lead, metric, sesoi, passed=all(passed))
            rows.append(_row(pair, lead, metric, decimals))
        headings = ["model", "condition", f"first, {metric.heading}", "second", "difference [95%]"]
        headings += ["p", "Holm", "verdict"]
        table = Table(task.name, headings, rows, pd.DataFrame())
        least = counted(min(lead.difference.seeds for lead in compared.values()), "seed")
        lines += [table.markdown, "", f"Paired on item and seed, {least} at least.", ""]
    refused = [
        f"- {' and '.join(code(model) for model in dict.fromkeys(pair.models))}, {pair.condition}: {pair.refused}."
        for pair in found
        if pair.refused
    ]
    return [*lines, *(["**Not compared:**", "", *refused, ""] if refused else [])]


def _row(pair: PairedValues, lead: Comparison, metric: MetricFormat, decimals: int) -> list[str]:
    values = []
    for one in pair.outcomes:
        per_seed = one.per_seed if one else []
        values.append(
            plain(float(np.mean(per_seed)) * metric.scale if per_seed else float("nan"), decimals)
        )
    difference = format_interval(metric, lead.difference, decimals, sign=True)
    names = " / ".join(code(model) for model in dict.fromkeys(pair.models))
    ps = [probability(p) for p in (lead.difference.p, lead.holm)]
    return [names, pair.condition, *values, difference, *ps, lead.verdict]


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
) -> str:
    a, b = outcomes
    theirs = next(their for their in other.tasks if their.name == task.name)
    if theirs.primary and task.primary != theirs.primary:
        return f"other primary metrics ({task.primary}, {theirs.primary})"
    if a is None or b is None:
        sides = [side for side, one_ in (("first", a), ("second", b)) if one_ is None]
        return f"the {' and the '.join(sides)} has not finished it" if len(sides) == 1 else ""
    if not comparable(a, b):
        return f"a {a.exactness} score against a {b.exactness} one: they are not the same quantity"
    tokens = [_fingerprint(rows, "vocabulary") for rows in (one, other)]
    if task.primary in PER_TOKEN and tokens[0] != tokens[1]:
        return f"{task.primary} counts by token, and the tokenizers differ"
    items = [_items(rows, task.name) for rows in (one, other)]
    apart = [
        key for key in items[0].keys() | items[1].keys() if items[0].get(key) != items[1].get(key)
    ]
    if apart:
        return f"other test items (their {joined(sorted(apart))} differ)"
    if not set(a.items) & set(b.items) or not set(a.seeds) & set(b.seeds):
        return "no item, or no seed, is in both"
    return ""


def _fingerprint(rows: Results, step: str) -> str:
    return next((run.fingerprints[step] for run in rows.runs if step in run.fingerprints), "")


def _items(rows: Results, task: str) -> dict[str, Any]:
    """Return what decides the test items: their own fingerprint, else the data's and the settings of the task."""
    cells = rows.cells(task)
    own = {run.fingerprints["items"] for run in cells if "items" in run.fingerprints}
    if own:
        return {"items": sorted(own)}
    return {
        "corpus": _fingerprint(rows, "corpus"),
        "tokenizer": _fingerprint(rows, "vocabulary"),
        **{
            f"setting {key}": value
            for key, value in flattened({"": rows.settings["tasks"][task]}).items()
        },
    }


def _settings(one: Results, other: Results) -> list[str]:
    """Return what the two experiments were asked to do differently."""
    mine, theirs = (
        flattened({k: v for k, v in rows.settings.items() if k != "description"})
        for rows in (one, other)
    )
    keys = [
        key
        for key in [*mine, *(key for key in theirs if key not in mine)]
        if mine.get(key) != theirs.get(key)
    ]
    if not keys:
        return ["## Settings", "", "The two were asked for the same."]
    rows = [
        [escape(key), *(escape(side.get(key, NONE)) for side in (mine, theirs))] for key in keys
    ]
    table = Table("settings", ["setting", "first", "second"], rows, pd.DataFrame())
    return ["## Settings that differ", "", table.markdown]
