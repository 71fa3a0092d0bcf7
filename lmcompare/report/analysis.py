"""The analysis of a task, computed once: estimates, paired comparisons, verdicts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, product

import numpy as np
import pandas as pd

from lmcompare import statistics
from lmcompare.report.formatting import MetricFormat, fitting_decimals, interval, metric_format
from lmcompare.report.outcomes import PROPER, ItemOutcomes, item_outcomes, paired, pretraining_gain
from lmcompare.report.results import CONTROL, PRETRAINED, SCRATCH, Results, TaskResults
from lmcompare.statistics import Difference, Estimate, Verdict

SECONDARY = ("f1_macro", "f1_micro", "matthews", "ece", "brier", "nll")
GENERATION = ("distinct_1", "distinct_2", "distinct_3", "repetition_4", "self_bleu")
COSTS = ("calls_per_token", "calls_per_answer", "seconds_per_generation")

SMALLEST_EFFECTS = {"accuracy": 0.01, "f1_macro": 0.01, "matthews": 0.02, "bits_per_byte": 0.02}
"""Smallest effect of interest where a task names none, in the metric's own unit."""


def smallest_effect(task: TaskResults) -> float:
    """Return the task's smallest effect of interest, or the metric's, or next to nothing."""
    return task.smallest_effect or SMALLEST_EFFECTS.get(task.primary, 1e-9)


@dataclass(frozen=True)
class MeasuredModel:
    """The primary metric of one model or control under one condition."""

    model: str
    condition: str
    """pretrained, scratch or control"""
    exactness: str
    """of the likelihood, '' if it is none"""
    seeds: tuple[int, ...]
    per_seed: list[float]
    estimate: Estimate
    """its items are 0 where only values of whole cells are known"""
    outcome: ItemOutcomes

    @property
    def comparable(self) -> bool:
        """Whether the metric is no likelihood, or a normalized probability."""
        return self.exactness in PROPER


@dataclass(frozen=True)
class Comparison:
    """First minus second, positive where the first is better, whichever way the metric points."""

    first: str
    second: str
    difference: Difference
    """paired on item and seed, in the metric's unit"""
    holm: float
    """p-value after Holm's correction over the comparisons of the same table"""
    verdict: Verdict | None = None
    """None where no claim about objectives is made"""
    controlled: bool = True
    """whether both were trained here, so that they differ only in what the experiment says"""

    @property
    def word(self) -> str:
        """The word of the verdict, '' without one."""
        return self.verdict.word if self.verdict else ""

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval excludes 0."""
        return self.difference.low > 0 or self.difference.high < 0

    @property
    def significant(self) -> bool:
        """Whether the interval excludes 0, also after Holm's correction, and there is a verdict."""
        return self.excludes_zero and not self.holm > 0.05 and self.word != "INCONCLUSIVE"

    @property
    def better(self) -> bool:
        """Whether the first is significantly better."""
        return self.significant and self.difference.value > 0

    @property
    def worse(self) -> bool:
        """Whether the first is significantly worse."""
        return self.significant and self.difference.value < 0


@dataclass(frozen=True)
class TaskAnalysis:
    """All that is known of one task."""

    task: TaskResults
    metric: MetricFormat
    """how its primary metric is shown"""
    smallest_effect: float
    """of interest, in the metric's own unit"""
    measured: dict[tuple[str, str], MeasuredModel] = field(default_factory=dict)
    """by model and condition, the models in the YAML file's order, then the controls"""
    comparisons: list[Comparison] = field(default_factory=list)
    """each pair of pretrained models, the better one first"""
    gains: list[Comparison] = field(default_factory=list)
    """each model: pretrained minus scratch"""
    gain_comparisons: list[Comparison] = field(default_factory=list)
    """each pair of models: the difference of their gains"""
    control_comparisons: list[Comparison] = field(default_factory=list)
    """each pretrained model minus each control"""
    secondary: dict[str, pd.DataFrame] = field(default_factory=dict)
    """by metric: columns model, condition, seed, value of the whole cell"""
    parts: dict[str, pd.DataFrame] = field(default_factory=dict)
    """by part: the same of the primary metric"""
    judge_scores: dict[str, MeasuredModel] = field(default_factory=dict)
    """by model: the judge's bits per byte of the generations"""
    checkpoints: tuple[str, ...] = ()
    """the models that came trained: not controlled"""

    def of(self, condition: str) -> list[MeasuredModel]:
        """Return what was measured under one condition."""
        return [one for (_, its), one in self.measured.items() if its == condition]

    @property
    def decimals(self) -> int:
        """The decimals that fit the estimates."""
        return decimals_of(self.metric, [one.estimate for one in self.measured.values()])


def measure(
    rows: Results, task: str, model: str, condition: str, metric: str
) -> MeasuredModel | None:
    """Return one metric of one model, from per-item records where there are any."""
    outcome = item_outcomes(rows, task, model, condition, metric)
    if outcome is None:
        return None
    estimate = statistics.estimate(outcome.numerators, outcome.denominators)
    least, most = metric_format(metric).limits
    # Two seeds that differ make an interval as wide as a correlation cannot be.
    estimate = replace(
        estimate,
        low=max(estimate.low, least),
        high=min(estimate.high, most),
        items=0 if outcome.items == ("",) else estimate.items,
    )
    return MeasuredModel(
        model, condition, outcome.exactness, outcome.seeds, outcome.per_seed, estimate, outcome
    )


def decimals_of(metric: MetricFormat, values: Iterable[Estimate | Difference]) -> int:
    """Return the decimals that fit the intervals of some estimates or differences of ``metric``."""
    widths = [(value.high - value.low) / 2 * metric.scale for value in values]
    return fitting_decimals(widths, metric.decimals)


