"""The figures of pretraining: losses against tokens and FLOPs, and against the learning rate."""

import json
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator

from lmcompare import statistics
from lmcompare.core.settings import GATE
from lmcompare.report.formatting import plain
from lmcompare.report.markdown import Table, code
from lmcompare.report.results import Results
from lmcompare.report.sections.scaling_laws import points as scaled
from lmcompare.report.sections.task_figure import DASHES, GREY, STYLE, grid, look, png

MANY = 9
"""More models than this have no panel and no colour of their own: they are drawn in the colour of their objective."""


def points(rows: Results) -> pd.DataFrame:
    """Return every point of every learning curve: model, seed, split, tokens, flops, loss, text_loss, unigram, ...

    ``loss`` is over all targets; ``text_loss`` leaves out those that are not text (sentinels), which the unigram model
    cannot be asked for; ``minus_unigram`` is the distance of the latter from the unigram loss on the same targets.
    """
    found = []
    for model in rows.models:
        for run in rows.pretraining(model):
            convergence = run.notes.convergence
            unigram = convergence.unigram_loss if convergence else np.nan
            for point in run.curve:
                seen = {"text_loss": point["loss"], "unigram": unigram, **point}
                seen["minus_unigram"] = seen["text_loss"] - seen["unigram"]
                found.append({"model": model, "seed": run.seed, **seen})
    return pd.DataFrame(found)


def learning(rows: Results) -> bytes | None:
    """Draw the losses of each model in a panel of its own, since they are not comparable.

    None without curves, or for more than ``MANY`` models.
    """
    frame = points(rows)
    models = [model for model in rows.models if not frame.empty and (frame["model"] == model).any()]
    if not 0 < len(models) <= MANY:
        return None
    with mpl.rc_context(STYLE):
        figure, panels = grid(len(models), 3, 0.55, 2.75)
        for axes, model in zip(panels.flat, models, strict=False):
            _losses(axes, frame[frame["model"] == model], rows.models, model)
        for axes in panels[:, 0]:
            axes.set_ylabel("loss, nats per target")
        keys = [
            Line2D(
                [],
                [],
                color=GREY,
                marker="o",
                markersize=4,
                linewidth=1.8,
                label="validation, text targets",
            ),
            Line2D([], [], color=GREY, linewidth=1, alpha=0.45, label="training, all targets"),
            Line2D(
                [],
                [],
                color=GREY,
                linewidth=1.2,
                linestyle="--",
                label="unigram model, text targets",
            ),
            Line2D(
                [], [], color=GREY, linewidth=1.2, linestyle=":", label=f"gate: {GATE} nats below"
            ),
        ]
        figure.legend(
            handles=keys, loc="outside lower left", ncols=4, handletextpad=0.5, columnspacing=1.5
        )
        return png(figure)


def _losses(axes: Axes, frame: pd.DataFrame, models: Sequence[str], model: str) -> None:
    colour, marker = look(models, model)
    for _, part in frame.groupby("seed"):
        train = part[part["split"] == "train"].sort_values("tokens")
        axes.plot(train["tokens"], train["loss"], color=colour, linewidth=0.9, alpha=0.4)
        validation = part[part["split"] == "validation"].sort_values("tokens")
        axes.plot(
            validation["tokens"],
            validation["text_loss"],
            color=colour,
            marker=marker,
            markersize=4,
            linewidth=1.6,
        )
    unigram = float(frame["unigram"].mean())
    if np.isfinite(unigram):
        axes.axhline(unigram, color=GREY, linestyle="--", linewidth=1.2)
        axes.axhline(unigram - GATE, color=GREY, linestyle=":", linewidth=1.2)
    seen = frame[frame["split"] == "validation"]
    if len(seen):
        distance = seen["text_loss"] - (
            unigram if np.isfinite(unigram) else seen["text_loss"].max()
        )
        low, high = _window(distance)
        at = seen["text_loss"].iloc[0] - distance.iloc[0]
        # The training loss counts sentinels, which are cheap: it may lie far below.
        lowest = frame.loc[frame["split"] == "train", "loss"].min() - at
        low = min(low, lowest - 0.05 * (high - lowest)) if np.isfinite(lowest) else low
        axes.set_ylim(at + low, at + high)
    axes.set_title(model, color=colour)
    axes.set_xlim(0, 1.06 * float(frame["tokens"].max()))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
    axes.set_xlabel("corpus tokens read")


def _window(distance: pd.Series) -> tuple[float, float]:
    """Return the lowest and highest distance from the unigram loss to show.

    All from the lower half of the points down, the unigram loss and the gate; of the first steps, which are at the loss
    of a uniform guess and would flatten all that comes after, only what there is room for.
    """
    low = min(float(distance.min()), -GATE)
    high = max(-0.4 * low, float(distance.median()), 0.0)
    if float(distance.max()) < high + 0.25 * (high - low):
        high = max(high, float(distance.max()))
    room = 0.08 * (high - low)
    return low - room, high + room


