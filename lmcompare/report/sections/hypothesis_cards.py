"""Verdict cards: each claim of the experiment with the contrast that decides it, and how sure that is."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from lmcompare import statistics
from lmcompare.core.settings import GATE, PRETRAINING
from lmcompare.report.analysis import (
    TaskAnalysis,
    decimals_of,
    format_interval,
    holm_corrected,
    verdict,
)
from lmcompare.report.formatting import (
    MetricFormat,
    control_title,
    counted,
    metric_format,
    minus,
    plain,
    probability,
)
from lmcompare.report.markdown import Table, code, escape
from lmcompare.report.outcomes import ItemOutcomes, item_outcomes, paired, pretraining_gain, shifted
from lmcompare.report.results import CONTROL, PRETRAINED, SCRATCH, Results, TaskResults
from lmcompare.report.sections import right_context as sides
from lmcompare.report.sections import samples


@dataclass(frozen=True)
class HypothesisCard:
    """One claim and what became of it.

    Attributes:
        name: its key in the YAML file.
        said: the settings of the hypothesis.
        contrast: what is set against what, in words.
        metric: how the deciding metric is shown.
        smallest_effect: in the metric's own unit.
        difference: positive where the claim's first is better; None if it cannot be computed.
        holm: p-value after Holm's correction over all hypotheses of the experiment.
        verdict: a word and its reason.
        plateau: whether every network of the contrast passed the gate.
        controls: how the first stands to the controls of the task, and whether it uses its right side and its prompts.
    """

    name: str
    said: dict[str, Any]
    contrast: str
    metric: MetricFormat
    smallest_effect: float
    difference: statistics.Difference | None
    holm: float
    verdict: statistics.Verdict
    plateau: bool
    controls: str


_PRETRAINING = TaskAnalysis(
    TaskResults(PRETRAINING, "", "margin", "higher", "", "", (PRETRAINED,)),
    metric_format("margin"),
    0.0,
)
"""What a claim about pretraining falls back to: nothing, for it says its metric, direction and effect itself."""


_UNKNOWN = statistics.Difference(np.nan, np.nan, np.nan, np.nan, 0, 0, np.nan, np.nan, np.nan)
"""What is known of a claim that was not measured."""


def cards(rows: Results, findings: list[TaskAnalysis]) -> list[HypothesisCard]:
    """Judge every hypothesis of the experiment, p-values corrected for being one family (Holm 1979)."""
    hypotheses = rows.settings.get("hypotheses") or {}
    by_task = {found.task.name: found for found in findings} | {PRETRAINING: _PRETRAINING}
    made = [
        (name, said, *_difference(rows, by_task[said["task"]], said))
        for name, said in hypotheses.items()
    ]
    adjusted = holm_corrected([p for *_, p in made])
    return [
        _card(rows, by_task[said["task"]], name, said, difference, p)
        for (name, said, difference, _), p in zip(made, adjusted, strict=True)
    ]


def _card(
    rows: Results,
    found: TaskAnalysis,
    name: str,
    said: dict[str, Any],
    difference: statistics.Difference | None,
    adjusted: float,
) -> HypothesisCard:
    metric = metric_format(
        said.get("metric") or found.task.primary, said.get("direction") or found.task.better
    )
    sesoi = float(said.get("smallest_effect") or found.smallest_effect)
    models = [said["model"], *([said["reference"]] if said.get("reference") else [])]
    plateau = all(_left_plateau(rows, model, said["task"]) for model in models)
    judged = statistics.Verdict("INCONCLUSIVE", "not measured, or not comparable")
    if difference is not None:
        judged = verdict(
            difference, metric, sesoi, plateau, adjusted, said.get("test") or "superiority"
        )
    against = said.get("reference") or said.get("control")
    second = (
        ""
        if against is None
        else f" over {code(against) if said.get('reference') else escape(control_title(against))}"
    )
    what = "gain of pretraining over scratch" if said.get("of") == "gain" else "pretrained"
    contrast = f"{code(said['model'])}{second} on {escape(said['task'])}, {metric.heading}, {what}"
    seeds = samples.constant(rows, said["task"]).get(said["model"])
    beside = [_controls(found, said), sides.said(rows, said["task"], said["model"])]
    beside.append(
        f"it wrote one text under every prompt of its samples, with {seeds}" if seeds else ""
    )
    known = "; ".join(filter(None, beside))
    return HypothesisCard(
        name, said, contrast, metric, sesoi, difference, adjusted, judged, plateau, known
    )


def _left_plateau(rows: Results, model: str, task: str) -> bool:
    """Return whether every network of ``model`` passed the gate; of pretraining itself, at its lowest validation loss."""
    if task != PRETRAINING:
        return rows.converged(model) is not False
    found = [
        rows.values(task, model, PRETRAINED, metric) for metric in ("margin", "validation_rise")
    ]
    margin, rise = (frame.set_index("seed")["value"] for frame in found)
    return bool((margin + rise >= GATE).all())


def _difference(
    rows: Results, found: TaskAnalysis, said: dict[str, Any]
) -> tuple[statistics.Difference | None, float]:
    """Return first - second, positive where the first is better, and the p-value of what the claim denies."""
    task, name = found.task, str(said.get("metric") or found.task.primary)

    def of(model: str, condition: str) -> ItemOutcomes | None:
        return item_outcomes(rows, task.name, model, condition, name)

    def gain(model: str) -> ItemOutcomes | None:
        pretrained, scratch = of(model, PRETRAINED), of(model, SCRATCH)
        return (
            None if pretrained is None or scratch is None else pretraining_gain(pretrained, scratch)
        )

    first, second = said["model"], said.get("reference")
    if said.get("of") == "gain":
        one, other = (
            (gain(first), gain(second)) if second else (of(first, PRETRAINED), of(first, SCRATCH))
        )
    else:
        one = of(first, PRETRAINED)
        other = of(second, PRETRAINED) if second else of(str(said["control"]), CONTROL)
    if (said.get("direction") or task.better) == "lower":
        one, other = other, one
    largest_difference = metric_format(name).largest_difference * (
        2 if said.get("of") == "gain" and second else 1
    )
    difference = paired(one, other, largest_difference)
    if difference is None or one is None:
        return None, float("nan")
    sesoi, test = (
        float(said.get("smallest_effect") or found.smallest_effect),
        said.get("test") or "superiority",
    )
    shifts = {"superiority": (0.0,), "non_inferiority": (sesoi,), "equivalence": (sesoi, -sesoi)}[
        test
    ]
    moved = [difference if not shift else paired(shifted(one, shift), other) for shift in shifts]
    if one.items == ("",):  # values of whole cells
        difference = replace(difference, items=0)
    return difference, max(one.p for one in moved if one is not None)


def _controls(found: TaskAnalysis, said: dict[str, Any]) -> str:
    """Return how the first model stands to the controls of its task, in the task's primary metric."""
    leads = [lead for lead in found.control_comparisons if lead.first == said["model"]]
    if not leads:
        return "no control was measured"
    words = []
    for lead in leads:
        word = (
            "is not told from"
            if not lead.significant
            else "beats"
            if lead.difference.value > 0
            else "is behind"
        )
        words.append(f"{word} {escape(control_title(lead.second))}")
    return f"the first {'; '.join(words)}"


