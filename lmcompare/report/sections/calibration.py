"""Calibration: reliability diagrams, with the bins of the expected calibration error."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from lmcompare.report import plots
from lmcompare.report.analysis import TaskAnalysis
from lmcompare.report.markdown import slug
from lmcompare.report.outcomes import item_outcomes
from lmcompare.report.results import PRETRAINED, SCRATCH, Results
from lmcompare.report.sections.base import Figure, Section
from lmcompare.report.tables import Column, Table, name

BINS = 15
"""Of equal width, as of the metric ``ece`` (Guo et al. 2017): (0, 1/15], (1/15, 2/15], ..."""


def sections(results: Results, analyses: Sequence[TaskAnalysis]) -> list[Section]:
    """Return the diagrams of each task whose items have a confidence, a panel for each model."""
    return [section for analysis in analyses if (section := _section(results, analysis))]


def binned(confidence: Sequence[float], correct: Sequence[float]) -> pd.DataFrame:
    """Return a row for each bin with answers: bin, items, mean confidence, accuracy.

    >>> binned([0.99, 0.97, 0.55], [1, 0, 1])[["bin", "items", "accuracy"]].values.tolist()
    [[9.0, 1.0, 1.0], [15.0, 2.0, 0.5]]

    Args:
        confidence: (n,) probability of the answer given.
        correct: (n,) 1 where it was correct.
    """
    bins = np.digitize(confidence, np.linspace(0, 1, BINS + 1)[1:-1], right=True) + 1
    items = np.bincount(bins, minlength=BINS + 1)
    filled = np.flatnonzero(items)
    sums = [np.bincount(bins, values, BINS + 1)[filled] for values in (confidence, correct)]
    means = dict(zip(("confidence", "accuracy"), sums / items[filled], strict=True))
    return pd.DataFrame({"bin": filled, "items": items[filled], **means})


def bins(results: Results, analysis: TaskAnalysis) -> pd.DataFrame:
    """Return the bins of each model, condition and seed, and of its seeds pooled (seed: NaN)."""
    columns = ["model", "condition", "seed", "bin", "items", "confidence", "accuracy"]
    parts = []
    for model, condition in analysis.measured:
        confidence, correct = (
            item_outcomes(results, analysis.task.name, model, condition, metric)
            for metric in ("confidence", "correct")
        )
        if confidence is None or correct is None:
            continue
        seeds = sorted({*confidence.seeds} & {*correct.seeds})
        items = sorted({*confidence.items} & {*correct.items} - {""})
        if not seeds or not items:
            continue
        values = [outcomes.at(seeds, items).numerators for outcomes in (confidence, correct)]
        rows = [(float(seed), *pair) for seed, *pair in zip(seeds, *values, strict=True)]
        rows.append((np.nan, *(matrix.ravel() for matrix in values)))
        parts += [
            binned(sure, right).assign(model=model, condition=condition, seed=seed)
            for seed, sure, right in rows
        ]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _section(results: Results, analysis: TaskAnalysis) -> Section | None:
    frame = bins(results, analysis)
    frame = frame[frame["model"].isin(results.models)]
    if frame.empty:
        return None
    models = [model for model in results.models if (frame["model"] == model).any()]
    file_name = f"reliability-{slug(analysis.task.name)}"
    drawn = len(models) <= plots.MAX_MODELS
    figure = Figure(file_name, _draw(results, analysis, frame, models)) if drawn else None
    facts = {"bins": BINS, "figure": figure, "table": _table(frame, file_name)}
    return Section("calibration", facts, analysis.task.name)


def _table(frame: pd.DataFrame, file_name: str) -> Table:
    pooled = frame[frame["seed"].isna()]
    lines = pd.DataFrame(
        {
            "model": pooled["model"].map(name),
            "condition": pooled["condition"],
            "bin of confidence": [
                f"{(place - 1) / BINS:.3f} to {place / BINS:.3f}" for place in pooled["bin"]
            ],
            "answers of all seeds": pooled["items"],
            "confidence, %": 100 * pooled["confidence"],
            "accuracy, %": 100 * pooled["accuracy"],
        }
    )
    formats = {key: Column(decimals=1) for key in ("confidence, %", "accuracy, %")}
    return Table(file_name, lines, formats, frame)


def _ece(analysis: TaskAnalysis, model: str) -> str:
    frame = analysis.secondary.get("ece")
    if frame is None:
        return ""
    values = frame.loc[(frame["model"] == model) & (frame["condition"] == PRETRAINED), "value"]
    return f", ECE {100 * values.mean():.1f}%" if len(values) else ""


def _draw(
    results: Results, analysis: TaskAnalysis, frame: pd.DataFrame, models: list[str]
) -> bytes:
    lowest = max(0.0, float(np.floor(10 * (frame["confidence"].min() - 0.02)) / 10))
    with plots.page(len(models), columns=3, height=3.1, foot=0.6, share="y") as page:
        for axes, model in zip(page.panels, models, strict=True):
            look = plots.looks(results.models)[model]
            _panel(axes, look, frame[frame["model"] == model])
            axes.set_xlim(lowest, 1.02)
            axes.set_title(f"{model}{_ece(analysis, model)}", color=look.color)
        for axes in page.first_column:
            axes.set_ylabel("accuracy")
        return page.png(
            plots.key("pretrained, all seeds", marker="o"),
            plots.seed_key(),
            *([plots.scratch_key()] if (frame["condition"] == SCRATCH).any() else []),
            Patch(facecolor=plots.PALE, label="share of answers in the bin (pretrained)"),
        )


def _panel(axes: Axes, look: plots.Look, frame: pd.DataFrame) -> None:
    axes.plot([0, 1], [0, 1], color="#000000", linewidth=1, zorder=2)
    for condition, style in (
        (SCRATCH, {"markerfacecolor": "white", "linestyle": ":"}),
        (PRETRAINED, {"linestyle": "-"}),
    ):
        part = frame[frame["condition"] == condition]
        pooled, seeds = part[part["seed"].isna()], part[part["seed"].notna()]
        plots.line(axes, look, pooled["confidence"], pooled["accuracy"], linewidth=1.6, **style)
        if condition == PRETRAINED:
            shares = pooled["items"] / max(pooled["items"].sum(), 1)
            centers = (pooled["bin"] - 0.5) / BINS
            axes.bar(centers, shares, width=0.9 / BINS, color=plots.PALE, zorder=1)
            plots.seed_points(axes, look, seeds["confidence"], seeds["accuracy"])
    axes.set_ylim(0, 1.03)
    axes.set_xlabel("confidence")
