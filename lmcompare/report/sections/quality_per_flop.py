"""Quality for its cost: the primary metric of each task against the FLOPs of pretraining."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from lmcompare.report import plots
from lmcompare.report.analysis import Comparison, TaskAnalysis
from lmcompare.report.formatting import (
    NONE,
    MetricFormat,
    control_title,
    engineering,
    plain,
    signed,
)
from lmcompare.report.outcomes import PROPER
from lmcompare.report.results import CONTROL, PRETRAINED, SCRATCH, Results
from lmcompare.report.sections.base import Figure, Section
from lmcompare.report.tables import Table, name

PANELS = 6
"""Tasks up to which there is a figure."""
FLOORS = ("majority", "chance", "random", "unigram")
"""Controls that read no text: what is had for nothing."""


def sections(results: Results, analyses: Sequence[TaskAnalysis]) -> list[Section]:
    """Return the figure and its numbers, of models trained here and measured on a task."""
    costs = training_flops(results)
    frame = pd.DataFrame([row for analysis in analyses for row in _rows(analysis, costs)])
    if frame.empty:
        return []
    shown = [analysis for analysis in analyses if analysis.task.name in set(frame["task"])]
    drawn = len(shown) <= PANELS and len(results.models) <= plots.MAX_MODELS
    facts = {
        "floors": sorted({control_title(floor) for floor in frame["floor"] if floor}),
        "figure": Figure("quality", _draw(results, shown, costs)) if drawn else None,
        "table": _table(frame, shown),
    }
    return [Section("quality_per_flop", facts)]


def training_flops(results: Results) -> pd.DataFrame:
    """Return FLOPs of pretraining: model, seed, flops."""
    rows = [
        {"model": model, "seed": run.seed, "flops": float(run.costs["training_flops"])}
        for model in results.fresh
        for run in results.pretraining(model)
        if run.costs.get("training_flops")
    ]
    return pd.DataFrame(rows, columns=["model", "seed", "flops"])


def _rows(analysis: TaskAnalysis, costs: pd.DataFrame) -> list[dict[str, object]]:
    floor = next((control for control in FLOORS if (control, CONTROL) in analysis.measured), "")
    rows: list[dict[str, object]] = []
    for measured in analysis.of(PRETRAINED):
        model = measured.model
        flops = costs.loc[costs["model"] == model, "flops"].mean()
        if measured.exactness not in PROPER or not flops > 0:
            continue
        over = {
            "over_scratch": _difference(analysis.gains, model, SCRATCH),
            "over_floor": _difference(analysis.control_comparisons, model, floor),
        }
        rows.append(
            {
                "task": analysis.task.name,
                "model": model,
                "flops": flops,
                "metric": analysis.task.primary,
                "value": measured.estimate.value,
                "floor": floor,
                **over,
                **{f"{key}_per_tflop": value / (flops / 1e12) for key, value in over.items()},
            }
        )
    return rows


def _difference(comparisons: Sequence[Comparison], first: str, second: str) -> float:
    for comparison in comparisons:
        if (comparison.first, comparison.second) == (first, second):
            return comparison.difference.value
    return float("nan")


def _table(frame: pd.DataFrame, analyses: Sequence[TaskAnalysis]) -> Table:
    metrics = {analysis.task.name: analysis.metric for analysis in analyses}
    lines = []
    for row in frame.to_dict("records"):
        metric = metrics[row["task"]]

        def per_tflop(gain: float, metric: MetricFormat = metric) -> str:
            text = f"{signed(gain * metric.scale, 3)} {metric.points}".strip()
            return text if np.isfinite(gain) else NONE

        lines.append(
            {
                "task": row["task"],
                "model": name(row["model"]),
                "training FLOPs": engineering(row["flops"], "FLOPs"),
                "metric": metric.heading,
                "value": plain(row["value"] * metric.scale, max(metric.decimals, 1)),
                "over scratch, per TFLOP": per_tflop(row["over_scratch_per_tflop"]),
                "over the floor, per TFLOP": per_tflop(row["over_floor_per_tflop"]),
            }
        )
    return Table("quality", pd.DataFrame(lines), numbers=frame)


def _draw(results: Results, analyses: Sequence[TaskAnalysis], costs: pd.DataFrame) -> bytes:
    scratch = any(analysis.of(SCRATCH) for analysis in analyses)
    with plots.page(len(analyses), columns=2, height=2.9, foot=0.6) as page:
        for axes, analysis in zip(page.panels, analyses, strict=True):
            _panel(axes, results, analysis, costs)
        keys = [plots.scratch_key("from scratch, at 0", "")] if scratch else []
        return page.png(plots.seed_key(), *keys)


def _panel(axes: Axes, results: Results, analysis: TaskAnalysis, costs: pd.DataFrame) -> None:
    looks, scale = plots.looks(results.models), analysis.metric.scale
    for (model, condition), measured in analysis.measured.items():
        if condition == CONTROL or model not in results.fresh or measured.exactness not in PROPER:
            continue
        pretrained = condition == PRETRAINED
        flops = costs[costs["model"] == model].set_index("seed")["flops"]
        at = [float(flops.get(seed, np.nan)) if pretrained else 0.0 for seed in measured.seeds]
        value = measured.estimate.value * scale
        plots.seed_points(axes, looks[model], at, np.array(measured.per_seed) * scale)
        if pretrained:
            plots.points(axes, looks[model], [np.mean(at)], [value], model)
        else:
            plots.points(axes, looks[model], [np.mean(at)], [value], markerfacecolor="white")
    left = -0.04 * axes.get_xlim()[1] if analysis.of(SCRATCH) else 0
    axes.set_xlim(left, 1.08 * float(costs["flops"].max()))
    axes.margins(y=0.12)
    plots.large_numbers(axes)
    axes.set(
        xlabel="training FLOPs",
        ylabel=analysis.metric.measure,
        title=f"{analysis.task.name} ({analysis.task.better} is better)",
    )
