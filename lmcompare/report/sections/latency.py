"""Latency against length: how long one generation of n tokens takes, alone on the machine."""

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator

from lmcompare.report.analysis import TaskAnalysis
from lmcompare.report.formatting import NONE, plain
from lmcompare.report.markdown import Table, code, escape, slug
from lmcompare.report.results import PRETRAINED, Results
from lmcompare.report.sections._former_section import Section
from lmcompare.report.sections.learning_curves import MANY
from lmcompare.report.sections.task_figure import DASHES, STYLE, legend_columns, look, png

QUANTILES = ("latency_p50", "latency_p95")


def lengths(rows: Results, task: str) -> pd.DataFrame:
    """Return seconds a generation: model, seed, metric, tokens, value."""
    parts = [rows.parts(task, metric, "tokens").assign(metric=metric) for metric in QUANTILES]
    frame = pd.concat([part[part["condition"] == PRETRAINED] for part in parts], ignore_index=True)
    frame = frame.assign(tokens=pd.to_numeric(frame["part"], errors="coerce")).dropna(
        subset="tokens"
    )
    return frame.sort_values(["tokens", "seed"])[["model", "seed", "metric", "tokens", "value"]]


def block(rows: Results, found: TaskAnalysis) -> Section | None:
    """Median and 95th percentile of a task by model and length; None without such rows."""
    frame = lengths(rows, found.task.name)
    if frame.empty:
        return None
    name = f"latency-{slug(found.task.name)}"
    text = "Milliseconds for one generation alone, median / 95th percentile (mean over seeds). It depends on the "
    text += "machine and on what else it was doing."
    models = [model for model in rows.models if (frame["model"] == model).any()]
    figure = (
        _draw(rows, frame, models)
        if len(models) <= MANY and frame["tokens"].nunique() > 1
        else None
    )
    alt = f"Seconds a generation of {escape(found.task.name)} against its length in tokens, for each model"
    title = f"Latency against length, {escape(found.task.name)}"
    return Section(name, title, text, figure, alt, _table(frame, models, name))


def _table(frame: pd.DataFrame, models: list[str], name: str) -> Table:
    every = sorted(frame["tokens"].unique())
    means = frame.groupby(["model", "tokens", "metric"])["value"].mean()

    def cell(model: str, tokens: float) -> str:
        said = [means.get((model, tokens, metric), float("nan")) for metric in QUANTILES]
        return (
            " / ".join(plain(1000 * seconds, 1) for seconds in said)
            if pd.notna(said).any()
            else NONE
        )

    lines = [[code(model), *(cell(model, tokens) for tokens in every)] for model in models]
    return Table(name, ["model", *(f"{tokens:g} tokens, ms" for tokens in every)], lines, frame)


def _draw(rows: Results, frame: pd.DataFrame, models: list[str]) -> bytes:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 3.6), layout="constrained")
        axes = figure.subplots()
        for model in models:
            colour, marker = look(rows.models, model)
            part = frame[frame["model"] == model]
            middle, high = (
                part[part["metric"] == metric].groupby("tokens")["value"].mean()
                for metric in QUANTILES
            )
            both = middle.index.intersection(high.index)
            axes.fill_between(both, middle[both], high[both], color=colour, alpha=0.15, linewidth=0)
            axes.plot(
                middle.index, middle, color=colour, marker=marker, markersize=6, linewidth=2, label=model,
                linestyle=DASHES[rows.models.index(model) % len(DASHES)],
            )  # fmt: skip
            seeds = part[part["metric"] == QUANTILES[0]]
            axes.plot(seeds["tokens"], seeds["value"], color=colour, marker="o", markersize=3.2, linestyle="",
                      alpha=0.6, markeredgewidth=0)  # fmt: skip
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(
            sorted(frame["tokens"].unique()), [f"{n:g}" for n in sorted(frame["tokens"].unique())]
        )
        axes.minorticks_off()
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(EngFormatter(unit="s", sep=" "))
        axes.set_xlabel("tokens generated")
        axes.set_ylabel("one generation alone")
        axes.set_title("median; shaded: to the 95th percentile", loc="left")
        handles, _ = axes.get_legend_handles_labels()
        figure.legend(
            handles=handles, handlelength=3, loc="outside lower left", ncols=legend_columns(handles)
        )
        return png(figure)
