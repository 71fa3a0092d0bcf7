"""The tables of one task: results, other metrics, differences, generations, trials."""

from itertools import chain

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
from lmcompare.report.formatting import (
    NONE,
    MetricFormat,
    control_title,
    metric_format,
    plain,
    probability,
)
from lmcompare.report.markdown import Table, code, escape, slug
from lmcompare.report.results import CONTROL, PRETRAINED, SCRATCH, Results

EXACTNESS = {"": "", "exact": "exact", "chain": "chain (exact given the length)"}


def who(model: str, condition: str) -> str:
    """Write a model as code and a control as it is called."""
    return escape(control_title(model)) if condition == CONTROL else code(model)


def _proper(measured: MeasuredModel) -> bool:
    return measured.exactness in EXACTNESS


def results(found: TaskAnalysis) -> Table:
    """The primary metric of every model and control, with its interval, its seeds and its two sources of error.

    Likelihoods that are not probabilities (bounds, pseudo-likelihoods) stand in a column of their own.
    """
    metric, scale = found.metric, found.metric.scale
    everyone = list(found.measured.values())
    decimals = decimals_of(metric, [one.estimate for one in everyone])
    labelled = any(one.exactness for one in everyone)
    improper = sorted({one.exactness for one in everyone if not _proper(one)})
    most = max((len(one.seeds) for one in everyone), default=0)
    seeds = next((one.seeds for one in everyone if len(one.seeds) == most), ())
    headings = [
        "model",
        "condition",
        *(["likelihood"] if labelled else []),
        f"{metric.heading} [95%]",
    ]
    headings += [f"{metric.title}, {kind} only: not comparable" for kind in improper]
    headings += [
        f"per seed ({', '.join(map(str, seeds))})",
        "sd over seeds",
        "se over items",
        "items",
    ]
    rows, numbers = [], []
    for one in everyone:
        e = one.estimate
        value = format_interval(metric, e, decimals)
        sign = {"bound": "≤ "}.get(one.exactness, "")
        mark = (
            " (not controlled)"
            if one.model in found.checkpoints and one.condition != CONTROL
            else ""
        )
        cells = [who(one.model, one.condition) + mark, one.condition]
        cells += [EXACTNESS.get(one.exactness, escape(one.exactness))] if labelled else []
        cells += [value if _proper(one) else NONE]
        cells += [sign + value if one.exactness == kind else NONE for kind in improper]
        control = one.condition == CONTROL
        cells += [
            NONE
            if control
            else " · ".join(plain(value * scale, decimals) for value in one.per_seed),
            NONE
            if control
            else plain(e.seed_sd * scale if len(one.seeds) > 1 else float("nan"), decimals),
            plain(e.item_se * scale, decimals),
            f"{e.items:,}" if e.items else NONE,
        ]
        rows.append(cells)
        numbers += [
            {
                "model": one.model,
                "condition": one.condition,
                "exactness": one.exactness,
                "metric": found.task.primary,
                "seed": seed,
                "value_of_seed": value,
                "value": e.value,
                "low": e.low,
                "high": e.high,
                "seed_sd": e.seed_sd,
                "item_se": e.item_se,
                "seeds": e.seeds,
                "items": e.items,
            }
            for seed, value in zip(one.seeds, one.per_seed, strict=True)
        ]
    return Table(f"results-{slug(found.task.name)}", headings, rows, pd.DataFrame(numbers))


def _spread(values: pd.Series, metric: MetricFormat) -> str:
    mean = plain(float(values.mean()) * metric.scale, metric.decimals)
    return (
        f"{mean} ± {plain(float(values.std(ddof=1)) * metric.scale, metric.decimals)}"
        if len(values) > 1
        else mean
    )


