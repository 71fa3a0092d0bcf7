"""Loss by position: what a longer context is worth to each model."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.ticker import MaxNLocator

from lmcompare.report import plots
from lmcompare.report.analysis import TaskAnalysis
from lmcompare.report.formatting import NONE, control_title
from lmcompare.report.markdown import slug
from lmcompare.report.outcomes import PROPER
from lmcompare.report.results import CONTROL, PRETRAINED, SCRATCH, Results
from lmcompare.report.sections.base import Figure, Section
from lmcompare.report.tables import Column, Table, model_or_control

METRIC = "bits_per_token"


def sections(results: Results, analyses: Sequence[TaskAnalysis]) -> list[Section]:
    """Return the curves of each task whose likelihoods are probabilities, and their numbers."""
    tasks = [analysis.task.name for analysis in analyses]
    return [section for task in tasks if (section := _section(results, task))]


def spans(results: Results, task: str) -> pd.DataFrame:
    """Return bits per token by position.

    Columns: model, condition, seed, part, first, last (from 1), value, exactness.
    """
    frame = results.parts(task, METRIC, "position")
    ends = frame["part"].str.extract(r"^(\d+)-(\d+)$").astype(float)
    frame = frame.assign(first=ends[0], last=ends[1]).dropna(subset="first")
    return frame.sort_values(["first", "seed"])


def _section(results: Results, task: str) -> Section | None:
    measured = spans(results, task)
    measured = measured[measured["condition"] != SCRATCH]
    frame = measured[measured["exactness"].isin(PROPER)]
    if frame.empty:
        return None
    file_name = f"positions-{slug(task)}"
    shown = set(frame["model"])
    drawn = len(shown) <= plots.MAX_MODELS
    facts = {
        "chain": (frame["exactness"] == "chain").any(),
        "improper": sorted({*results.models} & {*measured["model"]} - shown),
        "figure": Figure(file_name, _draw(results, frame)) if drawn else None,
        "table": _table(frame, file_name),
    }
    return Section("loss_by_position", facts, task)


def _table(frame: pd.DataFrame, file_name: str) -> Table:
    means = frame.pivot_table(
        index=["model", "condition", "exactness"], columns="part", values="value", sort=False
    )
    rows = [
        {
            "model": model_or_control(model, condition),
            "likelihood": exactness or NONE,
            **{f"tokens {part}": values[part] for part in dict.fromkeys(frame["part"])},
        }
        for (model, condition, exactness), values in means.iterrows()
    ]
    lines = pd.DataFrame(rows)
    numbers = frame[["model", "condition", "seed", "exactness", "part", "value"]]
    return Table(file_name, lines, {key: Column(decimals=2) for key in lines.columns[2:]}, numbers)


def _draw(results: Results, frame: pd.DataFrame) -> bytes:
    looks = plots.looks(results.models)
    frame = frame.assign(middle=(frame["first"] + frame["last"]) / 2)
    with plots.page() as page:
        (axes,) = page.panels
        for model in results.models:
            part = frame[(frame["model"] == model) & (frame["condition"] == PRETRAINED)]
            if part.empty:
                continue
            for _, seed in part.groupby("seed"):
                plots.seed_line(axes, looks[model], seed["middle"], seed["value"])
            mean = part.groupby("middle")["value"].mean()
            chain = " (chain)" if (part["exactness"] == "chain").any() else ""
            plots.line(axes, looks[model], mean.index, mean, f"{model}{chain}")
        controls = frame[frame["condition"] == CONTROL].groupby("model")
        for place, (model, part) in enumerate(controls):
            plots.control_line(
                axes, place, part["middle"], part["value"], control_title(str(model))
            )
        axes.set(
            xlabel="position in the text that follows the prompt, tokens", ylabel="bits per token"
        )
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        return page.png()
