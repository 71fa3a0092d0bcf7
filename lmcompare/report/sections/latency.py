"""Latency against length: seconds for one generation of n tokens, nothing else running."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.ticker import EngFormatter, LogLocator

from lmcompare.report import plots
from lmcompare.report.analysis import TaskAnalysis
from lmcompare.report.formatting import NONE, plain
from lmcompare.report.markdown import slug
from lmcompare.report.results import PRETRAINED, Results
from lmcompare.report.sections.base import Figure, Section
from lmcompare.report.tables import Table, name

QUANTILES = ("latency_p50", "latency_p95")


def sections(results: Results, analyses: Sequence[TaskAnalysis]) -> list[Section]:
    """Return median and 95th percentile by model and length, of each task that measured them."""
    measured = [(task.name, lengths(results, task.name)) for task in results.tasks]
    return [_section(results, task, frame) for task, frame in measured if len(frame)]


def lengths(results: Results, task: str) -> pd.DataFrame:
    """Return seconds per generation: model, seed, metric, tokens, value."""
    parts = [results.parts(task, metric, "tokens").assign(metric=metric) for metric in QUANTILES]
    frame = pd.concat(parts, ignore_index=True)
    frame = frame[frame["condition"] == PRETRAINED]
    frame = frame.assign(tokens=pd.to_numeric(frame["part"], errors="coerce"))
    frame = frame.dropna(subset="tokens").sort_values(["tokens", "seed"])
    return frame[["model", "seed", "metric", "tokens", "value"]]


def _section(results: Results, task: str, frame: pd.DataFrame) -> Section:
    file_name = f"latency-{slug(task)}"
    models = [model for model in results.models if (frame["model"] == model).any()]
    drawn = len(models) <= plots.MAX_MODELS and frame["tokens"].nunique() > 1
    figure = Figure(file_name, _draw(results, frame, models)) if drawn else None
    return Section(
        "latency", {"task": task, "table": _table(frame, models, file_name), "figure": figure}
    )


def _table(frame: pd.DataFrame, models: list[str], file_name: str) -> Table:
    means = frame.groupby(["model", "tokens", "metric"])["value"].mean()

    def cell(model: str, tokens: float) -> str:
        seconds = [means.get((model, tokens, metric), float("nan")) for metric in QUANTILES]
        return " / ".join(plain(1000 * s, 1) for s in seconds) if pd.notna(seconds).any() else NONE

    columns: dict[str, list[object]] = {"model": [name(model) for model in models]}
    for tokens in sorted(frame["tokens"].unique()):
        columns[f"{tokens:g} tokens, ms"] = [cell(model, tokens) for model in models]
    return Table(file_name, pd.DataFrame(columns), numbers=frame)


def _draw(results: Results, frame: pd.DataFrame, models: list[str]) -> bytes:
    looks = plots.looks(results.models)
    with plots.page() as page:
        (axes,) = page.panels
        for model in models:
            part = frame[frame["model"] == model]
            median, high = (
                part[part["metric"] == metric].groupby("tokens")["value"].mean()
                for metric in QUANTILES
            )
            both = median.index.intersection(high.index)
            color = looks[model].color
            axes.fill_between(both, median[both], high[both], color=color, alpha=0.15, linewidth=0)
            plots.line(axes, looks[model], median.index, median, model)
            seeds = part[part["metric"] == QUANTILES[0]]
            plots.seed_points(axes, looks[model], seeds["tokens"], seeds["value"])
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        lengths = sorted(frame["tokens"].unique())
        plots.ticks(axes, lengths, [f"{tokens:g}" for tokens in lengths])
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(EngFormatter(unit="s", sep=" "))
        axes.set(
            xlabel="tokens generated",
            ylabel="one generation alone",
            title="median; shaded: to the 95th percentile",
        )
        return page.png()