def _metrics(found: TaskAnalysis, names: tuple[str, ...], prefix: str) -> Table | None:
    there = [name for name in names if name in found.secondary]
    judged = bool(found.judge_scores) and prefix == "generation"
    if not there and not judged:
        return None
    frames = [found.secondary[name].assign(metric=name) for name in there]
    order = {pair: place for place, pair in enumerate(found.measured)}
    pairs = sorted(
        {
            *((one.model, one.condition) for one in found.judge_scores.values() if judged),
            *chain.from_iterable(
                zip(frame["model"], frame["condition"], strict=True) for frame in frames
            ),
        },
        key=lambda pair: (order.get(pair, len(order)), pair),
    )
    judge = metric_format("judge_bits_per_byte")
    decimals = decimals_of(judge, [one.estimate for one in found.judge_scores.values()])
    headings = ["model", "condition", *(metric_format(name).heading for name in there)]
    if judged:
        place = sum(name in GENERATION for name in there) + 2
        headings.insert(place, f"{judge.heading} [95%]")
    rows = []
    for model, condition in pairs:
        cells = [who(model, condition), condition]
        for frame, name in zip(frames, there, strict=True):
            values = frame.loc[
                (frame["model"] == model) & (frame["condition"] == condition), "value"
            ]
            cells.append(_spread(values, metric_format(name)) if len(values) else NONE)
        if judged:
            one = found.judge_scores.get(model)
            cells.insert(place, format_interval(judge, one.estimate, decimals) if one else NONE)
        rows.append(cells)
    columns = [
        "model",
        "condition",
        "seed",
        "metric",
        "value",
        *(("of_all_seeds", "low", "high") if judged else ()),
    ]
    numbers = [*frames]
    numbers += [
        pd.DataFrame(
            {
                "model": one.model,
                "condition": one.condition,
                "seed": one.seeds,
                "metric": "judge_bits_per_byte",
            }
        ).assign(
            value=one.per_seed,
            of_all_seeds=one.estimate.value,
            low=one.estimate.low,
            high=one.estimate.high,
        )
        for one in (found.judge_scores.values() if judged else ())
    ]
    return Table(
        f"{prefix}-{slug(found.task.name)}",
        headings,
        rows,
        pd.concat(numbers, ignore_index=True)[columns],
    )


def others(found: TaskAnalysis) -> Table | None:
    """The secondary metrics: mean over seeds ± their standard deviation."""
    known = {found.task.primary, *SECONDARY, *GENERATION, *COSTS, "judge_bits_per_byte"}
    more = tuple(sorted(set(found.secondary) - known))
    return _metrics(
        found, (*(name for name in SECONDARY if name != found.task.primary), *more), "metrics"
    )


def generation(found: TaskAnalysis) -> Table | None:
    """What the generations are like and cost, beside the reference text; None if the task generates nothing."""
    return _metrics(found, (*GENERATION, *COSTS), "generation")


def parts(found: TaskAnalysis) -> Table | None:
    """The primary metric of each part of the items: mean over seeds ± standard deviation; None without parts."""
    if not found.parts:
        return None
    everyone = list(found.measured)
    rows = []
    for name, frame in found.parts.items():
        kind, part = name.split("/", 1)
        cells = [escape(f"{kind}: {part}".replace("_", " "))]
        for model, condition in everyone:
            values = frame.loc[
                (frame["model"] == model) & (frame["condition"] == condition), "value"
            ]
            cells.append(_spread(values, found.metric) if len(values) else NONE)
        rows.append(cells)
    headings = ["part"]
    headings += [
        who(model, c) + (f" ({c})" if c not in (PRETRAINED, CONTROL) else "")
        for model, c in everyone
    ]
    numbers = pd.concat(
        [frame.assign(metric=found.task.primary, part=part) for part, frame in found.parts.items()],
        ignore_index=True,
    )
    columns = ["model", "condition", "seed", "metric", "part", "value"]
    return Table(f"parts-{slug(found.task.name)}", headings, rows, numbers[columns])


