"""Loss by position: what a longer context is worth to each model."""

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lmcompare.report.analysis import TaskAnalysis
from lmcompare.report.formatting import NONE, control_title, plain
from lmcompare.report.markdown import Table, escape, slug
from lmcompare.report.outcomes import PROPER
from lmcompare.report.results import CONTROL, PRETRAINED, SCRATCH, Results
from lmcompare.report.sections._former_section import Section
from lmcompare.report.sections.learning_curves import MANY
from lmcompare.report.sections.task_figure import DASHES, GREY, STYLE, legend_columns, look, png
from lmcompare.report.sections.task_tables import who

METRIC = "bits_per_token"


def spans(rows: Results, task: str) -> pd.DataFrame:
    """Return bits per token by position: model, condition, seed, part, first, last (from 1), value, exactness."""
    frame = rows.parts(task, METRIC, "position")
    ends = frame["part"].str.extract(r"^(\d+)-(\d+)$").astype(float)
    return (
        frame.assign(first=ends[0], last=ends[1])
        .dropna(subset="first")
        .sort_values(["first", "seed"])
    )


def block(rows: Results, found: TaskAnalysis) -> Section | None:
    """The curves of a task and their numbers; None without such rows, or where none is a probability."""
    frame = spans(rows, found.task.name)
    frame = frame[frame["exactness"].isin(PROPER) & (frame["condition"] != SCRATCH)]
    if frame.empty:
        return None
    name = f"positions-{slug(found.task.name)}"
    left_out = sorted(
        {*rows.models}
        & {*rows.parts(found.task.name, METRIC, "position")["model"]} - {*frame["model"]}
    )
    text = (
        "Bits per token of the text that follows the prompt, by place in it (1: the first token). "
    )
    text += "A curve that falls says that a network uses what it has just read."
    if "chain" in set(frame["exactness"]):
        text += " *Chain*: each token given those before it, the rest masked."
    if left_out:
        text += f" Left out, being no probabilities: {escape(', '.join(left_out))}."
    few = len(set(frame["model"])) <= MANY
    alt = f"Bits per token of {escape(found.task.name)} against position, for each model"
    return Section(
        name,
        "Loss by position",
        text,
        _draw(rows, frame) if few else None,
        alt,
        _table(frame, name),
        "table",
    )


def _table(frame: pd.DataFrame, name: str) -> Table:
    parts = list(dict.fromkeys(frame["part"]))
    means = frame.pivot_table(
        index=["model", "condition", "exactness"], columns="part", values="value", sort=False
    )
    lines = [
        [who(model, condition), exactness or NONE, *(plain(values[part], 2) for part in parts)]
        for (model, condition, exactness), values in means.iterrows()
    ]
    columns = ["model", "condition", "seed", "exactness", "part", "value"]
    return Table(
        name, ["model", "likelihood", *(f"tokens {part}" for part in parts)], lines, frame[columns]
    )


def _draw(rows: Results, frame: pd.DataFrame) -> bytes:
    frame = frame.assign(middle=(frame["first"] + frame["last"]) / 2)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 3.6), layout="constrained")
        axes = figure.subplots()
        order = [model for model in rows.models if (frame["model"] == model).any()]
        for model in order:
            colour, marker = look(rows.models, model)
            part = frame[(frame["model"] == model) & (frame["condition"] == PRETRAINED)]
            chain = " (chain)" if (part["exactness"] == "chain").any() else ""
            for _, line in part.groupby("seed"):
                axes.plot(line["middle"], line["value"], color=colour, linewidth=0.9, alpha=0.5)
            mean = part.groupby("middle")["value"].mean()
            axes.plot(
                mean.index, mean, color=colour, marker=marker, markersize=6, linewidth=2, label=f"{model}{chain}",
                linestyle=DASHES[rows.models.index(model) % len(DASHES)],
            )  # fmt: skip
        for place, (model, part) in enumerate(
            frame[frame["condition"] == CONTROL].groupby("model")
        ):
            axes.plot(
                part["middle"], part["value"], color=GREY, linewidth=1.4, linestyle=(":", "--")[place % 2],
                label=control_title(str(model)),
            )  # fmt: skip
        axes.set_xlabel("position in the text that follows the prompt, tokens")
        axes.set_ylabel("bits per token")
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        handles, _ = axes.get_legend_handles_labels()
        ncols = legend_columns(handles)
        figure.legend(
            handles=handles,
            handlelength=3,
            loc="outside lower left",
            ncols=ncols,
            columnspacing=1.8,
        )
        return png(figure)
