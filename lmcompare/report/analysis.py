"""What the rows say, computed once: the tables, the figures and the answer only show it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, product

import numpy as np
import pandas as pd

from lmcompare import statistics
from lmcompare.report.formatting import MetricFormat, fitting_decimals, interval, metric_format
from lmcompare.report.outcomes import ItemOutcomes, item_outcomes, paired, pretraining_gain
from lmcompare.report.results import CONTROL, PRETRAINED, SCRATCH, Results, TaskResults
from lmcompare.statistics.verdicts import Test

SECONDARY = ("f1_macro", "f1_micro", "matthews", "ece", "brier", "nll")
GENERATION = ("distinct_1", "distinct_2", "distinct_3", "repetition_4", "self_bleu")
COSTS = ("calls_per_token", "calls_per_answer", "seconds_per_generation")


SMALLEST_EFFECTS = {"accuracy": 0.01, "f1_macro": 0.01, "matthews": 0.02, "bits_per_byte": 0.02}
"""Smallest effect of interest where a task names none, in the metric's own unit (accuracy: one point)."""


def smallest_effect(task: TaskResults) -> float:
    """Return the smallest effect of interest on ``task``: its own, or the metric's, or a sliver: any effect counts."""
    return task.smallest_effect or SMALLEST_EFFECTS.get(task.primary, 1e-9)


@dataclass(frozen=True)
class MeasuredModel:
    """The primary metric of one model or control under one condition.

    Attributes:
        model: its name.
        condition: pretrained, scratch or control.
        exactness: of the likelihood, '' if it is none.
        seeds: the seeds of ``per_seed``.
        per_seed: the metric of each seed.
        estimate: with its interval over items and seeds; its items are 0 where only whole-cell values are known.
        outcome: what it was computed from.
    """

    model: str
    condition: str
    exactness: str
    seeds: tuple[int, ...]
    per_seed: list[float]
    estimate: statistics.Estimate
    outcome: ItemOutcomes


@dataclass(frozen=True)
class Comparison:
    """By how much the first is ahead of the second: positive is better, whichever way the metric points.

    Attributes:
        first: who is ahead by the estimate.
        second: who is behind.
        difference: paired on item and seed, in the direction of the lead, in the metric's unit.
        holm: p-value after Holm's correction over the comparisons of the same table.
        verdict: a word of ``statistics.verdict``, '' where no claim about objectives is made.
        reason: one line.
        controlled: whether both were trained here, so that they differ in what the experiment says alone.
    """

    first: str
    second: str
    difference: statistics.Difference
    holm: float
    verdict: str = ""
    reason: str = ""
    controlled: bool = True

    @property
    def label(self) -> str:
        """The verdict, labelled where it says nothing of objectives: a checkpoint is one of the two."""
        return (
            self.verdict
            if self.controlled
            else f"{self.verdict}, **not controlled**".removeprefix(", ")
        )

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval excludes 0."""
        return self.difference.low > 0 or self.difference.high < 0

    @property
    def significant(self) -> bool:
        """Whether the two can be told apart: the interval excludes 0, and p is small after Holm's correction too."""
        return self.excludes_zero and not self.holm > 0.05 and self.verdict != "INCONCLUSIVE"


@dataclass(frozen=True)
class TaskAnalysis:
    """All that is known of one task.

    Attributes:
        task: the task.
        metric: how its primary metric is shown.
        smallest_effect: smallest effect of interest, in the metric's own unit.
        measured: by model and condition, the models in the YAML file's order, then the controls.
        comparisons: each pair of pretrained models, whoever is ahead first.
        gains: each model, pretrained ('first') over scratch ('second'); positive: pretraining helped.
        gain_comparisons: each pair of models: by how much more pretraining brought the first.
        control_comparisons: each pretrained model ('first') over each control ('second'); positive: the model is ahead.
        secondary: by metric: columns model, condition, seed, value of the whole cell.
        parts: the same of metrics of a part of the items, which are called ``<metric>/<kind of part>/<part>``.
        judge_scores: the judge's bits per byte of the generations, with an interval, by model.
        checkpoints: the models that came trained: not controlled.
    """

    task: TaskResults
    metric: MetricFormat
    smallest_effect: float
    measured: dict[tuple[str, str], MeasuredModel] = field(default_factory=dict)
    comparisons: list[Comparison] = field(default_factory=list)
    gains: list[Comparison] = field(default_factory=list)
    gain_comparisons: list[Comparison] = field(default_factory=list)
    control_comparisons: list[Comparison] = field(default_factory=list)
    secondary: dict[str, pd.DataFrame] = field(default_factory=dict)
    parts: dict[str, pd.DataFrame] = field(default_factory=dict)
    judge_scores: dict[str, MeasuredModel] = field(default_factory=dict)
    checkpoints: tuple[str, ...] = ()

    def of(self, condition: str) -> list[MeasuredModel]:
        """Return what was measured under one condition."""
        return [measured for (_, asked), measured in self.measured.items() if asked == condition]


