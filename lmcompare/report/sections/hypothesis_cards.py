"""Hypotheses of the experiment: the contrast that decides each, its verdict and the evidence."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from lmcompare import statistics
from lmcompare.core.settings import CONVERGENCE_MARGIN, PRETRAINING
from lmcompare.report.analysis import Comparison, TaskAnalysis, decimals_of, holm_corrected, verdict
from lmcompare.report.formatting import MetricFormat, metric_format, probability
from lmcompare.report.outcomes import ItemOutcomes, item_outcomes, paired, pretraining_gain, shifted
from lmcompare.report.results import CONTROL, PRETRAINED, SCRATCH, Results, TaskResults
from lmcompare.report.sections import right_context, samples
from lmcompare.report.sections.base import Section
from lmcompare.report.tables import Column, Table, strong
from lmcompare.statistics.verdicts import Test


@dataclass(frozen=True)
class HypothesisCard:
    """One claim and its verdict."""

    name: str
    """Its key in the YAML file."""
    settings: dict[str, Any]
    """Of the hypothesis."""
    metric: MetricFormat
    smallest_effect: float
    """In the metric's own unit."""
    difference: statistics.Difference | None
    """Positive where the model of the claim is better; None if it cannot be computed."""
    holm: float
    """p-value after Holm's correction over all hypotheses of the experiment."""
    verdict: statistics.Verdict
    converged: bool
    """Whether every network of the contrast passed the convergence check."""
    controls: list[Comparison]
    """The model against each control of the task."""
    right_context: statistics.Difference | None
    """What the right context is worth to the model, if that was measured."""
    constant: samples.ConstantOutput | None
    """Set if the model generated one text for every prompt."""

    @property
    def scale(self) -> float:
        """What values are multiplied by before they are shown."""
        return self.metric.scale

    @property
    def decimals(self) -> int:
        """Digits that fit the interval of the difference."""
        return decimals_of(self.metric, [self.difference] if self.difference else [])

    @property
    def right_context_decimals(self) -> int:
        """Digits that fit the interval of the worth of the right context."""
        return right_context.decimals([self.right_context] if self.right_context else [])


def sections(results: Results, analyses: Sequence[TaskAnalysis]) -> list[Section]:
    """Return the table of verdicts, for the first page, and a card for each hypothesis."""
    judged = cards(results, analyses)
    if not judged:
        return []
    return [
        Section("hypotheses_summary", {"table": table(judged)}, first_page=True),
        Section("hypothesis_cards", {"cards": judged}),
    ]


def cards(results: Results, analyses: Sequence[TaskAnalysis]) -> list[HypothesisCard]:
    """Judge every hypothesis, p-values corrected for being one family (Holm 1979)."""
    hypotheses = results.settings.get("hypotheses") or {}
    # A claim about pretraining states its metric, direction and effect itself.
    pretraining = TaskResults(PRETRAINING, "", "margin", "higher", "", "", (PRETRAINED,))
    tasks = {PRETRAINING: TaskAnalysis(pretraining, metric_format("margin"), 0.0)}
    tasks |= {analysis.task.name: analysis for analysis in analyses}
    differences = {
        name: _difference(results, tasks[claim["task"]], claim)
        for name, claim in hypotheses.items()
    }
    adjusted = holm_corrected([p for _, p in differences.values()])
    return [
        _card(results, tasks[hypotheses[name]["task"]], name, difference, p)
        for (name, (difference, _)), p in zip(differences.items(), adjusted, strict=True)
    ]


def _card(
    results: Results,
    analysis: TaskAnalysis,
    name: str,
    difference: statistics.Difference | None,
    holm: float,
) -> HypothesisCard:
    claim = results.settings["hypotheses"][name]
    task, model, reference = claim["task"], claim["model"], claim.get("reference")
    metric = metric_format(
        claim.get("metric") or analysis.task.primary, claim.get("direction") or analysis.task.better
    )
    smallest_effect = float(claim.get("smallest_effect") or analysis.smallest_effect)
    converged = all(
        _converged(results, name, task) for name in (model, reference) if name is not None
    )
    outcome = statistics.Verdict("INCONCLUSIVE", statistics.Reason.NOT_MEASURED)
    if difference is not None:
        test: Test = claim.get("test") or "superiority"
        outcome = verdict(difference, smallest_effect, converged, holm, test)
    constant = {output.model: output for output in samples.constant_outputs(results, task)}
    return HypothesisCard(
        name=name,
        settings=claim,
        metric=metric,
        smallest_effect=smallest_effect,
        difference=difference,
        holm=holm,
        verdict=outcome,
        converged=converged,
        controls=[c for c in analysis.control_comparisons if c.first == model],
        right_context=right_context.worth(results, task, model),
        constant=constant.get(model),
    )


