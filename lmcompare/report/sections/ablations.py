"""Ablations: tasks of one experiment that differ in one setting, side by side for each model."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from lmcompare.report import plots
from lmcompare.report.analysis import MeasuredModel, TaskAnalysis, decimals_of
from lmcompare.report.formatting import MetricFormat, control_title
from lmcompare.report.markdown import slug
from lmcompare.report.outcomes import PROPER
from lmcompare.report.results import CONTROL, PRETRAINED, SCRATCH, Results
from lmcompare.report.sections.base import Figure, Section
from lmcompare.report.sections.costs import flattened
from lmcompare.report.tables import Column, Table, model_or_control

LABELS, MASK, TEMPERATURE = "items", "adaptation: attention", "temperature"
WITH_LABELS = (
    "validation",
    "test",
    "adaptation: epochs",
    "adaptation: learning_rates",
    "adaptation: patience",
    "adaptation: pooling",
)
"""Settings that may vary with the number of labels."""


@dataclass(frozen=True)
class TaskVariants:
    """Tasks that differ in one setting."""

    key: str
    """The setting, as ``flattened`` names it."""
    values: list[Any]
    """Of that setting, one a task."""
    analyses: list[TaskAnalysis]
    varied_with_it: tuple[str, ...] = ()
    """The other settings in which they differ."""

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks."""
        return [analysis.task.name for analysis in self.analyses]

    @property
    def metric(self) -> MetricFormat:
        """Format of the primary metric, which they share."""
        return self.analyses[0].metric


def variants(
    results: Results, analyses: Sequence[TaskAnalysis], key: str, may_vary: Collection[str] = ()
) -> list[TaskVariants]:
    """Return the groups of tasks whose settings differ in ``key``, and perhaps in ``may_vary``."""
    groups: dict[str, list[tuple[dict[str, Any], TaskAnalysis]]] = {}
    for analysis in analyses:
        settings = flattened(results.settings["tasks"][analysis.task.name])
        if key in settings and analysis.measured:
            rest = {k: value for k, value in settings.items() if k not in (key, *may_vary)}
            groups.setdefault(repr(sorted(rest.items())), []).append((settings, analysis))
    different = []
    for group in groups.values():
        differing = [
            k for k in (key, *may_vary) if len({repr(settings.get(k)) for settings, _ in group}) > 1
        ]
        if key in differing:
            values = [settings[key] for settings, _ in group]
            members = [analysis for _, analysis in group]
            different.append(TaskVariants(key, values, members, tuple(differing[1:])))
    return different


def sections(results: Results, analyses: Sequence[TaskAnalysis]) -> list[Section]:
    """Return label efficiency and the ablation of the mask, where tasks differ in these."""
    drawn = len(results.models) <= plots.MAX_MODELS
    built = []
    for group, counts in label_variants(results, analyses):
        file_name = f"labels-{slug(group.tasks[0])}"
        test_items = {
            frozenset(next(iter(analysis.measured.values())).outcome.items)
            for analysis in group.analyses
        }
        facts = {
            "metric": group.metric.heading,
            "tasks": group.tasks,
            "varied_with_it": [k.split(": ")[-1].replace("_", " ") for k in group.varied_with_it],
            "same_test_items": len(test_items) == 1,
            "table": _table(group, counts, "{:,} training items", file_name),
            "figure": Figure(file_name, _draw_labels(results, group, counts)) if drawn else None,
        }
        built.append(Section("ablation_labels", facts))
    for group in variants(results, analyses, MASK):
        file_name = f"masks-{slug(group.tasks[0])}"
        facts = {
            "metric": group.metric.heading,
            "tasks": group.tasks,
            "table": _table(group, group.values, "{} mask", file_name),
            "figure": Figure(file_name, _draw_masks(results, group)) if drawn else None,
        }
        built.append(Section("ablation_masks", facts))
    return built


def label_variants(
    results: Results, analyses: Sequence[TaskAnalysis]
) -> list[tuple[TaskVariants, list[int]]]:
    """Return the groups of tasks that differ in labels, sorted by training items."""
    groups = []
    for group in variants(results, analyses, LABELS, WITH_LABELS):
        counts = [_training_items(results, task) for task in group.tasks]
        if all(counts) and len({*counts}) == len(counts):
            order = np.argsort(counts).tolist()
            members = [group.analyses[place] for place in order]
            groups.append((replace(group, analyses=members), sorted(counts)))
    return groups


def _training_items(results: Results, task: str) -> int:
    counts = [run.notes.counts for run in results.cells(task)]
    return max((int(count.get("train_items") or 0) for count in counts), default=0)


