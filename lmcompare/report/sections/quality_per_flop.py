"""Quality for what it cost: the primary metric of each task against the FLOPs of pretraining."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator

from lmcompare.report.analysis import Comparison, TaskAnalysis
from lmcompare.report.formatting import NONE, control_title, engineering, plain, signed
from lmcompare.report.markdown import Table, code, escape
from lmcompare.report.outcomes import PROPER
from lmcompare.report.results import CONTROL, PRETRAINED, SCRATCH, Results
from lmcompare.report.sections._former_section import Section
from lmcompare.report.sections.learning_curves import MANY
from lmcompare.report.sections.task_figure import GREY, STYLE, grid, legend_columns, look, png

PANELS = 6
"""Tasks up to which there is a figure."""
FLOORS = ("majority", "chance", "random", "unigram")
"""Controls that know no text: what is had for nothing."""


def spent(rows: Results) -> pd.DataFrame:
    """Return FLOPs of pretraining: model, seed, flops."""
    found = [
        {"model": model, "seed": run.seed, "flops": float(run.costs["training_flops"])}
        for model in rows.fresh
        for run in rows.pretraining(model)
        if run.costs.get("training_flops")
    ]
    return pd.DataFrame(found, columns=["model", "seed", "flops"])


def block(rows: Results, findings: Sequence[TaskAnalysis]) -> Section | None:
    """The figure and its numbers; None without models that were trained here and measured on a task."""
    costs = spent(rows)
    frame = pd.DataFrame([line for found in findings for line in _lines(found, costs)])
    if frame.empty:
        return None
    titles = {found.task.name: found.metric for found in findings}
    rendered = []
    for line in frame.to_dict("records"):
        metric = titles[line["task"]]
        unit = f" {metric.points}" if metric.points else ""
        cells = [
            escape(line["task"]),
            code(line["model"]),
            engineering(line["flops"], "FLOPs"),
            metric.heading,
        ]
        cells.append(plain(line["value"] * metric.scale, max(metric.decimals, 1)))
        for over in ("over_scratch", "over_floor"):
            gain = line[f"{over}_per_tflop"]
            cells.append(f"{signed(gain * metric.scale, 3)}{unit}" if np.isfinite(gain) else NONE)
        rendered.append(cells)
    headings = ["task", "model", "training FLOPs", "metric", "value"]
    headings += ["over scratch, per TFLOP", "over the floor, per TFLOP"]
    floors = sorted({control_title(name) for name in frame["floor"] if name})
    text = "What pretraining cost, and what came of it. "
    text += f"*The floor*: {escape(' or '.join(floors))}, which knows no text. " if floors else ""
    table = Table("quality", headings, rendered, frame)
    drawn = [found for found in findings if found.task.name in set(frame["task"])]
    few = len(drawn) <= PANELS and len(rows.models) <= MANY
    figure = _draw(rows, drawn, costs) if few else None
    first = "read the figure first" if few else "the curves under Learning show the whole way"
    text += f"A ratio favours who spent little, since the first FLOPs buy most: {first}."
    alt = "Primary metric of each task against FLOPs of pretraining, for each model and seed"
    return Section("quality", "Quality per FLOP", text, figure, alt, table, "table")


def _lines(found: TaskAnalysis, costs: pd.DataFrame) -> list[dict[str, object]]:
    floor = next((name for name in FLOORS if (name, CONTROL) in found.measured), "")
    lines: list[dict[str, object]] = []
    for one in found.of(PRETRAINED):
        flops = costs.loc[costs["model"] == one.model, "flops"].mean()
        if one.exactness not in PROPER or not flops > 0:
            continue
        over = {
            "over_scratch": _ahead(found.gains, one.model, SCRATCH),
            "over_floor": _ahead(found.control_comparisons, one.model, floor),
        }
        per = {f"{key}_per_tflop": value / (flops / 1e12) for key, value in over.items()}
        lines.append({"task": found.task.name, "model": one.model, "flops": flops, "metric": found.task.primary,
                      "value": one.estimate.value, "floor": floor, **over, **per})  # fmt: skip
    return lines


def _ahead(leads: Sequence[Comparison], first: str, second: str) -> float:
    said = (lead.difference.value for lead in leads if (lead.first, lead.second) == (first, second))
    return next(said, float("nan"))


def _draw(rows: Results, findings: Sequence[TaskAnalysis], costs: pd.DataFrame) -> bytes:
    with mpl.rc_context(STYLE):
        figure, panels = grid(len(findings), 2, 0.6, 2.9)
        for axes, found in zip(panels.flat, findings, strict=False):
            _panel(axes, rows, found, costs)
        there = {one.model for found in findings for one in found.of(PRETRAINED)}
        keys = [
            Line2D([], [], color=look(rows.models, model)[0], marker=look(rows.models, model)[1], markersize=7, label=model,
                   linestyle="")
            for model in rows.fresh if model in there
        ]  # fmt: skip
        keys.append(
            Line2D([], [], color=GREY, marker="o", markersize=3.2, linestyle="", label="one seed")
        )
        if any(found.of(SCRATCH) for found in findings):
            keys.append(
                Line2D(
                    [],
                    [],
                    color=GREY,
                    marker="o",
                    markerfacecolor="white",
                    linestyle="",
                    label="from scratch, at 0",
                )
            )
        figure.legend(
            handles=keys, loc="outside lower left", ncols=legend_columns(keys), columnspacing=1.5
        )
        return png(figure)


def _panel(axes: Axes, rows: Results, found: TaskAnalysis, costs: pd.DataFrame) -> None:
    scale = found.metric.scale
    for (model, condition), one in found.measured.items():
        if condition == CONTROL or model not in rows.fresh or one.exactness not in PROPER:
            continue
        colour, marker = look(rows.models, model)
        spent_here = costs[costs["model"] == model].set_index("seed")["flops"]
        own = condition == PRETRAINED
        at = [float(spent_here.get(seed, np.nan)) if own else 0.0 for seed in one.seeds]
        axes.plot(at, [v * scale for v in one.per_seed], color=colour, marker="o", markersize=3.2, linestyle="",
                  alpha=0.7, markeredgewidth=0)  # fmt: skip
        axes.plot(
            [np.mean(at)], [one.estimate.value * scale], color=colour, marker=marker, linestyle="", markersize=8,
            markerfacecolor=colour if own else "white", zorder=4,
        )  # fmt: skip
    axes.set_xlim(
        left=-0.04 * axes.get_xlim()[1] if found.of(SCRATCH) else 0,
        right=1.08 * float(costs["flops"].max()),
    )
    axes.margins(y=0.12)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
    axes.set_xlabel("training FLOPs")
    axes.set_ylabel(found.metric.measure)
    axes.set_title(f"{found.task.name} ({found.task.better} is better)")
