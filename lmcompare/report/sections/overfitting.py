"""Overfitting: training against validation loss by passes over the corpus."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from lmcompare.report.formatting import counted, plain
from lmcompare.report.markdown import Table, code
from lmcompare.report.results import Results
from lmcompare.report.sections._former_section import Section
from lmcompare.report.sections.learning_curves import MANY
from lmcompare.report.sections.task_figure import GREY, STYLE, grid, look, png

LAST = 3
"""Points of the end of a curve over which the gap is averaged: a training loss is that of one batch."""


def paired(rows: Results) -> pd.DataFrame:
    """Return training and validation loss at the same steps: model, seed, step, epochs, train, validation, gap.

    Both are nats per target over all targets, so that they may be subtracted.
    """
    found = []
    for model in rows.models:
        for run in rows.pretraining(model):
            epochs, tokens = (run.costs.get(key) for key in ("epochs", "corpus_tokens"))
            if not run.curve or not epochs or not tokens:
                continue
            frame = pd.DataFrame(run.curve)
            both = (
                frame.pivot_table(index=["step", "tokens"], columns="split", values="loss")
                .dropna()
                .reset_index()
            )
            if {"train", "validation"} <= set(both.columns) and len(both):
                both = both.assign(
                    model=model, seed=run.seed, epochs=both["tokens"] * epochs / tokens
                )
                found.append(both.assign(gap=both["validation"] - both["train"]))
    columns = ["model", "seed", "step", "epochs", "train", "validation", "gap"]
    return pd.concat(found, ignore_index=True)[columns] if found else pd.DataFrame(columns=columns)


def block(rows: Results) -> Section | None:
    """The figure, for corpora that were read more than once, and the gap at the end; None without curves."""
    frame = paired(rows)
    if frame.empty:
        return None
    most = float(frame["epochs"].max())
    lines, numbers = [], []
    for (model, seed), part in frame.groupby(["model", "seed"], sort=False):
        end = part.sort_values("step").tail(LAST)
        lowest = part.loc[part["validation"].idxmin()]
        one = {
            "epochs": part["epochs"].max(),
            **end[["train", "validation", "gap"]].mean().to_dict(),
        }
        one |= {"lowest_validation": lowest["validation"], "lowest_at_epochs": lowest["epochs"]}
        numbers.append({"model": model, "seed": seed, **one})
        lines.append(
            [code(str(model)), str(seed), *(plain(one[k], 3) for k in ("train", "validation")), plain(one["gap"], 3),
             plain(one["epochs"], 2), plain(one["lowest_at_epochs"], 2)]
        )  # fmt: skip
    mean = f"mean of the last {counted(LAST, 'point')}"
    headings = [
        "model",
        "seed",
        f"training loss, {mean}",
        "validation loss",
        "gap, nats per target",
    ]
    headings += ["passes over the corpus", "validation was lowest at"]
    table = Table("overfitting", headings, lines, pd.DataFrame(numbers))
    text = "Validation minus training loss, both over all targets; a training loss is that of one batch, so it is noisy. "
    title = "Overfitting: training against validation loss"
    if most <= 1:
        text += f"No text was read twice ({plain(most, 2)} passes over the corpus at most), so nothing could be learnt by "
        text += "heart: the gap should be near 0, but for that noise."
        return Section("overfitting", title, text, table=table, folded="all")
    text += (
        "A gap that grows with the passes, and a validation loss that rises again, are overfitting."
    )
    models = list(dict.fromkeys(frame.loc[frame["epochs"] > 1, "model"]))
    figure = _draw(rows, frame, models) if len(models) <= MANY else None
    alt = "Training and validation loss of each model against passes over the corpus"
    return Section("overfitting", title, text, figure, alt, table, "table")


def _draw(rows: Results, frame: pd.DataFrame, models: list[str]) -> bytes:
    with mpl.rc_context(STYLE):
        figure, panels = grid(len(models), 3, 0.55, 2.75)
        for axes, model in zip(panels.flat, models, strict=False):
            colour, marker = look(rows.models, model)
            part = frame[frame["model"] == model]
            for _, line in part.groupby("seed"):
                axes.plot(line["epochs"], line["train"], color=colour, linewidth=1, linestyle=":")
                axes.plot(
                    line["epochs"],
                    line["validation"],
                    color=colour,
                    linewidth=1.6,
                    marker=marker,
                    markersize=4,
                )
            for whole in np.arange(1, part["epochs"].max() + 1e-9):
                axes.axvline(whole, color="#BBBBBB", linewidth=0.6, zorder=1)
            axes.set_title(model, color=colour)
            axes.set_xlim(0, 1.04 * float(part["epochs"].max()))
            axes.xaxis.set_major_locator(MaxNLocator(5))
            axes.set_xlabel("passes over the corpus")
        for axes in panels[:, 0]:
            axes.set_ylabel("loss, nats per target")
        keys = [
            Line2D(
                [],
                [],
                color=GREY,
                marker="o",
                markersize=4,
                linewidth=1.6,
                label="validation, all targets",
            ),
            Line2D(
                [],
                [],
                color=GREY,
                linewidth=1,
                linestyle=":",
                label="training, all targets, one batch",
            ),
        ]
        figure.legend(handles=keys, loc="outside lower left", ncols=2)
        return png(figure)