def measure(
    rows: Results, task: str, model: str, condition: str, metric: str
) -> MeasuredModel | None:
    """Return one metric of one model, from per-item records where there are any, else from whole-cell ones."""
    found = item_outcomes(rows, task, model, condition, metric)
    if found is None:
        return None
    e = statistics.estimate(found.numerators, found.denominators)
    least, most = metric_format(metric).limits
    # Two seeds that differ make an interval as wide as a correlation cannot be.
    estimate = replace(
        e,
        low=max(e.low, least),
        high=min(e.high, most),
        items=0 if found.items == ("",) else e.items,
    )
    return MeasuredModel(
        model, condition, found.exactness, found.seeds, found.per_seed, estimate, found
    )


def decimals_of(
    metric: MetricFormat, sure: Iterable[statistics.Estimate | statistics.Difference]
) -> int:
    """Return the decimals that fit the intervals of some estimates or differences of ``metric``."""
    return fitting_decimals(
        [(one.high - one.low) / 2 * metric.scale for one in sure], metric.decimals
    )


def format_interval(
    metric: MetricFormat,
    one: statistics.Estimate | statistics.Difference,
    decimals: int,
    sign: bool = False,
) -> str:
    """Write an estimate or a difference with its interval, in the unit in which the metric is shown."""
    return interval(
        one.value * metric.scale,
        one.low * metric.scale,
        one.high * metric.scale,
        decimals,
        sign=sign,
    )


def reversed_difference(difference: statistics.Difference) -> statistics.Difference:
    """Return the difference seen from the other side."""
    return replace(difference, value=-difference.value, low=-difference.high, high=-difference.low)


def compare_pairs(
    pairs: list[tuple[str, str, statistics.Difference | None]], better: str, *, best_first: bool
) -> list[Comparison]:
    """Return the comparisons that could be made, p-values corrected for being one family (Holm 1979)."""
    made = []
    for first, second, difference in pairs:
        if difference is None:
            continue
        seen = difference if better == "higher" else reversed_difference(difference)
        if best_first and seen.value < 0:
            first, second, seen = second, first, reversed_difference(seen)
        made.append(Comparison(first, second, seen, seen.p))
    return [
        replace(lead, holm=p)
        for lead, p in zip(made, holm_corrected([lead.holm for lead in made]), strict=True)
    ]


def holm_corrected(ps: Sequence[float]) -> list[float]:
    """Return p-values corrected for being one family (Holm 1979); one that is not known (NaN) stays so."""
    known = iter(statistics.holm([p for p in ps if np.isfinite(p)]))
    return [next(known) if np.isfinite(p) else p for p in ps]


def _labelled(rows: Results, made: list[Comparison]) -> list[Comparison]:
    """Return comparisons of models, those that involve a checkpoint marked."""
    return [
        replace(lead, controlled=not {lead.first, lead.second} & {*rows.checkpoints})
        for lead in made
    ]


def with_verdict(
    lead: Comparison, metric: MetricFormat, sesoi: float, *, passed: bool
) -> Comparison:
    """Return the comparison with its verdict, in the unit in which the metric is shown.

    Args:
        lead: what was compared.
        metric: how its metric is shown.
        sesoi: smallest effect of interest, in the metric's own unit.
        passed: whether every network that it rests on passed the gate.
    """
    said = verdict(lead.difference, metric, sesoi, passed, lead.holm)
    return replace(lead, verdict=said.word, reason=said.reason)


