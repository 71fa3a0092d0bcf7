"""Quality against diversity of what was generated: one point for each model and decoding setting."""

from collections.abc import Sequence

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lmcompare.report.analysis import TaskAnalysis
from lmcompare.report.formatting import control_title, plain
from lmcompare.report.markdown import Table, escape, slug
from lmcompare.report.results import CONTROL, PRETRAINED, Results
from lmcompare.report.sections._former_section import Section
from lmcompare.report.sections.ablations import TEMPERATURE, TaskVariants, variants
from lmcompare.report.sections.learning_curves import MANY
from lmcompare.report.sections.task_figure import DASHES, GREY, STYLE, legend_columns, look, png
from lmcompare.report.sections.task_tables import who

DIVERSITY, QUALITY = "distinct_2", "judge_bits_per_byte"


def blocks(rows: Results, findings: Sequence[TaskAnalysis]) -> list[Section]:
    """Return a block for each group of tasks that differ in temperature alone, and for each other one that generates.

    A task by itself gives one point a model, which is folded away.
    """
    groups = variants(rows, findings, TEMPERATURE)
    grouped = {found.task.name for group in groups for found in group.findings}
    alone = [
        TaskVariants(
            TEMPERATURE, [rows.settings["tasks"][found.task.name].get(TEMPERATURE, "")], [found]
        )
        for found in findings
        if found.task.name not in grouped
    ]
    return [made for group in [*groups, *alone] if (made := _block(rows, group))]


def points(rows: Results, group: TaskVariants) -> pd.DataFrame:
    """Return one row for each seed: task, temperature, model, condition, seed, distinct_2, judge_bits_per_byte."""
    parts = []
    for value, found in zip(group.values, group.findings, strict=True):
        frame = rows.records[
            (rows.records["task"] == found.task.name) & (rows.records["item"] == "")
        ]
        frame = frame[frame["metric"].isin([DIVERSITY, QUALITY]) & (frame["split"] == "test")]
        wide = frame.pivot_table(
            index=["model", "condition", "seed"], columns="metric", values="value", sort=False
        )
        if {DIVERSITY, QUALITY} <= set(wide.columns):
            wide = wide.dropna().reset_index()
            parts.append(wide.assign(task=found.task.name, temperature=value))
    columns = ["task", "temperature", "model", "condition", "seed", DIVERSITY, QUALITY]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _block(rows: Results, group: TaskVariants) -> Section | None:
    frame = points(rows, group)
    frame = frame[frame["condition"].isin([PRETRAINED, CONTROL])]
    if not (frame["condition"] == PRETRAINED).any():
        return None
    name = f"diversity-{slug(group.findings[0].task.name)}"
    several = len(group.findings) > 1
    models = [model for model in rows.models if (frame["model"] == model).any()]
    order = {model: place for place, model in enumerate(rows.models)}
    means = frame.groupby(["task", "temperature", "model", "condition"], sort=False)[
        [DIVERSITY, QUALITY]
    ].mean()
    # As in the table of generations: a ratio of sums over seeds and items.
    pooled = {
        (found.task.name, one.model): one.estimate.value
        for found in group.findings
        for one in found.judge_scores.values()
    }
    means[QUALITY] = [pooled.get((key[0], key[2]), mean) for key, mean in means[QUALITY].items()]
    lines = [
        [who(model, condition), *([f"{temperature:g}"] if several else []), plain(pair[DIVERSITY], 3),
         plain(pair[QUALITY], 2)]
        for (_, temperature, model, condition), pair in sorted(
            means.iterrows(), key=lambda item: (order.get(item[0][2], len(order)), item[0][2]))
    ]  # fmt: skip
    headings = [
        "model",
        *(["temperature"] if several else []),
        "distinct-2",
        "judge, bits per byte",
    ]
    whole = means[QUALITY].rename("judge_of_all_seeds")
    numbers = frame.join(whole, on=["task", "temperature", "model", "condition"])
    table = Table(name, headings, lines, numbers)
    text = f"Of {group.tasks}, mean over seeds. A text that repeats itself is cheap for the judge and stands at the "
    text += "lower left; what is as various as the real text and as cheap is better, and nothing else ranks the two axes."
    alt = f"Bits per byte by the judge against distinct-2 of {escape(group.tasks.replace('`', ''))}"
    figure = _draw(rows, frame, means.reset_index(), models) if len(models) <= MANY else None
    return Section(
        name, "Quality against diversity", text, figure, alt, table, "table" if several else "all"
    )


def _draw(rows: Results, frame: pd.DataFrame, means: pd.DataFrame, models: list[str]) -> bytes:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 3.8), layout="constrained")
        axes = figure.subplots()
        several = frame["task"].nunique() > 1
        for model in models:
            colour, marker = look(rows.models, model)
            part = frame[(frame["model"] == model) & (frame["condition"] == PRETRAINED)]
            axes.plot(part[DIVERSITY], part[QUALITY], color=colour, marker="o", markersize=3.2, linestyle="",
                      alpha=0.7, markeredgewidth=0)  # fmt: skip
            mean = (
                means[(means["model"] == model) & (means["condition"] == PRETRAINED)]
                .set_index("temperature")
                .sort_index()
            )
            axes.plot(
                mean[DIVERSITY], mean[QUALITY], color=colour, marker=marker, markersize=8, linewidth=1.6, label=model,
                linestyle=DASHES[rows.models.index(model) % len(DASHES)] if several else "",
            )  # fmt: skip
            for temperature, pair in mean.iterrows() if several else ():
                axes.annotate(f"{temperature:g}", (pair[DIVERSITY], pair[QUALITY]), xytext=(6, 4), color=colour,
                              textcoords="offset points", fontsize=8)  # fmt: skip
        for model, part in frame[frame["condition"] == CONTROL].groupby("model"):
            at = part[[DIVERSITY, QUALITY]].mean()
            axes.plot([at[DIVERSITY]], [at[QUALITY]], color=GREY, marker="*", markersize=13, linestyle="",
                      label=control_title(str(model)))  # fmt: skip
        axes.margins(0.1)
        axes.set_xlabel("distinct-2 (share of word pairs that are new)")
        axes.set_ylabel("judge, bits per byte")
        handles, _ = axes.get_legend_handles_labels()
        handles.append(
            Line2D([], [], color=GREY, marker="o", markersize=3.2, linestyle="", label="one seed")
        )
        figure.legend(
            handles=handles,
            loc="outside lower left",
            ncols=legend_columns(handles),
            columnspacing=1.5,
        )
        return png(figure)
