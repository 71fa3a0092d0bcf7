"""The tables of one task: results, differences, other metrics, generations, parts, trials."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lmcompare.report.analysis import (
    COSTS,
    GENERATION,
    SECONDARY,
    Comparison,
    MeasuredModel,
    TaskAnalysis,
    decimals_of,
    format_interval,
)
from lmcompare.report.formatting import MetricFormat, metric_format, plain, probability
from lmcompare.report.markdown import slug
from lmcompare.report.results import CONTROL, PRETRAINED, SCRATCH, Results
from lmcompare.report.sections import task_figure
from lmcompare.report.sections.base import Figure, Section
from lmcompare.report.tables import Column, Piece, Table, model_or_control, name, strong

EXACTNESS = {"": "", "exact": "exact", "chain": "chain (exact given the length)"}


def sections(results: Results, analyses: Sequence[TaskAnalysis]) -> list[Section]:
    """Return one section a task."""
    return [_section(results, analysis) for analysis in analyses]


def _section(results: Results, analysis: TaskAnalysis) -> Section:
    task, metric = analysis.task.name, analysis.metric
    by_procedure: dict[str, list[str]] = {}
    for model in results.models:
        procedures = [run.notes.procedure for run in results.cells(task, model)]
        if procedure := next(filter(None, procedures), ""):
            by_procedure.setdefault(procedure, []).append(model)
    figure = task_figure.draw(analysis, results.models) if analysis.measured else None
    all_trials = trials(results, task)
    comparisons = analysis.comparisons
    facts = {
        "description": analysis.task.description,
        "procedures": by_procedure,
        "metric": metric.title,
        "figure": Figure(slug(task), figure) if figure else None,
        "results": results_table(analysis) if analysis.measured else None,
        "exactness": sorted({one.exactness for one in analysis.measured.values()}),
        "differences": difference_table(analysis, comparisons, "differences"),
        "smallest_effect": analysis.task.smallest_effect * metric.scale,
        "unit": metric.points,
        "comparisons": comparisons,
        "scale": metric.scale,
        "decimals": decimals_of(metric, [one.difference for one in comparisons]),
        "effect": analysis.smallest_effect,
        "gains": difference_table(analysis, analysis.gains, "gains"),
        "gain_differences": difference_table(
            analysis, analysis.gain_comparisons, "gain-differences"
        ),
        "controls": difference_table(analysis, analysis.control_comparisons, "controls"),
        "secondary": secondary(analysis),
        "generation": generation(analysis),
        "parts": parts(analysis),
        "part_kinds": list(dict.fromkeys(part.split("/")[0] for part in analysis.parts)),
        "trials": all_trials,
        "trials_count": len(all_trials.frame) if all_trials else 0,
        "probes": all_trials is not None and "pooling" in all_trials.frame,
    }
    return Section("task_details", facts, task=task)


def results_table(analysis: TaskAnalysis) -> Table:
    """Return the primary metric of every model and control, by seed, and its two errors.

    Likelihoods that are not probabilities (bounds, pseudo-likelihoods) have their own columns.
    """
    metric, everyone = analysis.metric, list(analysis.measured.values())
    decimals = analysis.decimals
    seeds = max((one.seeds for one in everyone), key=len, default=())
    own_columns = sorted({one.exactness for one in everyone if not one.comparable})
    lines, numbers = [], []
    for one in everyone:
        estimate, control = one.estimate, one.condition == CONTROL
        uncontrolled = one.model in analysis.checkpoints and not control
        value = format_interval(metric, estimate, decimals)
        line = {
            "model": [
                model_or_control(one.model, one.condition),
                " (not controlled)" if uncontrolled else "",
            ],
            "condition": one.condition,
            "likelihood": EXACTNESS.get(one.exactness, one.exactness),
            "value": value if one.comparable else None,
            **{
                kind: ("≤ " if kind == "bound" else "") + value if one.exactness == kind else None
                for kind in own_columns
            },
            "per seed": None
            if control
            else " · ".join(plain(value * metric.scale, decimals) for value in one.per_seed),
            "sd over seeds": None if control or len(one.seeds) < 2 else estimate.seed_sd,
            "se over items": estimate.item_se,
            "items": estimate.items or None,
        }
        lines.append(line)
        numbers += _numbers_by_seed(analysis, one)
    frame = pd.DataFrame(lines, dtype=object)
    if not any(one.exactness for one in everyone):
        frame = frame.drop(columns="likelihood")
    error = Column(metric=MetricFormat("", scale=metric.scale), decimals=decimals)
    columns = {
        "value": Column([metric.heading, " [95%]"], align="right"),
        **{kind: Column(f"{metric.title}, {kind}: not comparable") for kind in own_columns},
        "per seed": Column(f"per seed ({', '.join(map(str, seeds))})", align="right"),
        "sd over seeds": _headed(error, "sd over seeds"),
        "se over items": _headed(error, "se over items"),
    }
    return Table(f"results-{slug(analysis.task.name)}", frame, columns, pd.DataFrame(numbers))


def _headed(column: Column, heading: str) -> Column:
    return Column(heading, column.metric, column.decimals)


def _numbers_by_seed(analysis: TaskAnalysis, one: MeasuredModel) -> list[dict[str, Any]]:
    estimate = one.estimate
    return [
        {
            "model": one.model,
            "condition": one.condition,
            "exactness": one.exactness,
            "metric": analysis.task.primary,
            "seed": seed,
            "value_of_seed": value,
            "value": estimate.value,
            "low": estimate.low,
            "high": estimate.high,
            "seed_sd": estimate.seed_sd,
            "item_se": estimate.item_se,
            "seeds": estimate.seeds,
            "items": estimate.items,
        }
        for seed, value in zip(one.seeds, one.per_seed, strict=True)
    ]


def spread(values: pd.Series, metric: MetricFormat) -> str | None:
    """Write the mean over seeds and their standard deviation."""
    if not len(values):
        return None
    mean = plain(float(values.mean()) * metric.scale, metric.decimals)
    if len(values) == 1:
        return mean
    return f"{mean} ± {plain(float(values.std(ddof=1)) * metric.scale, metric.decimals)}"


def _of(frame: pd.DataFrame, model: str, condition: str) -> pd.Series:
    return frame.loc[(frame["model"] == model) & (frame["condition"] == condition), "value"]


def secondary(analysis: TaskAnalysis) -> Table | None:
    """Return the secondary metrics: mean over seeds ± their standard deviation."""
    known = {analysis.task.primary, *SECONDARY, *GENERATION, *COSTS, "judge_bits_per_byte"}
    others = sorted(set(analysis.secondary) - known)
    first = [metric for metric in SECONDARY if metric != analysis.task.primary]
    return _metric_table(analysis, [*first, *others], "metrics")


def generation(analysis: TaskAnalysis) -> Table | None:
    """Return what the generations are like and cost; None if the task generates nothing."""
    return _metric_table(analysis, [*GENERATION, *COSTS], "generation", analysis.judge_scores)


def _metric_table(
    analysis: TaskAnalysis,
    metrics: Iterable[str],
    prefix: str,
    judge_scores: dict[str, MeasuredModel] | None = None,
) -> Table | None:
    frames = {key: analysis.secondary[key] for key in metrics if key in analysis.secondary}
    scores = judge_scores or {}
    if not frames and not scores:
        return None
    order = {cell: place for place, cell in enumerate(analysis.measured)}
    cells = {(one.model, one.condition) for one in scores.values()}
    for frame in frames.values():
        cells |= set(zip(frame["model"], frame["condition"], strict=True))
    judge = metric_format("judge_bits_per_byte")
    decimals = decimals_of(judge, [one.estimate for one in scores.values()])
    lines = []
    for model, condition in sorted(cells, key=lambda cell: (order.get(cell, len(order)), cell)):
        line: dict[str, Any] = {"model": model_or_control(model, condition), "condition": condition}
        for key, frame in frames.items():
            if key in COSTS and scores and "judge" not in line:
                line["judge"] = scores[model].estimate if model in scores else None
            line[key] = spread(_of(frame, model, condition), metric_format(key))
        if scores and "judge" not in line:
            line["judge"] = scores[model].estimate if model in scores else None
        lines.append(line)
    columns = {key: Column(metric_format(key).heading) for key in frames}
    columns["judge"] = Column([judge.heading, " [95%]"], judge, decimals)
    shown = ["model", "condition", "seed", "metric", "value"]
    numbers = [frame.assign(metric=key) for key, frame in frames.items()]
    if scores:
        shown += ["of_all_seeds", "low", "high"]
    for one in scores.values():
        by_seed = pd.DataFrame({"seed": one.seeds, "value": one.per_seed})
        e = one.estimate
        numbers.append(
            by_seed.assign(
                model=one.model,
                condition=one.condition,
                metric="judge_bits_per_byte",
                of_all_seeds=e.value,
                low=e.low,
                high=e.high,
            )
        )
    return Table(
        f"{prefix}-{slug(analysis.task.name)}",
        pd.DataFrame(lines, dtype=object),
        columns,
        pd.concat(numbers, ignore_index=True)[shown],
    )


def parts(analysis: TaskAnalysis) -> Table | None:
    """Return the primary metric on each part of the items; None without parts."""
    if not analysis.parts:
        return None
    cells = list(analysis.measured)
    lines = []
    for part, frame in analysis.parts.items():
        line: dict[str, Any] = {"part": part.replace("/", ": ", 1).replace("_", " ")}
        for cell in cells:
            line["/".join(cell)] = spread(_of(frame, *cell), analysis.metric)
        lines.append(line)
    columns = {}
    for model, condition in cells:
        suffix = f" ({condition})" if condition not in (PRETRAINED, CONTROL) else ""
        columns[f"{model}/{condition}"] = Column([model_or_control(model, condition), suffix])
    numbers = pd.concat(
        [frame.assign(metric=analysis.task.primary, part=p) for p, frame in analysis.parts.items()],
        ignore_index=True,
    )[["model", "condition", "seed", "metric", "part", "value"]]
    return Table(f"parts-{slug(analysis.task.name)}", pd.DataFrame(lines), columns, numbers)


_HEADINGS = {
    "gains": ("network", "gain"),
    "gain-differences": ("pair", "difference of gains"),
    "differences": ("pair", "difference"),
    "controls": ("pair", "difference"),
}


def difference_table(
    analysis: TaskAnalysis, comparisons: list[Comparison], kind: str
) -> Table | None:
    """Return a table of paired differences, with verdicts where there are; None if empty."""
    if not comparisons:
        return None
    metric = analysis.metric
    decimals = decimals_of(metric, [one.difference for one in comparisons])
    verdicts = any(one.verdict for one in comparisons)
    lines, numbers = [], []
    for one in comparisons:
        control = CONTROL if (one.second, CONTROL) in analysis.measured else ""
        pair: list[Any] = [name(one.first)]
        pair += [" over ", model_or_control(one.second, control)] if one.second != SCRATCH else []
        mark = [strong("not controlled")] if not one.controlled else []
        pair += [", ", *mark] if mark and not verdicts else []
        d = one.difference
        lines.append(
            {
                "pair": pair,
                "difference": d,
                "excludes 0": "yes" if one.excludes_zero else "no",
                "p": d.p,
                "p (Holm)": one.holm,
                "smallest detectable": d.detectable,
                "verdict": [one.word, *([", ", *mark] if mark else [])],
            }
        )
        numbers.append(
            {
                "first": one.first,
                "second": one.second,
                "metric": analysis.task.primary,
                "difference": d.value,
                "low": d.low,
                "high": d.high,
                "p": d.p,
                "p_holm": one.holm,
                "detectable": d.detectable,
                "seeds": d.seeds,
                "items": d.items,
                "verdict": one.word,
                "controlled": one.controlled,
                "reason": one.verdict.reason.value if one.verdict else "",
                "limit": one.verdict.limit.value if one.verdict else "",
            }
        )
    frame = pd.DataFrame(lines, dtype=object)
    scaled = MetricFormat("", scale=metric.scale)
    first, heading = _HEADINGS[kind]
    unit = f", {metric.points}" if metric.points else ""
    columns = {
        "pair": Column(first),
        "difference": Column(f"{heading}{unit} [95%]", scaled, decimals, signed=True),
        "p": Column("p", format=probability, align="right"),
        "p (Holm)": Column("p (Holm)", format=probability, align="right"),
        "smallest detectable": Column("smallest detectable", scaled, decimals),
    }
    return Table(
        f"{kind}-{slug(analysis.task.name)}",
        frame if verdicts else frame.drop(columns="verdict"),
        columns,
        pd.DataFrame(numbers),
    )


def trials(results: Results, task: str) -> Table | None:
    """Return every trial of adaptation; the one that was chosen on validation is marked."""
    numbers: list[dict[str, Any]] = []
    keys: dict[str, None] = {}
    for run in results.cells(task):
        for trial in run.notes.trials.tried if run.notes.trials else []:
            best = run.notes.trials.chosen if run.notes.trials else {}
            common = set(trial) & set(best)
            chosen = bool(common) and all(trial[key] == best[key] for key in common)
            keys |= dict.fromkeys(trial)
            ids = {"model": run.model, "condition": run.condition, "seed": run.seed}
            numbers.append({**ids, **trial, "chosen": chosen})
    if not numbers:
        return None
    lines = [
        {
            "model": name(trial["model"]) if trial["model"] else "controls",
            "condition": trial["condition"],
            "seed": str(trial["seed"]) if trial["model"] else None,
            **{key: _trial_value(key, trial.get(key)) for key in keys},
            "chosen": strong("chosen") if trial["chosen"] else "",
        }
        for trial in numbers
    ]
    columns = {
        key: Column(key.replace("_", " ") + (", %" if key.endswith("accuracy") else ""))
        for key in keys
    }
    columns["chosen"] = Column(Piece(" "))
    return Table(f"trials-{slug(task)}", pd.DataFrame(lines), columns, pd.DataFrame(numbers))


def _trial_value(key: str, value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return None if value is None else str(value)
    return plain(float(value) * 100, 1) if key.endswith("accuracy") else f"{value:g}"