def below_unigram(rows: Results) -> bytes | None:
    """Draw validation loss minus unigram loss against tokens, FLOPs and targets, all models; None without curves."""
    frame = points(rows)
    if frame.empty or not frame["minus_unigram"].notna().any():
        return None
    frame = frame[frame["split"] == "validation"]
    with mpl.rc_context(STYLE):
        many = len(rows.models) > MANY
        objective = {model: _objective(rows, model) for model in rows.fresh}
        groups = list(dict.fromkeys(objective.values())) if many else rows.models
        columns = max(1, 110 // (max(len(group) for group in groups) + 10))
        below = -(-(len(groups) + 2) // columns)  # lines of the legend
        figure = Figure(figsize=(9.6, 3.5 + 0.22 * max(0, below - 2)), layout="constrained")
        axis = {
            "tokens": "corpus tokens read",
            "flops": "training FLOPs",
            "targets": "targets (tokens that bear loss)",
        }
        axis = {
            x: title for x, title in axis.items() if x in frame.columns and frame[x].notna().any()
        }
        panels = figure.subplots(1, len(axis), sharey=True, squeeze=False)[0]
        for axes, (x, title) in zip(panels, axis.items(), strict=True):
            for model in rows.fresh:
                colour, marker = look(groups, objective[model] if many else model)
                part = frame[frame["model"] == model]
                for _, line in part.groupby("seed"):
                    line = line.sort_values(x)
                    axes.plot(line[x], line["minus_unigram"], color=colour, linewidth=1, alpha=0.6)
                if not many:
                    mean = part.groupby("step")[[x, "minus_unigram"]].mean().sort_values(x)
                    axes.plot(
                        mean[x], mean["minus_unigram"], color=colour, marker=marker, markersize=5, linewidth=2,
                        linestyle=DASHES[rows.models.index(model) % len(DASHES)],
                    )  # fmt: skip
            axes.axhline(0, color="#000000", linewidth=1)
            axes.axhline(-GATE, color=GREY, linestyle=":", linewidth=1.4)
            axes.set_xlabel(title)
            axes.set_xlim(0, 1.05 * float(frame[x].max()))
            axes.xaxis.set_major_locator(MaxNLocator(5))
            axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
        panels[0].set_ylim(*_window(frame["minus_unigram"].dropna()))
        panels[0].set_ylabel("validation loss − unigram loss,\nnats per target")
        keys = [_key(groups, group, line=many) for group in groups if group not in rows.checkpoints]
        keys.append(
            Line2D(
                [], [], color=GREY, linewidth=1.4, linestyle=":", label=f"gate: {GATE} nats below"
            )
        )
        keys.append(
            Line2D(
                [],
                [],
                color=GREY,
                linewidth=1,
                alpha=0.5,
                label="one model" if many else "one seed",
            )
        )
        figure.legend(
            handles=keys, handlelength=3, loc="outside lower left", ncols=columns, columnspacing=1.8
        )
        return png(figure)


def _key(groups: Sequence[str], group: str, *, line: bool = False) -> Line2D:
    """Return the entry of a legend for a model, or (``line``) for all models of an objective."""
    colour, marker = look(groups, group)
    dashes: Any = "-" if line else DASHES[list(groups).index(group) % len(DASHES)]
    shape = "" if line else marker
    return Line2D(
        [], [], color=colour, marker=shape, markersize=5, linewidth=2, linestyle=dashes, label=group
    )


def _objective(rows: Results, model: str) -> str:
    """Return the YAML word of a model's objective."""
    return str(rows.settings["models"][model]["objective"]["kind"])


def trials(rows: Results) -> pd.DataFrame:
    """Return one row for each model that has finished: objective, the settings that vary within it, rate, margin.

    ``series`` is the same for models that differ in their learning rate alone; ``margin`` is how far the validation loss
    lies below unigram, nats per text target, the mean over seeds. Models that a claim sets against others were not tried
    to find the best of them, nor were those that were matched or are of several sizes: they are left out.
    """
    claims = (rows.settings.get("hypotheses") or {}).values()
    named = {said.get(key) for said in claims for key in ("model", "reference")}
    named |= set((rows.settings.get("match") or {}).get("solved") or ())
    named |= set(scaled(rows)["model"])
    found = []
    for model in (model for model in rows.models if model not in named):
        runs = [run for run in rows.pretraining(model) if run.notes.convergence]
        rate = runs[0].config.get("training", {}).get("learning_rate") if runs else None
        if rate is None:
            continue
        said = {
            f"network {key}" if section == "network" else key: value
            for section in ("objective", "network", "training")
            for key, value in (runs[0].config.get(section) or {}).items()
            if key not in ("learning_rate", "kind")
        }
        margin = float(
            np.mean([run.notes.convergence.margin for run in runs if run.notes.convergence])
        )
        found.append(
            {
                "model": model,
                "objective": _objective(rows, model),
                "said": said,
                "rate": rate,
                "margin": margin,
            }
        )
    frame = pd.DataFrame(found, columns=["model", "objective", "said", "rate", "margin"])
    frame["series"] = ""
    for _, part in frame.groupby("objective"):
        every = part["said"].tolist()
        vary = [key for key in every[0] if len({json.dumps(said.get(key)) for said in every}) > 1]
        frame.loc[part.index, "series"] = [
            ", ".join(f"{key.replace('_', ' ')} {said.get(key):g}" if isinstance(said.get(key), int | float)
                      else f"{key.replace('_', ' ')} {said.get(key)}" for key in vary) for said in every
        ]  # fmt: skip
    return frame.drop(columns="said")


def best(rows: Results) -> str:
    """Return which model of each objective has the largest margin, in words; '' where no objective has several models."""
    frame = trials(rows)
    counts = frame["objective"].value_counts()
    if frame.empty or counts.max() < 2:
        return ""
    words = []
    for objective, part in frame.groupby("objective", sort=False):
        top = part.loc[part["margin"].idxmax()]
        words.append(
            f"{objective} {code(str(top['model']))} ({plain(top['margin'], 3)}, of {len(part)} trials)"
        )
    return f"Furthest below unigram, within each objective: {'; '.join(words)}."


def expected(rows: Results) -> Table | None:
    """The margin to expect of the best of n trials, for each objective; None where no objective has several models.

    A search that is longer for one objective than for another flatters it; this says by how much (Dodge et al. 2019).
    """
    frame = trials(rows)
    sizes = frame["objective"].value_counts()
    if frame.empty or sizes.max() < 2:
        return None
    counts = [n for n in (1, 2, 4, 8, 16, 32, 64) if n <= sizes.max()]
    numbers = [
        {
            "objective": objective,
            "trials": n,
            "expected_margin": statistics.expected_maximum(part["margin"], n),
        }
        for objective, part in frame.groupby("objective", sort=False)
        for n in counts
        if n <= len(part)
    ]
    values = pd.DataFrame(numbers).pivot(
        index="objective", columns="trials", values="expected_margin"
    )
    rendered = [
        [
            code(str(objective)),
            str(sizes[objective]),
            *(plain(value, 3) for value in values.loc[objective]),
        ]
        for objective in dict.fromkeys(frame["objective"])
    ]
    headings = ["objective", "trials made", *(f"best of {n}" for n in counts)]
    return Table("trials", headings, rendered, pd.DataFrame(numbers))


def sensitivity(rows: Results) -> bytes | None:
    """Draw the margin below unigram against the learning rate, a panel for each objective.

    None where no two models differ in their learning rate alone.
    """
    frame = trials(rows)
    frame = frame[frame.groupby(["objective", "series"])["rate"].transform("nunique") > 1]
    if frame.empty:
        return None
    objectives = list(dict.fromkeys(frame["objective"]))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 3.4), layout="constrained")
        panels = figure.subplots(1, len(objectives), squeeze=False)[0]
        for axes, objective in zip(panels, objectives, strict=True):
            part = frame[frame["objective"] == objective]
            series = list(dict.fromkeys(part["series"]))
            for name in series:
                line = part[part["series"] == name].sort_values("rate")
                colour, marker = look(series, name)
                axes.plot(
                    line["rate"], line["margin"], color=colour, marker=marker, linewidth=1.8,
                    linestyle=DASHES[series.index(name) % len(DASHES)], label=name,
                )  # fmt: skip
            axes.axhline(GATE, color=GREY, linestyle=":", linewidth=1.4)
            axes.set_xscale("log")
            rates = sorted(part["rate"].unique())
            axes.set_xticks(rates, [f"{1000 * rate:g}" for rate in rates])
            axes.minorticks_off()
            axes.set_ylim(
                min(0.0, 1.1 * float(part["margin"].min())),
                1.45 * max(GATE, float(part["margin"].max())),
            )
            axes.set_title(objective)
            axes.set_xlabel("peak learning rate, thousandths")
            if any(series):
                axes.legend(loc="upper center")
        panels[0].set_ylabel("nats below unigram")
        figure.legend(
            handles=[
                Line2D(
                    [],
                    [],
                    color=GREY,
                    linestyle=":",
                    linewidth=1.4,
                    label=f"gate: {GATE} nats below",
                )
            ],
            loc="outside lower left",
        )
        return png(figure)