def _table(group: TaskVariants, values: Sequence[object], heading: str, file_name: str) -> Table:
    pairs = dict.fromkeys(pair for analysis in group.analyses for pair in analysis.measured)
    lines = pd.DataFrame(
        {
            "model": [model_or_control(model, condition) for model, condition in pairs],
            "condition": [condition for _, condition in pairs],
        }
    )
    formats = {}
    for value, analysis in zip(values, group.analyses, strict=True):
        title = heading.format(value)
        measured = [analysis.measured.get(pair) for pair in pairs]
        lines[title] = [m.estimate if m and m.exactness in PROPER else None for m in measured]
        decimals = decimals_of(analysis.metric, [m.estimate for m in analysis.of(PRETRAINED)])
        formats[title] = Column(title, analysis.metric, decimals)
    numbers = [
        {
            "task": analysis.task.name,
            group.key.split(": ")[-1]: value,
            "model": m.model,
            "condition": m.condition,
            "metric": analysis.task.primary,
            "value": m.estimate.value,
            "low": m.estimate.low,
            "high": m.estimate.high,
        }
        for value, analysis in zip(values, group.analyses, strict=True)
        for m in analysis.measured.values()
        if m.exactness in PROPER
    ]
    return Table(file_name, lines, formats, pd.DataFrame(numbers))


def _draw_masks(results: Results, group: TaskVariants) -> bytes:
    places = list(map(float, range(len(group.values))))
    with plots.page(height=3.4) as page:
        (axes,) = page.panels
        _lines(axes, results, group, places, spread=0.06)
        plots.ticks(axes, places, [f"{value} mask" for value in group.values])
        axes.set_xlim(-0.4, len(places) - 0.6)
        return page.png(*_keys(group))


def _draw_labels(results: Results, group: TaskVariants, counts: list[int]) -> bytes:
    at = [math.log10(count) for count in counts]
    with plots.page(height=3.8) as page:
        (axes,) = page.panels
        _lines(axes, results, group, at, spread=0.015)
        controls = dict.fromkeys(
            model
            for analysis in group.analyses
            for model, condition in analysis.measured
            if condition == CONTROL
        )
        for place, model in enumerate(controls):
            x, measured = _along(group, at, model, CONTROL)
            values = [m.estimate.value * group.metric.scale for m in measured]
            plots.control_line(axes, place, x, values, control_title(model))
        plots.ticks(axes, at, [f"{count:,}" for count in counts])
        axes.set_xlabel("labeled items to train on (log scale)")
        return page.png(*_keys(group))


def _lines(
    axes: Axes, results: Results, group: TaskVariants, at: list[float], spread: float
) -> None:
    """Draw the models that were measured on two tasks or more, side by side by ``spread``."""
    scale, looks = group.metric.scale, plots.looks(results.models)
    models = [model for model in results.models if len(_along(group, at, model)[0]) > 1]
    for place, model in enumerate(models):
        look, shift = looks[model], spread * (place - (len(models) - 1) / 2)
        x, measured = _along(group, at, model, SCRATCH)
        values = [m.estimate.value * scale for m in measured]
        open_marks: dict[str, Any] = {
            "markerfacecolor": "white",
            "linestyle": ":",
            "linewidth": 1,
            "alpha": 0.7,
        }
        plots.line(axes, look, np.array(x) + shift, values, **open_marks)

        x, measured = _along(group, at, model)
        places = np.array(x) + shift
        values = [m.estimate.value * scale for m in measured]
        low, high = (
            np.array([getattr(m.estimate, end) for m in measured]) * scale
            for end in ("low", "high")
        )
        plots.line(axes, look, places, values, model)
        plots.intervals(axes, look, places, low, high)
        for task_place, m in zip(places, measured, strict=True):
            seeds = np.array(m.per_seed) * scale
            plots.seed_points(axes, look, [task_place] * len(seeds), seeds)
    axes.set_ylabel(group.metric.measure)


def _along(
    group: TaskVariants, at: list[float], model: str, condition: str = PRETRAINED
) -> tuple[list[float], list[MeasuredModel]]:
    """Return the places of the tasks on which a model was measured, and what was measured."""
    pairs = zip(at, group.analyses, strict=True)
    measured = [(x, analysis.measured.get((model, condition))) for x, analysis in pairs]
    proper = [(x, m) for x, m in measured if m is not None and m.exactness in PROPER]
    return [x for x, _ in proper], [m for _, m in proper]


def _keys(group: TaskVariants) -> list[Line2D]:
    scratch = any(analysis.of(SCRATCH) for analysis in group.analyses)
    return [*([plots.scratch_key()] if scratch else []), plots.seed_key()]
