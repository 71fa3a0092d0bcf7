"""Is a classifier as often right as it is sure? Reliability diagrams, with the bins of ECE."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lmcompare.report.analysis import TaskAnalysis
from lmcompare.report.formatting import plain
from lmcompare.report.markdown import Table, escape, slug
from lmcompare.report.results import PRETRAINED, SCRATCH, Results
from lmcompare.report.sections._former_section import Section
from lmcompare.report.sections.learning_curves import MANY
from lmcompare.report.sections.task_figure import GREY, STYLE, grid, look, png
from lmcompare.report.sections.task_tables import who

BINS = 15
"""Bins of equal width, those of the metric ``ece`` (Guo et al. 2017, section 2): (0, 1/15], (1/15, 2/15], ..."""


def binned(confidence: Sequence[float], correct: Sequence[float]) -> pd.DataFrame:
    """Return one row for each bin that has answers: bin, items, confidence, accuracy (means, from 0 to 1).

    >>> binned([0.99, 0.97, 0.55], [1, 0, 1])[["bin", "items", "accuracy"]].values.tolist()
    [[9.0, 1.0, 1.0], [15.0, 2.0, 0.5]]

    Args:
        confidence: (n,) probability of the answer that was given.
        correct: (n,) 1 where it was right.
    """
    places = np.digitize(confidence, np.linspace(0, 1, BINS + 1)[1:-1], right=True) + 1
    frame = pd.DataFrame({"bin": places, "confidence": confidence, "correct": correct})
    groups = frame.groupby("bin")
    return pd.DataFrame(
        {
            "items": groups.size(),
            "confidence": groups["confidence"].mean(),
            "accuracy": groups["correct"].mean(),
        }
    ).reset_index()


def bins(rows: Results, found: TaskAnalysis) -> pd.DataFrame:
    """Return the bins of each model, condition and seed, and of its seeds together (seed: NaN); empty without rows."""
    parts = []
    for model, condition in found.measured:
        both = [
            rows.values(found.task.name, model, condition, metric)
            for metric in ("confidence", "correct")
        ]
        sure, right = (
            frame[frame["item"] != ""].set_index(["seed", "item"])["value"] for frame in both
        )
        frame = pd.concat(
            [sure, right], axis=1, keys=["confidence", "correct"], join="inner"
        ).dropna()
        seeds: dict[int | None, pd.DataFrame] = {
            int(seed): part for seed, part in frame.groupby(level="seed")
        }
        for seed, part in {**seeds, None: frame}.items():
            if len(part):
                one = binned(part["confidence"].tolist(), part["correct"].tolist())
                parts.append(
                    one.assign(
                        model=model, condition=condition, seed=np.nan if seed is None else seed
                    )
                )
    columns = ["model", "condition", "seed", "bin", "items", "confidence", "accuracy"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def block(rows: Results, found: TaskAnalysis) -> Section | None:
    """The diagrams of a task, a panel for each model, and their numbers; None where no row says how sure a model was."""
    frame = bins(rows, found)
    frame = frame[frame["model"].isin(rows.models)]
    if frame.empty:
        return None
    models = [model for model in rows.models if (frame["model"] == model).any()]
    name = f"reliability-{slug(found.task.name)}"
    return Section(
        name,
        "Reliability",
        "On the diagonal an answer is as often right as the network is sure of it; below it, the network is too sure. "
        f"ECE is the mean distance from it over the {BINS} bins, weighted by their items (mean over seeds).",
        _draw(rows, found, frame, models) if len(models) <= MANY else None,
        f"Share of right answers of {escape(found.task.name)} against confidence, for each model",
        _table(frame, name),
        "table",
    )


def _table(frame: pd.DataFrame, name: str) -> Table:
    together = frame[frame["seed"].isna()]
    lines = [
        [who(row.model, row.condition), row.condition, f"{(row.bin - 1) / BINS:.3f} to {row.bin / BINS:.3f}",
         f"{row.items:,}", plain(row.confidence * 100, 1), plain(row.accuracy * 100, 1)]
        for row in together.itertuples()
    ]  # fmt: skip
    headings = [
        "model",
        "condition",
        "bin of confidence",
        "answers of all seeds",
        "confidence, %",
        "accuracy, %",
    ]
    return Table(name, headings, lines, frame)


def _ece(found: TaskAnalysis, model: str, condition: str) -> str:
    frame = found.secondary.get("ece")
    if frame is None:
        return ""
    values = frame.loc[(frame["model"] == model) & (frame["condition"] == condition), "value"]
    return f"{100 * values.mean():.1f}%" if len(values) else ""


def _draw(rows: Results, found: TaskAnalysis, frame: pd.DataFrame, models: list[str]) -> bytes:
    with mpl.rc_context(STYLE):
        figure, panels = grid(len(models), 3, 0.6, 3.1, sharey=True)
        least = max(0.0, float(np.floor(10 * (frame["confidence"].min() - 0.02)) / 10))
        for axes, model in zip(panels.flat, models, strict=False):
            _panel(axes, rows, found, frame[frame["model"] == model], model)
            axes.set_xlim(least, 1.02)
        for axes in panels[:, 0]:
            axes.set_ylabel("share of right answers")
        keys = [
            Line2D(
                [],
                [],
                color=GREY,
                marker="o",
                markersize=6,
                linewidth=1.8,
                label="pretrained, all seeds",
            ),
            Line2D(
                [],
                [],
                color=GREY,
                marker="o",
                markersize=3.2,
                linestyle="",
                alpha=0.7,
                label="one seed",
            ),
        ]
        if (frame["condition"] == SCRATCH).any():
            keys.append(
                Line2D(
                    [],
                    [],
                    color=GREY,
                    marker="o",
                    markerfacecolor="white",
                    linestyle=":",
                    label="from scratch",
                )
            )
        bars = Patch(facecolor="#D9D9D9", label="share of answers in the bin (pretrained)")
        figure.legend(handles=[*keys, bars], loc="outside lower left", ncols=4, columnspacing=1.5)
        return png(figure)


def _panel(axes: Axes, rows: Results, found: TaskAnalysis, frame: pd.DataFrame, model: str) -> None:
    colour, marker = look(rows.models, model)
    axes.plot([0, 1], [0, 1], color="#000000", linewidth=1, zorder=2)
    for condition, face, dashes in ((SCRATCH, "white", ":"), (PRETRAINED, colour, "-")):
        of = frame[frame["condition"] == condition]
        together, seeds = of[of["seed"].isna()], of[of["seed"].notna()]
        axes.plot(
            together["confidence"], together["accuracy"], color=colour, marker=marker, markerfacecolor=face,
            linestyle=dashes, linewidth=1.6, markersize=6, zorder=4,
        )  # fmt: skip
        if condition == PRETRAINED:
            axes.bar(
                (together["bin"] - 0.5) / BINS, together["items"] / max(together["items"].sum(), 1),
                width=0.9 / BINS, color="#D9D9D9", zorder=1,
            )  # fmt: skip
            axes.plot(
                seeds["confidence"], seeds["accuracy"], color=colour, marker="o", markersize=3.2, linestyle="",
                alpha=0.6, markeredgewidth=0, zorder=3,
            )  # fmt: skip
    axes.set_ylim(0, 1.03)
    axes.set_xlabel("confidence of the answer")
    ece = _ece(found, model, PRETRAINED)
    axes.set_title(f"{model}{', ECE ' + ece if ece else ''}", color=colour)