def verdict(
    difference: statistics.Difference,
    metric: MetricFormat,
    sesoi: float,
    passed: bool,
    holm: float,
    test: Test = "superiority",
) -> statistics.Verdict:
    """Return what a difference says of a claim, as ``with_verdict``; ``holm`` is NaN where p was not corrected."""
    d, scale = difference, metric.scale
    seen = replace(
        d,
        value=d.value * scale,
        low=d.low * scale,
        high=d.high * scale,
        detectable=d.detectable * scale,
    )
    adjusted = holm if np.isfinite(holm) else None
    said = statistics.verdict(seen, sesoi * scale, passed, adjusted_p=adjusted, test=test)
    return replace(said, reason=said.reason.replace("+-", "±"))


def _passed(rows: Results, lead: Comparison) -> bool:
    return all(rows.converged(model) is not False for model in (lead.first, lead.second))


def analyze(rows: Results, task: TaskResults) -> TaskAnalysis:
    """Compute all that the report says of one task."""
    metric = metric_format(task.primary, task.better)
    conditions = sorted(task.conditions, key=lambda c: (c != PRETRAINED, c != SCRATCH, c))
    asked = [*product(rows.models, conditions), *product(rows.controls(task.name), [CONTROL])]
    measured = {
        pair: one for pair in asked if (one := measure(rows, task.name, *pair, task.primary))
    }
    own, scratch, control = (
        {model: one.outcome for (model, condition), one in measured.items() if condition == wanted}
        for wanted in (PRETRAINED, SCRATCH, CONTROL)
    )
    both = [model for model in own if model in scratch]
    gain = {model: pretraining_gain(own[model], scratch[model]) for model in both}
    better, sesoi, most = task.better, smallest_effect(task), metric.largest_difference
    secondary, parts = _others(rows, task)
    found = compare_pairs(
        [(a, b, paired(own[a], own[b], most)) for a, b in combinations(own, 2)],
        better,
        best_first=True,
    )
    gain_pairs = [(a, b, paired(gain[a], gain[b], 2 * most)) for a, b in combinations(both, 2)]
    return TaskAnalysis(
        task=task,
        metric=metric,
        smallest_effect=sesoi,
        measured=measured,
        comparisons=_labelled(
            rows, [with_verdict(lead, metric, sesoi, passed=_passed(rows, lead)) for lead in found]
        ),
        gains=compare_pairs(
            [(model, SCRATCH, paired(own[model], scratch[model], most)) for model in both],
            better,
            best_first=False,
        ),
        gain_comparisons=_labelled(rows, compare_pairs(gain_pairs, better, best_first=True)),
        control_comparisons=compare_pairs(
            [(a, b, paired(own[a], control[b], most)) for b in control for a in own],
            better,
            best_first=False,
        ),
        secondary=secondary,
        parts=parts,
        judge_scores=_by_judge(rows, task),
        checkpoints=tuple(rows.checkpoints),
    )


def _others(
    rows: Results, task: TaskResults
) -> tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame]]:
    """Return the records of the metrics beside the primary one; and of the parts of the primary one."""
    frame = rows.records
    whole = frame[(frame["task"] == task.name) & (frame["item"] == "") & (frame["split"] == "test")]
    whole = whole.sort_values(["model", "condition", "seed"])
    columns = ["model", "condition", "seed", "value"]
    skipped = {task.primary, "judge_bits_per_byte"}
    others = {
        str(metric): group[columns]
        for metric, group in whole[whole["part"] == ""].groupby("metric")
        if metric not in skipped
    }
    parts = whole[(whole["part"] != "") & (whole["metric"] == task.primary)]
    return others, {str(part): group[columns] for part, group in parts.groupby("part")}


def _by_judge(rows: Results, task: TaskResults) -> dict[str, MeasuredModel]:
    asked = [*product(rows.models, [PRETRAINED]), *product(rows.controls(task.name), [CONTROL])]
    return {
        pair[0]: one
        for pair in asked
        if (one := measure(rows, task.name, *pair, "judge_bits_per_byte"))
    }
