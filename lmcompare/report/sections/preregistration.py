"""What was fixed beforehand, what was selected, what is exploratory, what is debatable."""

from collections.abc import Mapping, Sequence
from typing import Any

from lmcompare.report.analysis import TaskAnalysis
from lmcompare.report.formatting import metric_format
from lmcompare.report.results import PRETRAINED, Results
from lmcompare.report.sections import (
    ablations,
    disagreements,
    diversity,
    latency,
    loss_by_position,
    matching,
    quality_per_flop,
)
from lmcompare.report.sections.base import Section
from lmcompare.report.sections.costs import differs, means


def sections(results: Results, analyses: Sequence[TaskAnalysis]) -> list[Section]:
    """Return what may be claimed of the results, and which choices are debatable."""
    return [
        Section("preregistration", preregistered(results, analyses)),
        Section("debatable_choices", debatable(results, analyses)),
    ]


def preregistered(results: Results, analyses: Sequence[TaskAnalysis]) -> dict[str, Any]:
    """Return what the experiment's file fixed, what was selected, and what is exploratory."""
    models = results.settings["models"]
    return {
        "hypotheses": bool(results.settings.get("hypotheses")),
        "tasks": [
            {
                "name": analysis.task.name,
                "metric": metric_format(analysis.task.primary).title,
                "better": analysis.task.better,
                "smallest_effect": smallest_effect(analysis),
            }
            for analysis in analyses
            if analysis.task.primary
        ],
        "own_settings": [
            model
            for model in results.fresh
            if models[model].get("training") or models[model].get("network")
        ],
        "matched": list(matching.solved(results)),
        "selected": selected(results),
        "comparisons": sum(len(a.comparisons) + len(a.gain_comparisons) for a in analyses),
        "secondary": sorted(
            {
                metric_format(metric).title
                for analysis in analyses
                for metric in analysis.secondary
                if metric != analysis.task.primary
            }
        ),
        "exploratory": exploratory(results, analyses),
    }


def smallest_effect(analysis: TaskAnalysis) -> str:
    """Write the smallest effect of interest with its unit; '' where any effect counts."""
    if analysis.smallest_effect < 1e-6:
        return ""
    size, unit = analysis.smallest_effect * analysis.metric.scale, analysis.metric.points
    return f"{size:g} {'point' if size == 1 and unit == 'points' else unit}".strip()


def selected(results: Results) -> list[dict[str, Any]]:
    """Return, of each task, the settings that were selected, and from how many trials."""
    tasks = []
    for task in results.tasks:
        runs = [run for run in results.cells(task.name) if run.model]
        searches = [run.notes.trials for run in runs if run.notes.trials]
        settings = dict.fromkeys(
            key for search in searches for key in search.chosen if _searched(key, search.tried)
        )
        if settings:
            trials = max(len(search.tried) for search in searches)
            names = [key.replace("_", " ") for key in settings]
            tasks.append({"name": task.name, "settings": names, "trials": trials})
    return tasks


def _searched(key: str, trials: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether trials differ in a setting; the epoch is selected within a trial, too."""
    values = {trial.get(key) for trial in trials} - {None}
    return not key.startswith("validation") and (key == "epoch" or len(values) > 1)


def exploratory(results: Results, analyses: Sequence[TaskAnalysis]) -> list[str]:
    """Return the analyses of the report that no claim rests on."""
    tasks = [task.name for task in results.tasks]
    metrics = set(results.records["metric"].unique())
    reported = {
        "parts": any(analysis.parts for analysis in analyses),
        "calibration": "confidence" in metrics,
        "disagreements": any(disagreements.comparable(analysis) for analysis in analyses),
        "positions": any(len(loss_by_position.spans(results, task)) for task in tasks),
        "diversity": {diversity.DIVERSITY, diversity.QUALITY} <= metrics,
        "latency": latency.QUANTILES[0] in metrics,
        "quality_per_flop": bool(analyses) and len(quality_per_flop.training_flops(results)) > 0,
        "labels": bool(ablations.label_variants(results, analyses)),
        "masks": bool(ablations.variants(results, analyses, ablations.MASK)),
        "overfitting": any(run.curve for run in results.runs),
    }
    return [key for key, value in reported.items() if value]


def debatable(results: Results, analyses: Sequence[TaskAnalysis]) -> dict[str, bool]:
    """Return which choices of the experiment researchers disagree about."""
    costs = means(results)
    masks = {
        (task.get("adaptation") or {}).get("attention")
        for task in results.settings["tasks"].values()
    }
    measured = [m for analysis in analyses for m in analysis.measured.values()]
    return {
        "tasks": bool(analyses),
        "unequal_costs": any(
            key in costs.index and differs(costs.loc[key]) for key in ("targets", "training_flops")
        ),
        "chain_likelihood": any(m.exactness == "chain" for m in measured),
        "own_attention_mask": masks - {None} == {"own"}
        and any(analysis.task.family == "understanding" for analysis in analyses),
        "judge": any(analysis.judge_scores for analysis in analyses),
        "seeds_as_sample": bool(results.fresh)
        and any(m.condition == PRETRAINED and len(m.seeds) > 1 for m in measured),
    }
