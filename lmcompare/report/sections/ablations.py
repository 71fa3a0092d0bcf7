"""Tasks of one experiment that differ in one setting: what that setting is worth to each model."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lmcompare.report.analysis import TaskAnalysis, decimals_of, format_interval
from lmcompare.report.formatting import NONE, control_title, joined
from lmcompare.report.markdown import Table, code, escape, slug
from lmcompare.report.outcomes import PROPER
from lmcompare.report.results import CONTROL, PRETRAINED, SCRATCH, Results
from lmcompare.report.sections._former_section import Section
from lmcompare.report.sections.budget import flattened
from lmcompare.report.sections.learning_curves import MANY
from lmcompare.report.sections.task_figure import DASHES, GREY, STYLE, legend_columns, look, png
from lmcompare.report.sections.task_tables import who

LABELS, MASK, TEMPERATURE = "items", "adaptation: attention", "temperature"
BESIDE_LABELS = (
    "validation", "test", "adaptation: epochs", "adaptation: learning_rates", "adaptation: patience",
    "adaptation: pooling",
)  # fmt: skip
"""Settings that may follow the number of labels: tasks of few labels split and train otherwise than those of many."""


@dataclass(frozen=True)
class TaskVariants:
    """Tasks that differ in one setting, and perhaps in some that may follow it.

    Attributes:
        key: the setting, as ``parity.flattened`` names it.
        values: of that setting, one a task.
        findings: what was measured, one a task.
        beside: the other settings in which they differ.
    """

    key: str
    values: list[Any]
    findings: list[TaskAnalysis]
    beside: tuple[str, ...] = ()

    @property
    def tasks(self) -> str:
        """The names of the tasks, safe for markdown."""
        return joined([code(found.task.name) for found in self.findings])


def variants(
    rows: Results, findings: Sequence[TaskAnalysis], key: str, beside: Collection[str] = ()
) -> list[TaskVariants]:
    """Return the groups of two or more tasks whose settings are the same but for ``key`` and perhaps ``beside``."""
    groups: dict[str, list[tuple[dict[str, Any], TaskAnalysis]]] = {}
    for found in findings:
        said = flattened(rows.settings["tasks"][found.task.name])
        if key in said and found.measured:
            rest = {
                name: value for name, value in said.items() if name != key and name not in beside
            }
            groups.setdefault(repr(sorted(rest.items())), []).append((said, found))
    made = []
    for group in groups.values():
        differ = tuple(
            name for name in (key, *beside) if len({repr(said.get(name)) for said, _ in group}) > 1
        )
        if key in differ:
            made.append(
                TaskVariants(
                    key, [said[key] for said, _ in group], [one for _, one in group], differ[1:]
                )
            )
    return made


def _numbers(one: TaskVariants, labels: Sequence[object]) -> pd.DataFrame:
    found = [
        {"task": f.task.name, one.key.split(": ")[-1]: label, "model": m.model, "condition": m.condition,
         "metric": f.task.primary, "value": m.estimate.value, "low": m.estimate.low, "high": m.estimate.high}
        for label, f in zip(labels, one.findings, strict=True)
        for m in f.measured.values()
        if m.exactness in PROPER
    ]  # fmt: skip
    return pd.DataFrame(found)


def _table(
    one: TaskVariants, labels: Sequence[object], headings: Sequence[str], name: str
) -> Table:
    pairs = dict.fromkeys(pair for found in one.findings for pair in found.measured)
    lines = []
    for model, condition in pairs:
        cells = []
        for found in one.findings:
            m = found.measured.get((model, condition))
            decimals = decimals_of(found.metric, [x.estimate for x in found.of(PRETRAINED)])
            cells.append(
                format_interval(found.metric, m.estimate, decimals)
                if m and m.exactness in PROPER
                else NONE
            )
        lines.append([who(model, condition), condition, *cells])
    return Table(name, ["model", "condition", *headings], lines, _numbers(one, labels))


def masks(rows: Results, findings: Sequence[TaskAnalysis]) -> list[Section]:
    """Objective by mask: the same task under several attention masks while fine-tuning."""
    made = []
    for one in variants(rows, findings, MASK):
        name = f"masks-{slug(one.findings[0].task.name)}"
        metric = one.findings[0].metric
        text = (
            f"{metric.heading} [95%] of {one.tasks}, which differ in the attention mask of fine-tuning alone. "
            "*Own*: the mask with which the network was pretrained."
        )
        headings = [f"{escape(value)} mask" for value in one.values]
        table = _table(one, one.values, headings, name)
        figure = _by_mask(rows, one) if len(rows.models) <= MANY else None
        alt = f"{escape(metric.title)} of each model under each attention mask"
        made.append(
            Section(
                name,
                "Objective by mask",
                text,
                figure,
                alt,
                table,
                "table" if figure else "nothing",
            )
        )
    return made


def _by_mask(rows: Results, one: TaskVariants) -> bytes:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 3.4), layout="constrained")
        axes = figure.subplots()
        _lines(axes, rows, one, list(map(float, range(len(one.values)))), spread=0.06)
        axes.set_xticks(range(len(one.values)), [f"{value} mask" for value in one.values])
        axes.set_xlim(-0.4, len(one.values) - 0.6)
        _legend(figure, axes, one)
        return png(figure)


def labels(rows: Results, findings: Sequence[TaskAnalysis]) -> list[Section]:
    """Label efficiency: the same task with several numbers of labelled items."""
    made = []
    for one in variants(rows, findings, LABELS, BESIDE_LABELS):
        counts = [_trained_on(rows, found.task.name) for found in one.findings]
        if not all(counts) or len({*counts}) < len(counts):
            continue
        order = sorted(range(len(counts)), key=counts.__getitem__)
        one = replace(
            one, values=[one.values[i] for i in order], findings=[one.findings[i] for i in order]
        )
        counts = [counts[i] for i in order]
        name = f"labels-{slug(one.findings[0].task.name)}"
        metric = one.findings[0].metric
        same = (
            len(
                {
                    frozenset(found.measured[next(iter(found.measured))].outcome.items)
                    for found in one.findings
                }
            )
            == 1
        )
        others = joined([escape(key.split(": ")[-1].replace("_", " ")) for key in one.beside])
        but = f", and with it in {others}" if others else " alone"
        text = f"{metric.heading} [95%] of {one.tasks}, which differ in the number of labelled items{but}. "
        text += (
            "All are asked the same test items."
            if same
            else "Each has test items of its own: fewer of the small."
        )
        table = _table(one, counts, [f"{count:,} training items" for count in counts], name)
        figure = _by_labels(rows, one, counts) if len(rows.models) <= MANY else None
        alt = f"{escape(metric.title)} of each model against the number of training items"
        made.append(
            Section(
                name, "Label efficiency", text, figure, alt, table, "table" if figure else "nothing"
            )
        )
    return made


def _trained_on(rows: Results, task: str) -> int:
    counts = [run.notes.counts for run in rows.cells(task)]
    return max((int(one.get("train_items") or 0) for one in counts), default=0)


def _by_labels(rows: Results, one: TaskVariants, counts: list[int]) -> bytes:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 3.8), layout="constrained")
        axes = figure.subplots()
        at = [math.log10(count) for count in counts]
        _lines(axes, rows, one, at, spread=0.015)
        for place, (model, condition) in enumerate(
            dict.fromkeys(p for f in one.findings for p in f.measured)
        ):
            if condition == CONTROL:
                said = [
                    (x, f.measured.get((model, condition)))
                    for x, f in zip(at, one.findings, strict=True)
                ]
                there = [(x, m.estimate.value * one.findings[0].metric.scale) for x, m in said if m]
                axes.plot(*zip(*there, strict=True), color=GREY, linewidth=1.4, linestyle=(":", "--")[place % 2],
                          label=control_title(model))  # fmt: skip
        axes.set_xticks(at, [f"{count:,}" for count in counts])
        axes.set_xlabel("labelled items to train on, spaced by their logarithm")
        _legend(figure, axes, one)
        return png(figure)


def _lines(
    axes: Axes, rows: Results, one: TaskVariants, at: list[float], spread: float = 0.0
) -> None:
    scale = one.findings[0].metric.scale
    times = {
        model: sum((model, PRETRAINED) in found.measured for found in one.findings)
        for model in rows.models
    }
    asked = [
        model for model in rows.models if times[model] > 1
    ]  # one point is no line: the table has it
    for model in asked:
        place, (colour, marker) = rows.models.index(model), look(rows.models, model)
        shift = spread * (asked.index(model) - (len(asked) - 1) / 2)
        for condition, face in ((PRETRAINED, colour), (SCRATCH, "white")):
            said = [
                (x + shift, found.measured.get((model, condition)))
                for x, found in zip(at, one.findings, strict=True)
            ]
            there = [(x, m) for x, m in said if m and m.exactness in PROPER]
            if not there:
                continue
            xs, ys = [x for x, _ in there], [m.estimate.value * scale for _, m in there]
            own = condition == PRETRAINED
            axes.plot(
                xs, ys, color=colour, marker=marker, markerfacecolor=face, markersize=7,
                linewidth=2 if own else 1, alpha=1 if own else 0.7, label=model if own else None,
                linestyle=DASHES[place % len(DASHES)] if own else ":", zorder=4,
            )  # fmt: skip
            for x, m in there if own else ():
                axes.plot(
                    [x, x],
                    [m.estimate.low * scale, m.estimate.high * scale],
                    color=colour,
                    linewidth=1.2,
                )
                axes.plot([x] * len(m.per_seed), [v * scale for v in m.per_seed], color=colour, marker="o",
                          markersize=3.2, linestyle="", alpha=0.75, markeredgewidth=0)  # fmt: skip


def _legend(figure: Figure, axes: Axes, one: TaskVariants) -> None:
    axes.set_ylabel(one.findings[0].metric.measure)
    handles, _ = axes.get_legend_handles_labels()
    if any(found.of(SCRATCH) for found in one.findings):
        handles.append(
            Line2D(
                [],
                [],
                color=GREY,
                marker="o",
                markerfacecolor="white",
                linestyle=":",
                label="scratch",
            )
        )
    handles.append(
        Line2D([], [], color=GREY, marker="o", markersize=3.2, linestyle="", label="one seed")
    )
    figure.legend(
        handles=handles,
        loc="outside lower left",
        ncols=legend_columns(handles),
        handlelength=3,
        columnspacing=1.5,
    )
