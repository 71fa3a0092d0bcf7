"""Quality against diversity of generations: a point for each model and temperature."""

from collections.abc import Sequence

import pandas as pd

from lmcompare.report import plots
from lmcompare.report.analysis import TaskAnalysis
from lmcompare.report.formatting import control_title
from lmcompare.report.markdown import slug
from lmcompare.report.results import CONTROL, PRETRAINED, Results
from lmcompare.report.sections.ablations import TEMPERATURE, TaskVariants, variants
from lmcompare.report.sections.base import Figure, Section
from lmcompare.report.tables import Column, Table, model_or_control

DIVERSITY, QUALITY = "distinct_2", "judge_bits_per_byte"


def sections(results: Results, analyses: Sequence[TaskAnalysis]) -> list[Section]:
    """Return a section for each group of tasks that differ in temperature alone.

    Any other task that generates has one of its own, with a point a model.
    """
    groups = variants(results, analyses, TEMPERATURE)
    grouped = {analysis.task.name for group in groups for analysis in group.analyses}
    for analysis in analyses:
        if analysis.task.name not in grouped:
            temperature = results.settings["tasks"][analysis.task.name].get(TEMPERATURE, "")
            groups.append(TaskVariants(TEMPERATURE, [temperature], [analysis]))
    return [section for group in groups if (section := _section(results, group))]


def points(results: Results, group: TaskVariants) -> pd.DataFrame:
    """Return a row for each seed: task, temperature, model, condition, seed and both metrics."""
    columns = ["task", "temperature", "model", "condition", "seed", DIVERSITY, QUALITY]
    parts = []
    for temperature, analysis in zip(group.values, group.analyses, strict=True):
        records = results.of_task(analysis.task.name)
        frame = records[records["split"] == "test"]
        frame = frame[frame["item"] == ""]
        frame = frame[frame["metric"].isin([DIVERSITY, QUALITY]) & (frame["part"] == "")]
        wide = frame.pivot_table(
            index=["model", "condition", "seed"], columns="metric", values="value", sort=False
        )
        if {DIVERSITY, QUALITY} <= set(wide.columns):
            wide = wide.dropna().reset_index()
            parts.append(wide.assign(task=analysis.task.name, temperature=temperature))
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _section(results: Results, group: TaskVariants) -> Section | None:
    frame = points(results, group)
    frame = frame[frame["condition"].isin([PRETRAINED, CONTROL])]
    if not (frame["condition"] == PRETRAINED).any():
        return None
    means = frame.groupby(["task", "temperature", "model", "condition"], sort=False)[
        [DIVERSITY, QUALITY]
    ].mean()
    # As in the table of generations: a ratio of sums over seeds and items.
    pooled = {
        (analysis.task.name, score.model): score.estimate.value
        for analysis in group.analyses
        for score in analysis.judge_scores.values()
    }
    means[QUALITY] = [pooled.get((key[0], key[2]), mean) for key, mean in means[QUALITY].items()]

    several = len(group.analyses) > 1
    file_name = f"diversity-{slug(group.tasks[0])}"
    models = [model for model in results.models if (frame["model"] == model).any()]
    drawn = len(models) <= plots.MAX_MODELS
    means = means.reset_index()
    facts = {
        "tasks": group.tasks,
        "figure": Figure(file_name, _draw(results, frame, means, models)) if drawn else None,
        "table": _table(results, frame, means, several, file_name),
    }
    return Section("diversity", facts, "" if several else group.tasks[0])


def _table(
    results: Results, frame: pd.DataFrame, means: pd.DataFrame, several: bool, file_name: str
) -> Table:
    order = {model: place for place, model in enumerate(results.models)}
    pooled = means.rename(columns={QUALITY: "judge_of_all_seeds"}).drop(columns=DIVERSITY)
    numbers = frame.merge(pooled, on=["task", "temperature", "model", "condition"], how="left")
    rows = sorted(
        means.to_dict("records"),
        key=lambda row: (order.get(row["model"], len(order)), row["model"]),
    )
    lines = [
        {
            "model": model_or_control(row["model"], row["condition"]),
            **({"temperature": f"{row['temperature']:g}"} if several else {}),
            "distinct-2": row[DIVERSITY],
            "judge, bits per byte": row[QUALITY],
        }
        for row in rows
    ]
    formats = {"judge, bits per byte": Column(decimals=2)}
    return Table(file_name, pd.DataFrame(lines), formats, numbers)


def _draw(results: Results, frame: pd.DataFrame, means: pd.DataFrame, models: list[str]) -> bytes:
    looks = plots.looks(results.models)
    several = frame["task"].nunique() > 1
    with plots.page(height=3.8) as page:
        (axes,) = page.panels
        for model in models:
            look = looks[model]
            seeds = frame[(frame["model"] == model) & (frame["condition"] == PRETRAINED)]
            plots.seed_points(axes, look, seeds[DIVERSITY], seeds[QUALITY])
            own = means[(means["model"] == model) & (means["condition"] == PRETRAINED)]
            own = own.sort_values("temperature")
            dashes = {"linestyle": look.dashes, "linewidth": 1.6} if several else {}
            plots.points(axes, look, own[DIVERSITY], own[QUALITY], model, **dashes)
            for row in own.to_dict("records") if several else ():
                axes.annotate(
                    f"{row['temperature']:g}",
                    (row[DIVERSITY], row[QUALITY]),
                    xytext=(6, 4),
                    textcoords="offset points",
                    color=look.color,
                    fontsize=8,
                )
        for model, part in frame[frame["condition"] == CONTROL].groupby("model"):
            at = part[[DIVERSITY, QUALITY]].mean()
            star = plots.Look(marker="*")
            plots.points(
                axes, star, [at[DIVERSITY]], [at[QUALITY]], control_title(str(model)), markersize=13
            )
        axes.margins(0.1)
        axes.set(xlabel="distinct-2 (share of distinct bigrams)", ylabel="judge, bits per byte")
        return page.png(plots.seed_key())
