"""The answer in plain words: what a reader who stops after the first screen takes away."""

from dataclasses import dataclass

from lmcompare.report.analysis import (
    Comparison,
    MeasuredModel,
    TaskAnalysis,
    decimals_of,
    format_interval,
)
from lmcompare.report.formatting import CEILINGS, control_title, joined, plain, probability
from lmcompare.report.markdown import code, escape
from lmcompare.report.results import CONTROL, PRETRAINED
from lmcompare.report.sections.task_tables import EXACTNESS


@dataclass(frozen=True)
class Headline:
    """What is said of one task.

    Attributes:
        task: its name, safe for markdown.
        asked: what was measured, on how much.
        headline: the answer to 'which objective is ahead', in one sentence.
        lines: the differences behind it, then pretraining, then the controls.
    """

    task: str
    asked: str
    headline: str
    lines: list[str]


def answer(found: TaskAnalysis, warning: str = "") -> Headline:
    """Say what was found on one task, and at the end ``warning``, if there is one."""
    measured = [one for one in found.of(PRETRAINED) if one.exactness in EXACTNESS]
    items = max((one.estimate.items for one in measured), default=0)
    asked = found.metric.title
    asked += f" on {items:,} held-out items" if items else ""
    asked = f"{asked}, {found.task.better} is better" if asked else found.task.kind
    measured.sort(key=lambda one: one.estimate.value, reverse=found.task.better == "higher")
    noun = "model" if found.checkpoints else "objective"
    distances = _distances(found, measured[0].model) if measured else []
    lines = [*distances, *_pretraining(found), *_controls(found), *([warning] if warning else [])]
    return Headline(
        escape(found.task.name),
        asked,
        _headline(found, measured, noun),
        [*_uncontrolled(found), *lines],
    )


def _uncontrolled(found: TaskAnalysis) -> list[str]:
    there = [code(one.model) for one in found.of(PRETRAINED) if one.model in found.checkpoints]
    if not there:
        return []
    are, it = ("are checkpoints", "them") if len(there) > 1 else ("is a checkpoint", "it")
    said = f"{joined(there)} {are}; a difference that involves {it} is no evidence about objectives alone."
    return [f"**Not controlled:** {said}"]


def _value(found: TaskAnalysis, one: MeasuredModel) -> str:
    decimals = decimals_of(found.metric, [other.estimate for other in found.measured.values()])
    return plain(one.estimate.value * found.metric.scale, decimals) + (
        "%" if found.metric.unit == "%" else ""
    )


def _of(found: TaskAnalysis, model: str) -> str:
    return _value(found, found.measured[model, PRETRAINED])


def _by(found: TaskAnalysis, lead: Comparison) -> str:
    decimals = decimals_of(
        found.metric, [other.difference for other in [*found.comparisons, *found.gains]]
    )
    value, _, bounds = format_interval(found.metric, lead.difference, decimals).partition(" ")
    unit = f" {found.metric.points}" if found.metric.points else ""
    return f"{value}{unit} {bounds}".rstrip()


def _headline(found: TaskAnalysis, measured: list[MeasuredModel], noun: str) -> str:
    """Say which objective is ahead, or that none can be told to be; ``measured`` is sorted, the best first."""
    if not measured:
        return "nothing has been measured yet."
    if len(measured) == 1:
        return f"only {code(measured[0].model)} has been measured: {_value(found, measured[0])}."
    best = measured[0]
    name = f"{code(best.model)} ({_value(found, best)})"
    behind = [lead for lead in found.comparisons if lead.first == best.model]
    if not behind:
        return f"**no comparison**: the models cannot be paired; the best value is that of {name}."
    groups = {word: [code(x.second) for x in behind if x.verdict == word] for word in _WORDS}
    ahead = [
        code(lead.second) for lead in behind if lead.verdict in ("SUPPORTED", "WEAKLY SUPPORTED")
    ]
    if len(ahead) == len(behind):
        words = [word for word in _WORDS if groups[word]]
        weight = (
            words[0]
            if len(words) == 1
            else joined([f"{word} over {joined(groups[word])}" for word in words])
        )
        if not all(lead.controlled for lead in behind):
            weight += ", not controlled"
        return f"**{name} is ahead of {joined(ahead)}**: {weight}."
    parts = []
    if groups["EQUIVALENT"]:
        parts.append(f"EQUIVALENT to {joined(groups['EQUIVALENT'])}")
    if groups["INCONCLUSIVE"]:
        parts.append(f"INCONCLUSIVE against {joined(groups['INCONCLUSIVE'])}")
    if ahead:
        parts.append(f"ahead of {joined(ahead)}")
    if len(groups["INCONCLUSIVE"]) == len(behind):
        equal = [code(one.model) for one in measured if one.estimate.value == best.estimate.value]
        said = f"{joined(equal)} ({_value(found, best)}) have" if len(equal) > 1 else f"{name} has"
        level = joined([other for other in groups["INCONCLUSIVE"] if other not in equal], "or")
        said += f" the best value, not told apart from {level}." if level else " the same value."
        return f"**INCONCLUSIVE: no {noun} is clearly ahead.** {said}"
    return f"**no {noun} is clearly ahead of all others.** The best value is that of {name}: {joined(parts)}."