def _converged(results: Results, model: str, task: str) -> bool:
    """Return whether ``model`` converged; of pretraining, at its lowest validation loss."""
    if task != PRETRAINING:
        return results.converged(model) is not False
    margin, rise = (
        results.values(task, model, PRETRAINED, metric).set_index("seed")["value"]
        for metric in ("margin", "validation_rise")
    )
    return bool((margin + rise >= CONVERGENCE_MARGIN).all())


def _difference(
    results: Results, analysis: TaskAnalysis, claim: dict[str, Any]
) -> tuple[statistics.Difference | None, float]:
    """Return the difference, positive where the first is better, and the p-value of the claim."""
    metric = str(claim.get("metric") or analysis.task.primary)
    model, reference = claim["model"], claim.get("reference")
    of_gain = claim.get("of") == "gain"

    def outcomes(model: str, condition: str = PRETRAINED) -> ItemOutcomes | None:
        return item_outcomes(results, analysis.task.name, model, condition, metric)

    def gain(model: str) -> ItemOutcomes | None:
        pretrained, scratch = outcomes(model), outcomes(model, SCRATCH)
        if pretrained is None or scratch is None:
            return None
        return pretraining_gain(pretrained, scratch)

    # What is compared.
    if of_gain and reference:
        better, worse = gain(model), gain(reference)
    elif of_gain:
        better, worse = outcomes(model), outcomes(model, SCRATCH)
    elif reference:
        better, worse = outcomes(model), outcomes(reference)
    else:
        better, worse = outcomes(model), outcomes(str(claim["control"]), CONTROL)
    if (claim.get("direction") or analysis.task.better) == "lower":
        better, worse = worse, better

    largest = metric_format(metric).largest_difference * (2 if of_gain and reference else 1)
    difference = paired(better, worse, largest)
    if difference is None or better is None:
        return None, float("nan")

    # The null hypothesis: no difference, or one beyond the smallest effect of interest.
    effect = float(claim.get("smallest_effect") or analysis.smallest_effect)
    shifts = {"superiority": (0.0,), "non_inferiority": (effect,), "equivalence": (effect, -effect)}
    tests = [
        paired(shifted(better, shift), worse) if shift else difference
        for shift in shifts[claim.get("test") or "superiority"]
    ]
    if better.items == ("",):  # values of whole cells
        difference = replace(difference, items=0)
    return difference, max(test.p for test in tests if test is not None)


_UNKNOWN = statistics.Difference(np.nan, np.nan, np.nan, np.nan, 0, 0, np.nan, np.nan, np.nan)


def table(judged: Sequence[HypothesisCard]) -> Table:
    """Return a line for each hypothesis."""
    lines, numbers = [], []
    for card in judged:
        difference = card.difference or _UNKNOWN
        shown = Column(metric=card.metric, decimals=card.decimals, signed=True)
        lines.append(
            {
                "hypothesis": card.name,
                "claim": card.settings["claim"],
                "verdict": strong(card.verdict.word),
                "difference [95%]": shown.pieces(difference),
                "p (Holm)": probability(card.holm),
            }
        )
        numbers.append(
            {
                "name": card.name,
                "claim": card.settings["claim"],
                "verdict": card.verdict.word,
                "reason": card.verdict.reason.value,
                "limit": card.verdict.limit.value,
                "difference": difference.value,
                "low": difference.low,
                "high": difference.high,
                "p_holm": card.holm,
                "detectable": difference.detectable,
                "seeds": difference.seeds,
                "items": difference.items,
                "smallest_effect": card.smallest_effect,
            }
        )
    return Table("hypotheses", pd.DataFrame(lines), numbers=pd.DataFrame(numbers))