def kinds(found: TaskAnalysis) -> str:
    """Name the kinds of part that ``parts`` shows, as 'class, length'."""
    names = dict.fromkeys(part.split("/")[0] for part in found.parts)
    return escape(", ".join(names).replace("_", " "))


def comparisons(
    found: TaskAnalysis,
    leads: list[Comparison],
    name: str,
    pair: str = "pair",
    ahead: str = "ahead by",
) -> Table | None:
    """A table of paired differences, with verdicts where they were judged; None if there are none.

    Args:
        found: the task.
        leads: the rows.
        name: of the csv file, before the task's name.
        pair: the heading of the first column.
        ahead: the heading of the difference.
    """
    if not leads:
        return None
    verdicts = any(lead.verdict for lead in leads)
    metric, scale = found.metric, found.metric.scale
    decimals = decimals_of(metric, [lead.difference for lead in leads])
    headings = [pair, f"{ahead}{', ' + metric.points if metric.points else ''} [95%]"]
    headings += [
        "excludes 0",
        "p",
        "p (Holm)",
        "smallest detectable",
        *(["verdict"] if verdicts else []),
    ]
    rows, numbers = [], []
    for lead in leads:
        d = lead.difference
        control = (lead.second, CONTROL) in found.measured
        second = who(lead.second, CONTROL if control else "")
        cells = [code(lead.first) + (f" over {second}" if lead.second != SCRATCH else "")]
        cells[0] += "" if lead.controlled or verdicts else f", {lead.label}"
        cells += [format_interval(metric, d, decimals, sign=True)]
        cells += ["yes" if lead.excludes_zero else "no", probability(d.p), probability(lead.holm)]
        cells += [plain(d.detectable * scale, decimals), *([lead.label] if verdicts else [])]
        rows.append(cells)
        numbers.append(
            {
                "first": lead.first,
                "second": lead.second,
                "metric": found.task.primary,
                "first_ahead_by": d.value,
                "low": d.low,
                "high": d.high,
                "p": d.p,
                "p_holm": lead.holm,
                "detectable": d.detectable,
                "seeds": d.seeds,
                "items": d.items,
                "verdict": lead.verdict,
                "controlled": lead.controlled,
                "reason": lead.reason,
            }
        )
    return Table(f"{name}-{slug(found.task.name)}", headings, rows, pd.DataFrame(numbers))


def trials(rows: Results, task: str) -> Table | None:
    """Every fine-tuning trial of a task; the one that was chosen on validation is marked."""
    cells, keys = [], []
    for run in rows.cells(task):
        for trial in run.notes.trials.tried if run.notes.trials else []:
            best = run.notes.trials.chosen if run.notes.trials else {}
            common = set(trial) & set(best)
            cells.append(
                (run, trial, bool(common) and all(trial[key] == best[key] for key in common))
            )
            keys += [key for key in trial if key not in keys]
    if not cells:
        return None
    rendered, numbers = [], []
    for run, trial, chosen in cells:
        values = [_value(trial.get(key), percent=key.endswith("accuracy")) for key in keys]
        model = code(run.model) if run.model else "controls"
        rendered.append(
            [
                model,
                run.condition,
                str(run.seed) if run.model else NONE,
                *values,
                "**chosen**" if chosen else "",
            ]
        )
        numbers.append(
            {
                "model": run.model,
                "condition": run.condition,
                "seed": run.seed,
                **trial,
                "chosen": chosen,
            }
        )
    headings = ["model", "condition", "seed", *(_heading(key) for key in keys), ""]
    return Table(f"trials-{slug(task)}", headings, rendered, pd.DataFrame(numbers))


def _heading(key: str) -> str:
    return escape(key.replace("_", " ")) + (", %" if key.endswith("accuracy") else "")


def _value(value: object, *, percent: bool) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return NONE if value is None else escape(value)
    return plain(float(value) * 100, 1) if percent else f"{value:g}"
