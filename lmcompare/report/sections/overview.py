"""The first screen: one sentence, one row a task and one figure of all tasks."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lmcompare.report.analysis import Comparison, MeasuredModel, TaskAnalysis, format_interval
from lmcompare.report.formatting import CEILINGS, control_title
from lmcompare.report.results import CONTROL, PRETRAINED, Results
from lmcompare.report.sections import setup, task_figure
from lmcompare.report.sections.base import Figure, Section
from lmcompare.report.tables import Column, Piece, Table, listed, name, strong

WIDEST = 6
"""Models that have a column each; of more, only the best of each task is shown."""


@dataclass(frozen=True)
class Outcome:
    """How the best model of a task compares with the others."""

    best: str
    """'' if nothing is measured"""
    beaten: tuple[str, ...] = ()
    """the models that it is significantly better than"""
    others: int = 0
    """the models that it is compared with"""
    word: str = ""
    """the weakest verdict of these comparisons"""

    @property
    def better_than_all(self) -> bool:
        """Whether the best model is significantly better than every other."""
        return 0 < self.others == len(self.beaten)


_WEIGHT = ("SUPPORTED", "WEAKLY SUPPORTED", "EQUIVALENT", "REFUTED", "INCONCLUSIVE")


def outcome(analysis: TaskAnalysis) -> Outcome:
    """Return how the best model of a task compares with the others."""
    first = best(analysis, PRETRAINED)
    if first is None:
        return Outcome("")
    comparisons = [one for one in analysis.comparisons if first.model in (one.first, one.second)]
    beaten = tuple(one.second for one in comparisons if one.first == first.model and one.better)
    some = 0 < len(beaten) < len(comparisons)
    words = {one.word for one in comparisons if one.second in beaten or not some}
    word = max(words, key=_WEIGHT.index) if words else ""
    if len(words) > 1 and not words <= set(_WEIGHT[:2]):
        word = "INCONCLUSIVE"
    return Outcome(first.model, beaten, len(comparisons), word)


def sections(results: Results, analyses: Sequence[TaskAnalysis]) -> list[Section]:
    """Return the first screen."""
    measured = [analysis for analysis in analyses if analysis.measured]
    outcomes = {analysis.task.name: outcome(analysis) for analysis in measured}
    figure = task_figure.overview(measured, results.models)
    drawn = Figure("overview", figure) if figure else None
    facts = {
        "winners": _winners(outcomes),
        "undecided": [t for t, o in outcomes.items() if o.others and not o.better_than_all],
        "table": table(analyses, results.models),
        "chain": any(one.exactness == "chain" for a in analyses for one in a.of(PRETRAINED)),
        "figure": drawn,
        "figure_is_partial": len(measured) > task_figure.MAX_PANELS,
        "families": _families(analyses) if len(analyses) > 2 else [],
        "pretraining": _pretraining(analyses) if len(analyses) > 2 else {},
        "claims": bool(results.settings.get("hypotheses")),
        "scale": setup.scale(results),
        "tasks": len(results.tasks),
        "convergence": setup.convergence(results),
        "checkpoints": results.checkpoints,
    }
    return [Section("overview", facts, first_page=True)]


def _winners(outcomes: Mapping[str, Outcome]) -> dict[str, list[str]]:
    """Return the tasks on which a model is significantly better than every other, by model."""
    winners: dict[str, list[str]] = {}
    for task, result in outcomes.items():
        if result.better_than_all:
            winners.setdefault(result.best, []).append(task)
    return winners


def _families(analyses: Sequence[TaskAnalysis]) -> list[dict[str, Any]]:
    """Return for each family of tasks which model is significantly best on how many."""
    families = []
    for family in dict.fromkeys(one.task.family for one in analyses if one.task.family):
        outcomes = [outcome(one) for one in analyses if one.task.family == family]
        winners = Counter(one.best for one in outcomes if one.better_than_all)
        compared = sum(one.others > 0 for one in outcomes)
        rest = compared - winners.total()
        families.append(
            {
                "family": family,
                "tasks": len(outcomes),
                "winners": dict(winners),
                "undecided": rest,
                "not_compared": len(outcomes) - compared,
            }
        )
    return families


def _pretraining(analyses: Sequence[TaskAnalysis]) -> dict[str, tuple[int, int]]:
    """Return of each model on how many tasks pretraining was significantly better, of how many."""
    gains = [gain for analysis in analyses for gain in analysis.gains]
    better = Counter(gain.first for gain in gains if gain.better)
    return {model: (better[model], n) for model, n in Counter(g.first for g in gains).items()}


def table(analyses: Sequence[TaskAnalysis], models: Sequence[str]) -> Table | None:
    """Return the primary metric of every model on every task, the best control, significance."""
    if not analyses:
        return None
    groups = (
        {model: [model] for model in models}
        if len(models) <= WIDEST
        else {"best model": list(models)}
    )
    lines = [{"task": name(a.task.name), **_line(a, groups)} for a in analyses]
    numbers = [number for analysis in analyses for number in _numbers(analysis)]
    return Table("overview", pd.DataFrame(lines), _columns(groups), pd.DataFrame(numbers))


def across(reports: Sequence[tuple[str, Sequence[TaskAnalysis], Sequence[str]]]) -> Table:
    """Return the same table of several experiments.

    Args:
        reports: of each experiment: where its report lies, its tasks, the names of its models.
    """
    groups = {model: [model] for _, _, models in reports for model in models}
    lines = [
        {"task": Piece(analysis.task.name, url=where), **_line(analysis, groups)}
        for where, analyses, _ in reports
        for analysis in analyses
    ]
    numbers = [
        {"report": where} | number
        for where, analyses, _ in reports
        for analysis in analyses
        for number in _numbers(analysis)
    ]
    return Table("summary", pd.DataFrame(lines), _columns(groups), pd.DataFrame(numbers))


def _columns(groups: Mapping[str, Sequence[str]]) -> dict[str, Column]:
    columns = {group: Column(name(group), align="right") for group in groups}
    if "best model" in groups:
        columns["best model"] = Column("best model")
    return columns | {"control": Column("best control"), "better": Column("better than control")}


def _line(analysis: TaskAnalysis, groups: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    control = best(analysis, CONTROL)
    candidates = _candidates(analysis, PRETRAINED)
    top = _first(analysis, [*candidates, *([control] if control else [])])
    line: dict[str, Any] = {"metric": analysis.metric.heading if analysis.measured else None}
    for group, models in groups.items():
        one = _first(analysis, [one for one in candidates if one.model in models])
        label = [name(one.model), " "] if one and len(models) > 1 else []
        line[group] = [*label, *_cell(analysis, one, top)] if one else None
    line["control"] = (
        [control_title(control.model), " ", *_cell(analysis, control, top)] if control else None
    )
    return line | {"better": _beats(analysis, control), "significance": significance(analysis)}


def _cell(
    analysis: TaskAnalysis, one: MeasuredModel, top: MeasuredModel | None
) -> list[str | Piece]:
    value, _, bounds = format_interval(analysis.metric, one.estimate, analysis.decimals).partition(
        " "
    )
    is_top = top is not None and one.estimate.value == top.estimate.value
    cell: list[str | Piece] = [strong(value) if is_top else value]
    cell += [f" {bounds}"] * bool(bounds)
    return cell + [" chain"] * (one.exactness == "chain")


def significance(analysis: TaskAnalysis) -> list[Any] | None:
    """Return which model is significantly better than which, with the verdict; None if unknown."""
    result = outcome(analysis)
    if not result.others:
        return None
    if result.better_than_all:
        who = " than all others" if result.others > 1 else f" than {result.beaten[0]}"
        return [name(result.best), f" better{who} ({result.word})"]
    if result.beaten:
        return [name(result.best), " better than ", *listed(result.beaten), f" ({result.word})"]
    if result.word == "EQUIVALENT":
        return ["equivalent (EQUIVALENT)"]
    return [f"no significant difference ({result.word})"]


def _beats(analysis: TaskAnalysis, control: MeasuredModel | None) -> Any:
    """Return the models that are significantly better than a control."""
    comparisons: list[Comparison] = [
        one for one in analysis.control_comparisons if control and one.second == control.model
    ]
    if not comparisons:
        return None
    better = [one.first for one in comparisons if one.better]
    if len(better) == len(comparisons) > 1:
        return "all"
    return listed(better) or "none"


def _numbers(analysis: TaskAnalysis) -> list[dict[str, Any]]:
    control = best(analysis, CONTROL)
    everyone = [*_candidates(analysis, PRETRAINED), *([control] if control else [])]
    top = _first(analysis, everyone)
    result = outcome(analysis)
    return [
        {
            "task": analysis.task.name,
            "family": analysis.task.family,
            "metric": analysis.task.primary,
            "better": analysis.task.better,
            "model": one.model,
            "condition": one.condition,
            "exactness": one.exactness,
            "value": one.estimate.value,
            "low": one.estimate.low,
            "high": one.estimate.high,
            "best": top is not None and one.estimate.value == top.estimate.value,
            "verdict": result.word,
        }
        for one in everyone
    ]


def best(analysis: TaskAnalysis, condition: str) -> MeasuredModel | None:
    """Return the best under one condition, without ceilings and what is no probability."""
    return _first(analysis, _candidates(analysis, condition))


def _candidates(analysis: TaskAnalysis, condition: str) -> list[MeasuredModel]:
    return [one for one in analysis.of(condition) if one.comparable and one.model not in CEILINGS]


def _first(analysis: TaskAnalysis, measured: Iterable[MeasuredModel]) -> MeasuredModel | None:
    pick = max if analysis.task.better == "higher" else min
    return pick(measured, key=lambda one: one.estimate.value, default=None)
