"""One short section a task on the first page: who is better than whom, scratch and controls."""

from collections.abc import Sequence
from typing import Any

from lmcompare.report.analysis import (
    Comparison,
    MeasuredModel,
    TaskAnalysis,
    decimals_of,
    format_interval,
)
from lmcompare.report.formatting import CEILINGS, control_title, plain, probability
from lmcompare.report.results import CONTROL, PRETRAINED, Results
from lmcompare.report.sections.base import Section
from lmcompare.report.sections.samples import ConstantOutput, constant_outputs

MANY = 3
"""Models up to which every pair is listed; of more, only the pairs of the best one."""


def sections(results: Results, analyses: Sequence[TaskAnalysis]) -> list[Section]:
    """Return one section a task."""
    return [
        Section(
            "task_summary",
            facts(one, constant_outputs(results, one.task.name)),
            one.task.name,
            True,
        )
        for one in analyses
    ]


def facts(analysis: TaskAnalysis, constant: Sequence[ConstantOutput] = ()) -> dict[str, Any]:
    """Return what the section says of a task.

    Args:
        analysis: of the task.
        constant: models that wrote one text for all prompts.
    """
    measured = [one for one in analysis.of(PRETRAINED) if one.comparable]
    measured.sort(key=lambda one: one.estimate.value, reverse=analysis.task.better == "higher")
    best = measured[0] if measured else None
    pairs = [pair(analysis, one) for one in analysis.comparisons]
    of_best = [one for one in pairs if best and one["first"] == best.model]
    return {
        "task": analysis.task,
        "metric": analysis.metric.title,
        "items": max((one.estimate.items for one in measured), default=0),
        "values": {one.model: _value(analysis, one) for one in measured},
        "best": best.model if best else "",
        "equal": [
            one.model for one in measured if best and one.estimate.value == best.estimate.value
        ],
        "against_best": of_best,
        "pairs": of_best if len(measured) > MANY else pairs,
        "all_pairs": len(measured) <= MANY,
        "gains": [pair(analysis, one) for one in analysis.gains],
        "controls": _controls(analysis),
        "checkpoints": [one.model for one in measured if one.model in analysis.checkpoints],
        "constant": constant,
    }


def pair(analysis: TaskAnalysis, one: Comparison) -> dict[str, Any]:
    """Return a comparison as the templates word it."""
    everyone = [other.difference for other in [*analysis.comparisons, *analysis.gains]]
    decimals = decimals_of(analysis.metric, everyone)
    value, _, bounds = format_interval(analysis.metric, one.difference, decimals, True).partition(
        " "
    )
    unit = f" {analysis.metric.points}" if analysis.metric.points else ""
    return {
        "first": one.first,
        "second": one.second,
        "by": f"{value}{unit} {bounds}".rstrip(),
        "excludes_zero": one.excludes_zero,
        "better": one.better,
        "worse": one.worse,
        "word": one.word,
        "reason": one.verdict.reason.name if one.verdict else "",
        "limit": one.verdict.limit.name if one.verdict else "",
        "controlled": one.controlled,
        "p": probability(one.holm),
        "seeds": one.difference.seeds,
        "positive": one.difference.value > 0,
    }


def _value(analysis: TaskAnalysis, one: MeasuredModel) -> str:
    value = plain(one.estimate.value * analysis.metric.scale, analysis.decimals)
    return value + ("%" if analysis.metric.unit == "%" else "")


_GROUPS = ("worse", "equal", "worse_uncorrected", "better_uncorrected", "better")


def _controls(analysis: TaskAnalysis) -> list[dict[str, Any]]:
    """Return each control and the models better and worse than it, the strongest control first."""
    controls = []
    for control in dict.fromkeys(one.second for one in analysis.control_comparisons):
        comparisons = [one for one in analysis.control_comparisons if one.second == control]
        groups: dict[str, list[str]] = {key: [] for key in _GROUPS}
        for one in comparisons:
            side = "better" if one.difference.value > 0 else "worse"
            if not one.excludes_zero:
                side = "equal"
            elif not one.significant:
                side += "_uncorrected"
            groups[side].append(one.first)
        controls.append(
            {
                "title": control_title(control),
                "value": _value(analysis, analysis.measured[control, CONTROL]),
                "ceiling": control in CEILINGS,
                "models": len(comparisons),
                **groups,
            }
        )
    return sorted(controls, key=lambda one: (one["ceiling"], len(one["better"])))
