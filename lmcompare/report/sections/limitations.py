"""The limits of a run: what its numbers cannot show."""

from collections import Counter
from collections.abc import Sequence

from lmcompare import statistics
from lmcompare.report.analysis import TaskAnalysis
from lmcompare.report.results import SCRATCH, Results
from lmcompare.report.sections import setup
from lmcompare.report.sections.base import Section
from lmcompare.report.sections.costs import matched
from lmcompare.report.sections.matching import matched_costs


def sections(results: Results, analyses: Sequence[TaskAnalysis]) -> list[Section]:
    """Return the limits, on the first page."""
    seeds = setup.finished_seeds(results)
    measured = [one for analysis in analyses for one in analysis.measured.values()]
    facts = {
        "scale": setup.scale(results),
        "few_seeds": seeds if seeds < statistics.ENOUGH_SEEDS else 0,
        "checkpoints": results.checkpoints,
        "fresh": results.fresh,
        "left_out": _left_out(results),
        "differ": matched(results)[1],
        "equal": matched_costs(results),
        "failed": [model for model in results.models if results.converged(model) is False],
        "truncated": _truncated(results),
        "chain": any(one.exactness == "chain" for one in measured),
        "judge": any(analysis.judge_scores for analysis in analyses),
        "scratch": any(analysis.of(SCRATCH) for analysis in analyses),
        "still_improving": _still_improving(results),
    }
    return [Section("limitations", facts, first_page=True)]


def _left_out(results: Results) -> dict[str, int]:
    """Return of each model how many passages have no likelihood, the most of any cell."""
    left_out: Counter[str] = Counter()
    for run in results.runs:
        left_out[run.model] = max(left_out[run.model], run.notes.left_out or 0)
    return dict(+left_out)


def _still_improving(results: Results) -> list[str]:
    """Return the tasks on which nine in ten networks chose the last epoch they were given."""
    tasks = []
    for task in results.tasks:
        settings = (results.settings.get("tasks") or {}).get(task.name) or {}
        last = (settings.get("adaptation") or {}).get("epochs")
        trials = [run.notes.trials for run in results.cells(task.name) if run.notes.trials]
        chosen = [epoch for one in trials if (epoch := one.chosen.get("epoch")) is not None]
        if last and chosen and chosen.count(last) >= 0.9 * len(chosen):
            tasks.append(task.name)
    return tasks


def _truncated(results: Results) -> list[tuple[str, int, int]]:
    """Return of each task how often a text was cut, the most of any cell, and of how many items."""
    truncated = []
    for task in results.tasks:
        notes = [run.notes for run in results.cells(task.name)]
        most = max((one.truncated or 0 for one in notes), default=0)
        counts = next((one.counts for one in notes if one.counts), {})
        items = sum(counts.get(f"{split}_items", 0) for split in ("train", "validation", "test"))
        if most:
            truncated.append((task.name, most, items))
    return truncated