def table(found: list[HypothesisCard]) -> Table | None:
    """The cards in one table, the numbers at full precision beside it; None without hypotheses."""
    if not found:
        return None
    rows, numbers = [], []
    for card in found:
        d = card.difference or _UNKNOWN
        value = format_interval(card.metric, d, decimals_of(card.metric, [d]), sign=True)
        said = [escape(card.name), escape(card.said["claim"]), f"**{card.verdict.word}**"]
        rows.append([*said, value, probability(card.holm)])
        numbers.append(
            {
                "name": card.name,
                "claim": card.said["claim"],
                "verdict": card.verdict.word,
                "reason": card.verdict.reason,
                "difference": d.value,
                "low": d.low,
                "high": d.high,
                "p_holm": card.holm,
                "detectable": d.detectable,
                "seeds": d.seeds,
                "items": d.items,
                "smallest_effect": card.smallest_effect,
            }
        )
    headings = ["", "claim", "verdict", "first ahead by [95%]", "p (Holm)"]
    return Table("hypotheses", headings, rows, pd.DataFrame(numbers))


def lines(card: HypothesisCard) -> list[str]:
    """Return what stands on a card, a line each."""
    d, scale = card.difference, card.metric.scale
    said = [
        f"**Contrast:** {card.contrast}. Smallest effect of interest: {card.smallest_effect * scale:g}."
    ]
    said.append(f"**Verdict: {card.verdict.word}.** {escape(minus(card.verdict.reason))}.")
    if d is not None:
        detectable = plain(d.detectable * scale, decimals_of(card.metric, [d]))
        items = f", {counted(d.items, 'item')}" if d.items else ""
        said.append(
            f"**On:** {counted(d.seeds, 'paired seed')}{items}; detectable in 4 of 5 cases: {detectable}."
        )
    said.append(f"**Gate:** plateau {'left' if card.plateau else '**not left**'}; {card.controls}.")
    literature = [escape(card.said[key]) for key in ("citation", "reported") if card.said.get(key)]
    return [*said, *([f"**Literature:** {': '.join(literature)}."] if literature else [])]
