"""Task by objective: the whole of an experiment with many tasks on one screen."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from lmcompare.report.analysis import (
    Comparison,
    MeasuredModel,
    TaskAnalysis,
    decimals_of,
    format_interval,
)
from lmcompare.report.formatting import CEILINGS, NONE, control_title, counted, joined
from lmcompare.report.markdown import Table, code, escape
from lmcompare.report.results import CONTROL, PRETRAINED
from lmcompare.report.sections.task_tables import EXACTNESS

FEWEST = 3
"""Tasks from which the table is made; of fewer the answers themselves are one screen."""
WIDEST = 6
"""Models that have a column each; of more the best of each task alone is shown."""
_AHEAD = ("SUPPORTED", "WEAKLY SUPPORTED")


def table(findings: Sequence[TaskAnalysis], models: Sequence[str]) -> Table | None:
    """The primary metric of every model on every task, the best control and the verdict; None of fewer than three tasks.

    Args:
        findings: one a task, in the order of the YAML file: one row each.
        models: names of the models: one column each, or one for all if there are more than ``WIDEST``.
    """
    if len(findings) < FEWEST:
        return None
    groups = (
        {code(model): [model] for model in models}
        if len(models) <= WIDEST
        else {"best model": list(models)}
    )
    rows = [_row(found, groups) for found in findings]
    numbers = pd.DataFrame([number for found in findings for number in _numbers(found)])
    return Table("overview", _headings(groups), rows, numbers)


def across(reports: Sequence[tuple[str, Sequence[TaskAnalysis], Sequence[str]]]) -> Table:
    """The same table of several experiments.

    Args:
        reports: of each experiment: where its report lies, its tasks, the names of its models.
    """
    groups = {code(model): [model] for _, _, models in reports for model in models}
    rows = [
        [f"[{escape(found.task.name)}]({where})", *_row(found, groups)[1:]]
        for where, findings, _ in reports
        for found in findings
    ]
    numbers = [
        {"report": where} | number
        for where, some, _ in reports
        for found in some
        for number in _numbers(found)
    ]
    return Table("summary", _headings(groups), rows, pd.DataFrame(numbers))


def _headings(groups: Iterable[str]) -> list[str]:
    return ["task", "metric", *groups, "best control", "beaten by", "verdict"]


def _row(found: TaskAnalysis, groups: Mapping[str, Sequence[str]]) -> list[str]:
    control = best(found, CONTROL)
    top = _first(found, [*_comparable(found, PRETRAINED), *([control] if control else [])])
    cells = [escape(found.task.name), found.metric.heading if found.measured else NONE]
    for group in groups.values():
        one = _first(found, [one for one in _comparable(found, PRETRAINED) if one.model in group])
        cells.append(_cell(found, one, top, name=code(one.model) if one and len(group) > 1 else ""))
    cells.append(
        _cell(found, control, top, name=escape(control_title(control.model)) if control else "")
    )
    return [*cells, _beaten_by(found, control), verdict(found)]


def _numbers(found: TaskAnalysis) -> list[dict[str, Any]]:
    control = best(found, CONTROL)
    every = [*_comparable(found, PRETRAINED), *([control] if control else [])]
    top = _first(found, every)
    return [
        {
            "task": found.task.name,
            "family": found.task.family,
            "metric": found.task.primary,
            "better": found.task.better,
            "model": one.model,
            "condition": one.condition,
            "exactness": one.exactness,
            "value": one.estimate.value,
            "low": one.estimate.low,
            "high": one.estimate.high,
            "best": top is not None and one.estimate.value == top.estimate.value,
            "verdict": verdict(found).replace("`", ""),
        }
        for one in every
    ]


def best(found: TaskAnalysis, condition: str) -> MeasuredModel | None:
    """Return the best under one condition, ceilings and what is no probability left out; None if nothing remains."""
    return _first(found, _comparable(found, condition))


def verdict(found: TaskAnalysis) -> str:
    """Say in a word what the lead of the best model over every other is worth.

    'WEAKLY SUPPORTED: `causal`' where it is ahead of all others (the weakest of its verdicts), 'EQUIVALENT' where all
    are equivalent to it, else 'INCONCLUSIVE'; a dash where fewer than two models can be compared.
    """
    first, leads = _of_the_best(found)
    words = {lead.verdict for lead in leads}
    if not first or not words:
        return NONE
    if words <= set(_AHEAD):
        return f"{max(words, key=_AHEAD.index)}: {code(first.model)}"
    return "EQUIVALENT" if words == {"EQUIVALENT"} else "INCONCLUSIVE"


def summary(findings: Sequence[TaskAnalysis]) -> list[str]:
    """Say for each family of tasks who is ahead on how many, and on how many pretraining beat no pretraining."""
    lines = []
    for family in dict.fromkeys(found.task.family for found in findings if found.task.family):
        mine = [found for found in findings if found.task.family == family]
        said = Counter(_outcome(found) for found in mine)
        parts = [f"{outcome} on {number}" for outcome, number in said.items()]
        lines.append(
            f"**{escape(family.capitalize())}**, {counted(len(mine), 'task')}: {joined(parts)}."
        )
    gains = [lead for found in findings for lead in found.gains]
    if gains:
        helped = Counter(
            lead.first for lead in gains if lead.significant and lead.difference.value > 0
        )
        asked = Counter(lead.first for lead in gains)
        parts = [f"{code(model)} on {helped[model]} of {number}" for model, number in asked.items()]
        lines.append(f"Pretraining beat the same network from scratch: {joined(parts)}.")
    return lines


def note(findings: Sequence[TaskAnalysis], *, claims: bool = False) -> str:
    """Say how the table is to be read; ``claims``: there are verdicts on claims beside it."""
    said = (
        "In brackets: 95% intervals over seeds and items. **Bold**: the best value of a row, told apart from the "
        "others or not. *Beaten by*: the networks that are told to be better than the best control. *Verdict*: what "
        "the lead of the best network over every other is worth."
    )
    if any(one.exactness == "chain" for found in findings for one in found.of(PRETRAINED)):
        said += " *Chain*: a likelihood that is exact given the length of the text."
    if claims:
        said += (
            " Holm's correction is here over the comparisons of one task, and of the claims above over all of them: "
            "the same difference may be told here and INCONCLUSIVE there."
        )
    return said


def _outcome(found: TaskAnalysis) -> str:
    word = verdict(found)
    if word == NONE:
        return "not compared"
    first, _ = _of_the_best(found)
    return f"{code(first.model)} ahead of all others" if first and ":" in word else word


def _comparable(found: TaskAnalysis, condition: str) -> list[MeasuredModel]:
    return [
        one
        for one in found.of(condition)
        if one.exactness in EXACTNESS and one.model not in CEILINGS
    ]


def _first(found: TaskAnalysis, measured: Sequence[MeasuredModel]) -> MeasuredModel | None:
    pick = max if found.task.better == "higher" else min
    return pick(measured, key=lambda one: one.estimate.value, default=None)


def _of_the_best(found: TaskAnalysis) -> tuple[MeasuredModel | None, list[Comparison]]:
    first = best(found, PRETRAINED)
    return first, [
        lead for lead in found.comparisons if first and first.model in (lead.first, lead.second)
    ]


def _cell(
    found: TaskAnalysis, one: MeasuredModel | None, top: MeasuredModel | None, *, name: str = ""
) -> str:
    if one is None:
        return NONE
    decimals = decimals_of(found.metric, [other.estimate for other in found.measured.values()])
    value, _, bounds = format_interval(found.metric, one.estimate, decimals).partition(" ")
    shown = f"**{value}**" if top and one.estimate.value == top.estimate.value else value
    return " ".join(
        part for part in (name, shown, bounds, "chain" if one.exactness == "chain" else "") if part
    )


def _beaten_by(found: TaskAnalysis, control: MeasuredModel | None) -> str:
    """Name the models that are told to be better than a control."""
    leads = [lead for lead in found.control_comparisons if control and lead.second == control.model]
    if not leads:
        return NONE
    wins = [code(lead.first) for lead in leads if lead.significant and lead.difference.value > 0]
    return "all" if len(wins) == len(leads) > 1 else joined(wins) or "none"