def format_interval(
    metric: MetricFormat, value: Estimate | Difference, decimals: int, sign: bool = False
) -> str:
    """Write an estimate or a difference with its interval, in the unit in which it is shown."""
    estimate, low, high = (x * metric.scale for x in (value.value, value.low, value.high))
    return interval(estimate, low, high, decimals, sign=sign)


def reversed_difference(difference: Difference) -> Difference:
    """Return the difference seen from the other side."""
    return replace(difference, value=-difference.value, low=-difference.high, high=-difference.low)


def compare_pairs(
    pairs: list[tuple[str, str, Difference | None]], better: str, *, best_first: bool
) -> list[Comparison]:
    """Return the comparisons that could be made, p-values corrected as one family (Holm 1979)."""
    comparisons = []
    for first, second, difference in pairs:
        if difference is None:
            continue
        oriented = difference if better == "higher" else reversed_difference(difference)
        if best_first and oriented.value < 0:
            first, second, oriented = second, first, reversed_difference(oriented)
        comparisons.append(Comparison(first, second, oriented, oriented.p))
    corrected = holm_corrected([comparison.holm for comparison in comparisons])
    return [
        replace(comparison, holm=p) for comparison, p in zip(comparisons, corrected, strict=True)
    ]


def holm_corrected(ps: Sequence[float]) -> list[float]:
    """Return p-values corrected as one family (Holm 1979); an unknown one (NaN) stays so."""
    known = iter(statistics.holm([p for p in ps if np.isfinite(p)]))
    return [next(known) if np.isfinite(p) else p for p in ps]


def with_verdict(comparison: Comparison, smallest_effect: float, *, converged: bool) -> Comparison:
    """Return the comparison with its verdict; ``converged``: of every network it rests on."""
    judged = verdict(comparison.difference, smallest_effect, converged, comparison.holm)
    return replace(comparison, verdict=judged)


def verdict(
    difference: Difference,
    smallest_effect: float,
    converged: bool,
    holm: float,
    test: statistics.Test = "superiority",
) -> Verdict:
    """Return what a difference says of a claim; ``holm`` is NaN where p was not corrected."""
    adjusted = holm if np.isfinite(holm) else None
    return statistics.verdict(
        difference, smallest_effect, converged, adjusted_p=adjusted, test=test
    )


def analyze(rows: Results, task: TaskResults) -> TaskAnalysis:
    """Compute all that the report says of one task."""
    metric = metric_format(task.primary, task.better)
    better, effect, largest = task.better, smallest_effect(task), metric.largest_difference
    conditions = sorted(task.conditions, key=lambda c: (c != PRETRAINED, c != SCRATCH, c))
    cells = [*product(rows.models, conditions), *product(rows.controls(task.name), [CONTROL])]
    measured = {
        cell: values for cell in cells if (values := measure(rows, task.name, *cell, task.primary))
    }
    own, scratch, control = (
        {model: one.outcome for (model, condition), one in measured.items() if condition == kind}
        for kind in (PRETRAINED, SCRATCH, CONTROL)
    )
    both = [model for model in own if model in scratch]

    # models against each other, with verdicts
    pairs = [(a, b, paired(own[a], own[b], largest)) for a, b in combinations(own, 2)]
    comparisons = [
        with_verdict(
            comparison,
            effect,
            converged=all(
                rows.converged(model) is not False
                for model in (comparison.first, comparison.second)
            ),
        )
        for comparison in compare_pairs(pairs, better, best_first=True)
    ]

    # pretraining against scratch, and the differences of these gains
    gains = [(model, SCRATCH, paired(own[model], scratch[model], largest)) for model in both]
    gain = {model: pretraining_gain(own[model], scratch[model]) for model in both}
    gain_pairs = [(a, b, paired(gain[a], gain[b], 2 * largest)) for a, b in combinations(both, 2)]

    # models against controls
    controls = [(a, b, paired(own[a], control[b], largest)) for b in control for a in own]
    secondary, parts = _whole_cells(rows, task)
    return TaskAnalysis(
        task=task,
        metric=metric,
        smallest_effect=effect,
        measured=measured,
        comparisons=_controlled(rows, comparisons),
        gains=compare_pairs(gains, better, best_first=False),
        gain_comparisons=_controlled(rows, compare_pairs(gain_pairs, better, best_first=True)),
        control_comparisons=compare_pairs(controls, better, best_first=False),
        secondary=secondary,
        parts=parts,
        judge_scores={
            model: score
            for model, condition in cells
            if condition in (PRETRAINED, CONTROL)
            and (score := measure(rows, task.name, model, condition, "judge_bits_per_byte"))
        },
        checkpoints=tuple(rows.checkpoints),
    )


def _controlled(rows: Results, comparisons: list[Comparison]) -> list[Comparison]:
    checkpoints = set(rows.checkpoints)
    return [
        replace(comparison, controlled=not {comparison.first, comparison.second} & checkpoints)
        for comparison in comparisons
    ]


def _whole_cells(
    rows: Results, task: TaskResults
) -> tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame]]:
    """Return the secondary metrics by metric, and the primary one by part of the items."""
    frame = rows.of_task(task.name)
    whole = frame[(frame["item"] == "") & (frame["split"] == "test")]
    whole = whole.sort_values(["model", "condition", "seed"])
    columns = ["model", "condition", "seed", "value"]
    secondary = {
        str(metric): group[columns]
        for metric, group in whole[whole["part"] == ""].groupby("metric")
        if metric not in (task.primary, "judge_bits_per_byte")
    }
    parts = whole[(whole["part"] != "") & (whole["metric"] == task.primary)]
    return secondary, {str(part): group[columns] for part, group in parts.groupby("part")}