_WORDS = ("SUPPORTED", "WEAKLY SUPPORTED", "EQUIVALENT", "INCONCLUSIVE", "REFUTED")


def _distances(found: TaskAnalysis, best: str) -> list[str]:
    """Say each paired difference, one line for each model that is ahead of others; of many models the best one's only."""
    lines = []
    firsts = dict.fromkeys([best, *(lead.first for lead in found.comparisons)])
    many = len(found.of(PRETRAINED)) > _MANY
    for first in [best] if many else firsts:
        parts = [
            f"{code(lead.second)} by {_by(found, lead)} ({_weight(lead)})"
            for lead in found.comparisons
            if lead.first == first
        ]
        if parts:
            lines.append(f"{code(first)} ({_of(found, first)}) over {'; over '.join(parts)}.")
    return [*lines, "The other pairs are in the table of differences below."] if many else lines


_MANY = 3
"""Models up to which every pair is spelt out in the answer."""


def _weight(lead: Comparison) -> str:
    return _said(lead) + ("" if lead.controlled else "; not controlled")


def _said(lead: Comparison) -> str:
    if not lead.excludes_zero:
        return f"includes 0: {lead.verdict}"
    if lead.verdict == "EQUIVALENT":
        return "excludes 0, yet too small to matter: EQUIVALENT"
    if lead.verdict != "INCONCLUSIVE":
        return "excludes 0"
    if lead.reason.startswith("a network"):
        return "excludes 0, but a network has not passed the gate: INCONCLUSIVE"
    if lead.holm > 0.05:
        return (
            f"excludes 0, but p is {probability(lead.holm)} after Holm's correction: INCONCLUSIVE"
        )
    return "excludes 0, but one seed says nothing of others: INCONCLUSIVE"


def _pretraining(found: TaskAnalysis) -> list[str]:
    if not found.gains:
        return []
    beat = [lead for lead in found.gains if lead.significant and lead.difference.value > 0]
    lost = [lead for lead in found.gains if lead.significant and lead.difference.value < 0]
    level = [lead for lead in found.gains if lead not in beat and lead not in lost]
    groups = (
        (beat, "**beat the same network from scratch** for"),
        (level, "did **not clearly beat the same network from scratch** for"),
        (lost, "was **worse than the same network from scratch** for"),
    )
    parts = [
        f"{verb} {joined([_gain(found, lead) for lead in leads])}"
        for leads, verb in groups
        if leads
    ]
    return [f"Pretraining {'; it '.join(parts)}."]


def _gain(found: TaskAnalysis, lead: Comparison) -> str:
    return f"{code(lead.first)} ({'+' if lead.difference.value > 0 else ''}{_by(found, lead)})"


def _controls(found: TaskAnalysis) -> list[str]:
    """Say which controls the networks beat, those that they do not beat first."""
    lines: list[tuple[int, str]] = []
    for name in dict.fromkeys(lead.second for lead in found.control_comparisons):
        leads = [lead for lead in found.control_comparisons if lead.second == name]
        text = control_title(name)
        article = "" if text[:1].isupper() else "The "
        title = f"{article}{escape(text)} ({_value(found, found.measured[name, CONTROL])})"
        if name in CEILINGS:
            lines.append((2, f"{title} is a bound: no network can beat it."))
            continue
        wins = [
            code(lead.first) for lead in leads if lead.significant and lead.difference.value > 0
        ]
        loses = [
            code(lead.first) for lead in leads if lead.significant and lead.difference.value < 0
        ]
        above = [
            code(lead.first)
            for lead in leads
            if lead.excludes_zero and not lead.significant and lead.difference.value > 0
        ]
        below = [
            code(lead.first)
            for lead in leads
            if lead.excludes_zero and not lead.significant and lead.difference.value < 0
        ]
        level = [code(lead.first) for lead in leads if not lead.excludes_zero]
        if len(wins) == len(leads):
            lines.append((2, f"{title} is beaten by {_all(len(leads))}."))
            continue
        yet = "by an interval without 0, yet not after Holm's correction"
        groups = (
            (loses, f"beats {_all(len(leads)) if len(loses) == len(leads) else joined(loses)}"),
            (level, f"cannot be told apart from {joined(level)}"),
            (below, f"is ahead of {joined(below)} {yet}"),
            (above, f"is behind {joined(above)} {yet}"),
            (wins, f"is beaten by {joined(wins)}"),
        )
        said = "; it ".join(part for models, part in groups if models)
        if wins or above:
            lines.append((0 if loses or below else 1, f"**{title}** {said}."))
        elif len(loses) < len(leads):
            lines.append((0, f"**{title} is beaten by no network**: it {said}."))
        else:
            lines.append((0, f"**{title} {said}.**"))
    return [line for _, line in sorted(lines, key=lambda pair: pair[0])]


def _all(number: int) -> str:
    words = {
        1: "the one network",
        2: "both networks",
        3: "all three networks",
        4: "all four networks",
    }
    return words.get(number, f"all {number} networks")
