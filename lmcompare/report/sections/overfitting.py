"""Overfitting: the gap between training and validation loss over the epochs."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from lmcompare.report import plots
from lmcompare.report.analysis import TaskAnalysis
from lmcompare.report.results import Results
from lmcompare.report.sections.base import Figure, Section
from lmcompare.report.tables import Column, Table, name

LAST = 3
"""Evaluations at the end of a curve that are averaged."""


def sections(results: Results, analyses: Sequence[TaskAnalysis]) -> list[Section]:
    """Return the gap at the end of training, with curves if the corpus was read more than once."""
    frame = paired(results)
    if frame.empty:
        return []
    epochs = float(frame["epochs"].max())
    models = list(dict.fromkeys(frame.loc[frame["epochs"] > 1, "model"]))
    figure = None
    if epochs > 1 and len(models) <= plots.MAX_MODELS:
        figure = Figure("overfitting", _draw(results, frame, models))
    facts = {"epochs": epochs, "points": LAST, "table": _table(frame), "figure": figure}
    return [Section("overfitting", facts)]


def paired(results: Results) -> pd.DataFrame:
    """Return training and validation loss at the same steps.

    Columns: model, seed, step, epochs, train, validation, gap. Both losses are nats per target
    over all targets, so that they may be subtracted.
    """
    columns = ["model", "seed", "step", "epochs", "train", "validation", "gap"]
    curves = []
    for model in results.models:
        for run in results.pretraining(model):
            epochs, tokens = (run.costs.get(key) for key in ("epochs", "corpus_tokens"))
            if not run.curve or not epochs or not tokens:
                continue
            losses: dict[int, dict[str, float]] = {}
            for point in run.curve:
                at = losses.setdefault(point["step"], {"epochs": point["tokens"] * epochs / tokens})
                at[point["split"]] = point["loss"]
            curves += [
                (model, run.seed, step, at["epochs"], at["train"], at["validation"])
                for step, at in sorted(losses.items())
                if {"train", "validation"} <= at.keys()
            ]
    frame = pd.DataFrame(curves, columns=columns[:-1])
    return frame.assign(gap=frame["validation"] - frame["train"])


def _table(frame: pd.DataFrame) -> Table:
    rows = []
    for (model, seed), run in frame.groupby(["model", "seed"], sort=False):
        end = run.sort_values("step").tail(LAST)[["train", "validation", "gap"]].mean()
        lowest = run.loc[run["validation"].idxmin()]
        rows.append(
            {
                "model": model,
                "seed": seed,
                "epochs": run["epochs"].max(),
                **end.to_dict(),
                "lowest_validation": lowest["validation"],
                "lowest_at_epochs": lowest["epochs"],
            }
        )
    numbers = pd.DataFrame(rows)
    columns = {
        "model": Column(format=name),
        "train": Column("training loss"),
        "validation": Column("validation loss"),
        "gap": Column("gap, nats per target"),
        "epochs": Column("epochs", decimals=2),
        "lowest_at_epochs": Column("lowest validation loss at epoch", decimals=2),
    }
    frame = numbers[["model", "seed", *list(columns)[1:]]].assign(model=numbers["model"].map(name))
    return Table("overfitting", frame, columns, numbers)


def _draw(results: Results, frame: pd.DataFrame, models: list[str]) -> bytes:
    looks = plots.looks(results.models)
    with plots.page(len(models), columns=3, height=2.75, foot=0.55) as page:
        for axes, model in zip(page.panels, models, strict=True):
            part = frame[frame["model"] == model]
            for _, seed in part.groupby("seed"):
                training = {"linestyle": ":", "linewidth": 1, "alpha": 1}
                plots.seed_line(axes, looks[model], seed["epochs"], seed["train"], **training)
                plots.loss_line(axes, looks[model], seed["epochs"], seed["validation"])
            for epoch in np.arange(1, part["epochs"].max() + 1e-9):
                axes.axvline(epoch, color="#BBBBBB", linewidth=0.6, zorder=1)
            axes.set_title(model, color=looks[model].color)
            axes.set_xlim(0, 1.04 * float(part["epochs"].max()))
            axes.xaxis.set_major_locator(MaxNLocator(5))
            axes.set_xlabel("epochs")
        for axes in page.first_column:
            axes.set_ylabel("loss, nats per target")
        return page.png(
            plots.key("validation, all targets", marker="o", markersize=4),
            plots.key("training, all targets, one batch", linestyle=":", linewidth=1),
        )
