"""Equal in what? Arms that are given as much as a reference arm, in a currency that the experiment names."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lmcompare.core import settings
from lmcompare.core.errors import InputError, nearest
from lmcompare.core.settings import STRICT
from lmcompare.experiments.cost_model import BY_SIZE, CURRENCIES, Experiment, Side, side
from lmcompare.experiments.validation import check
from lmcompare.experiments.yaml import shown

TOLERANCE = 0.05
"""A matched arm may be off by this share of what its reference has."""

_SECONDS = (
    "wall time is known when a run is over, and another machine has another: a run could not be repeated; match flops, "
    "and read the wall time in the report's budget"
)


@dataclass(frozen=True)
class Solved:
    """What one arm was matched in, and to which arm."""

    __pydantic_config__ = STRICT

    by: tuple[str, ...]
    """currencies"""
    reference: str
    """the arm that it equals in them"""


@dataclass(frozen=True)
class Match:
    """What the arms of an experiment are to have in equal amount.

    In YAML ``match: flops``, ``match: [tokens, flops]``, or with all of these keys.
    """

    __pydantic_config__ = STRICT

    by: tuple[str, ...]
    """currencies; of several, each matched arm appears once for each, `<arm> at equal <currency>`"""
    reference: str = ""
    """the arm whose amounts the others are given; the first, if left out"""
    arms: tuple[str, ...] | None = None
    """names of the arms that are matched, the others stay as they are; every one but the reference, if left out"""
    solved: Mapping[str, Solved] = field(default_factory=dict)
    """of settings that are solved already: what each arm was matched in; nothing is solved again"""


def read(given: Any, problems: list[str]) -> Match | None:
    """Return what ``match`` says; None if it says nothing, or says it wrong: then also what is wrong."""
    if given is None:
        return None
    said = dict(given) if isinstance(given, Mapping) else {"by": given}
    path = "match.by" if isinstance(given, Mapping) else "match"
    words = said.get("by")
    words = words if isinstance(words, list) else [words]
    wanted = f"wanted one or a list of {', '.join(CURRENCIES)}"
    wrong = [f"{path}: {wanted}, got {shown(said.get('by'))}"] if not words or None in words else []
    for word in words if not wrong else []:
        if word == "seconds":
            wrong.append(f'{path}: {wanted}, got "seconds": {_SECONDS}')
        elif word not in CURRENCIES:
            wrong.append(f"{path}: no matching {shown(word)}{nearest(str(word), CURRENCIES)}")
    if not wrong and len(set(words)) < len(words):
        wrong.append(f"{path}: wanted each once, got {shown(words)}")
    problems += wrong
    return None if wrong else check(Match, {**said, "by": words}, "match", problems)


def solve(
    experiment: Experiment, match: Match, points: Mapping[str, tuple[str, str]], problems: list[str]
) -> tuple[dict[str, settings.Arm], Match]:
    """Return the arms with what makes them equal to their reference, and the matching with what was solved.

    Args:
        experiment: with the arms as they are set.
        match: what is to be equal.
        points: of each arm its name before a grid made several of it, and its point of the grid: an arm is matched to
            the reference at the same point.
        problems: is told what cannot be matched.
    """
    if match.solved:
        problems += _unknown(experiment, match)
        return experiment.arms, match
    references = _references(experiment, match, points, problems)
    try:
        sides = {name: side(experiment, name) for name in dict.fromkeys([*references, *references.values()])}
    except InputError as error:
        problems += [f"match: {problem}" for problem in error.problems]
        return experiment.arms, match
    arms: dict[str, settings.Arm] = {}
    solved: dict[str, Solved] = {}
    for name, arm in experiment.arms.items():
        if name not in references:
            arms[name] = arm
            continue
        reference = sides[references[name]]
        found: list[tuple[settings.Arm, list[str]]] = []
        for currency in match.by:
            made = sides[name].matched(reference, currency)
            aim, got = reference.spends(currency), made.spends(currency)
            if abs(got / aim - 1) > TOLERANCE:
                problems.append(
                    f"match: wanted {name} within {TOLERANCE:.0%} of the {CURRENCIES[currency]} of {references[name]} "
                    f"({aim:,.4g}); the nearest is {got:,.4g}, {_how(made, currency)}"
                )
            changed = _changed(arm, sides[name], made)
            same = next((words for other, words in found if other == changed), None)
            found += [(changed, [currency])] if same is None else []
            if same is not None:
                same.append(currency)
        for changed, words in found:
            equal = " + ".join(word.replace("_", " ") for word in words)
            label = name if len(match.by) == 1 else f"{name} at equal {equal}"
            if label in arms or label != name and label in experiment.arms:
                problems.append(f"arms.{label}: the name is taken; match gives it to another arm")
            arms[label], solved[label] = changed, Solved(tuple(words), references[name])
    return arms, replace(match, solved=solved)


def lines(experiment: Experiment, match: Match) -> list[str]:
    """Say what each arm was matched in, how near it comes, and by what."""
    said = []
    for name, one in match.solved.items():
        mine, reference = side(experiment, name), side(experiment, one.reference)
        near = [f"{CURRENCIES[word]} {mine.spends(word) / reference.spends(word):.3f} x" for word in one.by]
        size = f"width {mine.network.width}, feedforward {mine.network.feedforward:g}"
        said.append(
            f"arms.{name}: {', '.join(near)} of {one.reference}: {size}, {mine.spends('tokens'):,.0f} tokens, "
            f"{mine.spends('parameters'):,.0f} parameters, {mine.spends('targets'):,.0f} targets"
        )
    return said


def _unknown(experiment: Experiment, match: Match) -> list[str]:
    """Return what is wrong with names in settings that are solved already."""
    said = []
    for arm, one in match.solved.items():
        said += [
            f"match.solved.{name}: no arm {name!r}{nearest(name, experiment.arms)}"
            for name in (arm, one.reference)
            if name not in experiment.arms
        ]
        said += [f"match.solved.{arm}.by: no matching {word!r}{nearest(word, CURRENCIES)}"
                 for word in one.by if word not in CURRENCIES]  # fmt: skip
    return said


def _references(
    experiment: Experiment, match: Match, points: Mapping[str, tuple[str, str]], problems: list[str]
) -> dict[str, str]:
    """Return which arm each arm is matched to; those that are not matched are left out."""
    before = len(problems)
    names = list(dict.fromkeys(name for name, _ in points.values()))
    wanted = match.reference or names[0]
    if wanted not in names and wanted not in experiment.arms:
        problems.append(f"match.reference: no arm {wanted!r}{nearest(wanted, {*names, *experiment.arms})}")
        return {}
    for i, name in enumerate(match.arms or ()):
        if name not in names and name not in experiment.arms:
            problems.append(f"match.arms.{i}: no arm {name!r}{nearest(name, {*names, *experiment.arms})}")
        elif name == wanted or points.get(name, ("",))[0] == wanted:
            problems.append(f"match.arms.{i}: wanted another arm than the reference, got {name!r}")
        elif name in experiment.arms and experiment.arms[name].checkpoint is not None:
            problems.append(f"match.arms.{i}: wanted an arm that is trained here, got the checkpoint {name!r}")
    if len(problems) > before:
        return {}
    found: dict[str, str] = {}
    for arm, (name, point) in points.items():
        if match.arms is not None and not {arm, name} & set(match.arms):
            continue
        if experiment.arms[arm].checkpoint is not None or wanted in (arm, name):
            continue
        there = [wanted] if wanted in experiment.arms else [o for o, at in points.items() if at == (wanted, point)]
        if len(there) != 1:
            problems.append(
                f"match.reference: wanted one arm to set {arm} against, got {len(there)} of {wanted} at that point of "
                f"the grid; name one of {', '.join(o for o, at in points.items() if at[0] == wanted)}"
            )
        elif experiment.arms[there[0]].checkpoint is not None:
            problems.append(
                f"match.reference: wanted an arm that is trained here, got the checkpoint {there[0]}: of what it cost, "
                "its size alone is known"
            )
            break
        else:
            found[arm] = there[0]
    if not found and len(problems) == before:
        problems.append(f"match: wanted another arm that is trained here, to match to {wanted}, got none")
    return found


def _how(made: Side, currency: str) -> str:
    if currency in BY_SIZE:
        network = made.network
        return f"of width {network.width} with {network.heads} heads; fewer heads allow other widths"
    return f"of {made.steps} steps; more training.tokens, or a smaller training.batch, come nearer"


def _changed(arm: settings.Arm, was: Side, made: Side) -> settings.Arm:
    network = {
        key: getattr(made.network, key)
        for key in ("width", "feedforward")
        if getattr(made.network, key) != getattr(was.network, key)
    }
    tokens = {"tokens": made.training.tokens} if made.training.tokens != was.training.tokens else {}
    return replace(arm, network={**arm.network, **network}, training={**arm.training, **tokens})
