"""The limits of a run: what its numbers cannot show."""

from collections import Counter
from collections.abc import Sequence

from lmcompare import statistics
from lmcompare.report.analysis import TaskAnalysis
from lmcompare.report.formatting import counted, joined
from lmcompare.report.markdown import code, escape
from lmcompare.report.results import SCRATCH, Results
from lmcompare.report.sections import setup as compared
from lmcompare.report.sections.matching import rule


def limits(rows: Results, findings: Sequence[TaskAnalysis], apart: Sequence[str]) -> list[str]:
    """Say what the numbers cannot show, one line a limit.

    Args:
        rows: what the report is made from.
        findings: one a task.
        apart: the costs in which the models differ.
    """
    seeds = compared.finished_seeds(rows)
    lines = [f"**Scale**: {compared.stamp(rows)}."]
    if seeds < statistics.ENOUGH_SEEDS:
        lines.append(
            f"**Seeds**: {counted(seeds, 'seed')}. The intervals hold the spread of seeds beside that of items, but so "
            "few seeds say little about how much another one would differ."
        )
    if rows.checkpoints:
        lines.append(
            f"{compared.uncontrolled(rows)} What a checkpoint was trained on is not known here: it may hold these "
            "test items, or texts like them. Its seeds are of adaptation alone; where nothing is adapted or drawn, "
            "every seed has the same value."
        )
    lost: Counter[str] = Counter()
    for run in rows.runs:
        lost[run.model] = max(lost[run.model], run.notes.left_out or 0)
    lost = +lost
    if lost:
        said = joined(
            [f"{code(model)} ({counted(number, 'passage')})" for model, number in lost.items()]
        )
        lines.append(
            f"**Left out**: {said}: tokens that lose case, white space or characters do not hold such a text "
            "whole, so its likelihood is not known. Two models are compared on the items that both have."
        )
    if rows.fresh:
        lines.append(
            "**One setting**: one corpus, one tokenizer, one block, one schedule. An objective that is behind here "
            "may be ahead with more data, a larger network or another learning rate."
        )
    if apart:
        lines.append(
            f"**Matching**: nothing matches everything. This run {rule(rows)}; the models differ in {joined(apart)}."
        )
    failed = [model for model in rows.models if rows.converged(model) is False]
    if failed:
        names = joined([code(model) for model in failed])
        lines.append(f"**Gate**: {names} had not learnt to use context when training ended.")
    if cut := _truncated(rows):
        lines.append(
            f"**Truncation**: what is longer than a network reads at once was cut: {joined(cut)}."
        )
    if any(one.exactness == "chain" for found in findings for one in found.measured.values()):
        lines.append(
            "**Chain**: a masked LM's bits per byte are a chain of conditionals, the rest of the suffix masked: a "
            "proper likelihood given the length, but asked off the distribution that the network was trained on."
        )
    if any(found.judge_scores for found in findings):
        lines.append(
            "**Judge**: judges have tastes: a left-to-right judge favours text written left to right."
        )
    if any(found.of(SCRATCH) for found in findings):
        each = "pretraining seed" if rows.fresh else "seed"
        lines.append(
            f"**Adaptation**: one fine-tuning for each {each}; its own spread is not separated."
        )
    if short := _still_learning(rows):
        lines.append(
            f"**Length of tuning**: on {joined(short)} nearly every network was best after its last epoch: with more "
            "epochs the order may be another."
        )
    return lines


def _still_learning(rows: Results) -> list[str]:
    """Name the tasks on which nine in ten of the tuned networks chose the last epoch that they were given."""
    said = []
    for task in rows.tasks:
        settings = (rows.settings.get("tasks") or {}).get(task.name) or {}
        last = (settings.get("adaptation") or {}).get("epochs")
        trials = [run.notes.trials for run in rows.cells(task.name)]
        chosen = [one.chosen.get("epoch") for one in trials if one]
        chosen = [epoch for epoch in chosen if epoch is not None]
        if last and chosen and chosen.count(last) >= 0.9 * len(chosen):
            said.append(escape(task.name))
    return said


def _truncated(rows: Results) -> list[str]:
    """Say how often a text (of tagging: a word) of a task was cut, the most of any cell, and of how many items."""
    said = []
    for task in rows.tasks:
        notes = [run.notes for run in rows.cells(task.name)]
        most = max((one.truncated or 0 for one in notes), default=0)
        counts: dict[str, int] = next((one.counts for one in notes if one.counts), {})
        items = sum(counts.get(f"{split}_items", 0) for split in ("train", "validation", "test"))
        if most:
            said.append(
                f"{escape(task.name)} {most:,} times"
                + (f" in {counted(items, 'item')}" if items else "")
            )
    return said
