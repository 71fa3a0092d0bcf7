"""Equal in what? Models that are given as much as a reference model, in a cost that the experiment names."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lmcompare.core import settings
from lmcompare.core.cells import CellSettings
from lmcompare.core.errors import InputError, nearest
from lmcompare.core.settings import STRICT
from lmcompare.experiments.cost_model import BY_SIZE, COSTS, ModelSide, side
from lmcompare.experiments.validation import check
from lmcompare.experiments.yaml import shown

TOLERANCE = 0.05
"""A matched model may be off by this share of what its reference has."""

_SECONDS = (
    "wall time is known when a run is over, and another machine has another: a run could not be repeated; match flops, "
    "and read the wall time in the report's budget"
)


@dataclass(frozen=True)
class MatchedSettings:
    """What one model was matched in, and to which model."""

    __pydantic_config__ = STRICT

    by: tuple[str, ...]
    """costs"""
    reference: str
    """the model that it equals in them"""


@dataclass(frozen=True)
class Match:
    """What the models of an experiment are to have in equal amount.

    In YAML ``match: flops``, ``match: [tokens, flops]``, or with all of these keys.
    """

    __pydantic_config__ = STRICT

    by: tuple[str, ...]
    """costs; of several, each matched model appears once for each, `<model> at equal <cost>`"""
    reference: str = ""
    """the model whose amounts the others are given; the first, if left out"""
    models: tuple[str, ...] | None = None
    """names of the models that are matched, the others stay as they are; every one but the reference, if left out"""
    solved: Mapping[str, MatchedSettings] = field(default_factory=dict)
    """of settings that are solved already: what each model was matched in; nothing is solved again"""


def read(given: Any, problems: list[str]) -> Match | None:
    """Return what ``match`` says; None if it says nothing, or says it wrong: then also what is wrong."""
    if given is None:
        return None
    said = dict(given) if isinstance(given, Mapping) else {"by": given}
    path = "match.by" if isinstance(given, Mapping) else "match"
    words = said.get("by")
    words = words if isinstance(words, list) else [words]
    wanted = f"wanted one or a list of {', '.join(COSTS)}"
    wrong = [f"{path}: {wanted}, got {shown(said.get('by'))}"] if not words or None in words else []
    for word in words if not wrong else []:
        if word == "seconds":
            wrong.append(f'{path}: {wanted}, got "seconds": {_SECONDS}')
        elif word not in COSTS:
            wrong.append(f"{path}: no matching {shown(word)}{nearest(str(word), COSTS)}")
    if not wrong and len(set(words)) < len(words):
        wrong.append(f"{path}: wanted each once, got {shown(words)}")
    problems += wrong
    return None if wrong else check(Match, {**said, "by": words}, "match", problems)


def solve(
    experiment: CellSettings,
    match: Match,
    points: Mapping[str, tuple[str, str]],
    problems: list[str],
) -> tuple[dict[str, settings.ModelSettings], Match]:
    """Return the models with what makes them equal to their reference, and the matching with what was solved.

    Args:
        experiment: with the models as they are set.
        match: what is to be equal.
        points: of each model its name before a grid made several of it, and its point of the grid: a model is matched to
            the reference at the same point.
        problems: is told what cannot be matched.
    """
    if match.solved:
        problems += _unknown(experiment, match)
        return experiment.models, match
    references = _references(experiment, match, points, problems)
    try:
        sides = {
            name: side(experiment, name)
            for name in dict.fromkeys([*references, *references.values()])
        }
    except InputError as error:
        problems += [f"match: {problem}" for problem in error.problems]
        return experiment.models, match
    models: dict[str, settings.ModelSettings] = {}
    solved: dict[str, MatchedSettings] = {}
    for name, model in experiment.models.items():
        if name not in references:
            models[name] = model
            continue
        reference = sides[references[name]]
        found: list[tuple[settings.ModelSettings, list[str]]] = []
        for cost in match.by:
            made = sides[name].matched(reference, cost)
            aim, got = reference.spends(cost), made.spends(cost)
            if abs(got / aim - 1) > TOLERANCE:
                problems.append(
                    f"match: wanted {name} within {TOLERANCE:.0%} of the {COSTS[cost]} of {references[name]} "
                    f"({aim:,.4g}); the nearest is {got:,.4g}, {_how(made, cost)}"
                )
            changed = _changed(model, sides[name], made)
            same = next((words for other, words in found if other == changed), None)
            found += [(changed, [cost])] if same is None else []
            if same is not None:
                same.append(cost)
        for changed, words in found:
            equal = " + ".join(word.replace("_", " ") for word in words)
            label = name if len(match.by) == 1 else f"{name} at equal {equal}"
            if label in models or label != name and label in experiment.models:
                problems.append(
                    f"models.{label}: the name is taken; match gives it to another model"
                )
            models[label], solved[label] = changed, MatchedSettings(tuple(words), references[name])
    return models, replace(match, solved=solved)


def lines(experiment: CellSettings, match: Match) -> list[str]:
    """Say what each model was matched in, how near it comes, and by what."""
    said = []
    for name, one in match.solved.items():
        mine, reference = side(experiment, name), side(experiment, one.reference)
        near = [
            f"{COSTS[word]} {mine.spends(word) / reference.spends(word):.3f} x" for word in one.by
        ]
        size = f"hidden_size {mine.network.hidden_size}, ffn_multiplier {mine.network.ffn_multiplier:g}"
        said.append(
            f"models.{name}: {', '.join(near)} of {one.reference}: {size}, {mine.spends('tokens'):,.0f} tokens, "
            f"{mine.spends('parameters'):,.0f} parameters, {mine.spends('targets'):,.0f} targets"
        )
    return said


def _unknown(experiment: CellSettings, match: Match) -> list[str]:
    """Return what is wrong with names in settings that are solved already."""
    said = []
    for model, one in match.solved.items():
        said += [
            f"match.solved.{name}: no model {name!r}{nearest(name, experiment.models)}"
            for name in (model, one.reference)
            if name not in experiment.models
        ]
        said += [f"match.solved.{model}.by: no matching {word!r}{nearest(word, COSTS)}"
                 for word in one.by if word not in COSTS]  # fmt: skip
    return said


def _references(
    experiment: CellSettings,
    match: Match,
    points: Mapping[str, tuple[str, str]],
    problems: list[str],
) -> dict[str, str]:
    """Return which model each model is matched to; those that are not matched are left out."""
    before = len(problems)
    names = list(dict.fromkeys(name for name, _ in points.values()))
    wanted = match.reference or names[0]
    if wanted not in names and wanted not in experiment.models:
        problems.append(
            f"match.reference: no model {wanted!r}{nearest(wanted, {*names, *experiment.models})}"
        )
        return {}
    for i, name in enumerate(match.models or ()):
        if name not in names and name not in experiment.models:
            problems.append(
                f"match.models.{i}: no model {name!r}{nearest(name, {*names, *experiment.models})}"
            )
        elif name == wanted or points.get(name, ("",))[0] == wanted:
            problems.append(
                f"match.models.{i}: wanted another model than the reference, got {name!r}"
            )
        elif name in experiment.models and experiment.models[name].checkpoint is not None:
            problems.append(
                f"match.models.{i}: wanted a model that is trained here, got the checkpoint {name!r}"
            )
    if len(problems) > before:
        return {}
    found: dict[str, str] = {}
    for model, (name, point) in points.items():
        if match.models is not None and not {model, name} & set(match.models):
            continue
        if experiment.models[model].checkpoint is not None or wanted in (model, name):
            continue
        there = (
            [wanted]
            if wanted in experiment.models
            else [o for o, at in points.items() if at == (wanted, point)]
        )
        if len(there) != 1:
            problems.append(
                f"match.reference: wanted one model to set {model} against, got {len(there)} of {wanted} at that point of "
                f"the grid; name one of {', '.join(o for o, at in points.items() if at[0] == wanted)}"
            )
        elif experiment.models[there[0]].checkpoint is not None:
            problems.append(
                f"match.reference: wanted a model that is trained here, got the checkpoint {there[0]}: of what it cost, "
                "its size alone is known"
            )
            break
        else:
            found[model] = there[0]
    if not found and len(problems) == before:
        problems.append(
            f"match: wanted another model that is trained here, to match to {wanted}, got none"
        )
    return found


def _how(made: ModelSide, cost: str) -> str:
    if cost in BY_SIZE:
        network = made.network
        return f"of hidden_size {network.hidden_size} with {network.num_heads} heads; fewer heads allow other sizes"
    return f"of {made.steps} steps; more training.tokens, or a smaller training.batch_size, come nearer"


def _changed(
    model: settings.ModelSettings, was: ModelSide, made: ModelSide
) -> settings.ModelSettings:
    network = {
        key: getattr(made.network, key)
        for key in ("hidden_size", "ffn_multiplier")
        if getattr(made.network, key) != getattr(was.network, key)
    }
    tokens = {"tokens": made.training.tokens} if made.training.tokens != was.training.tokens else {}
    return replace(
        model, network={**model.network, **network}, training={**model.training, **tokens}
    )
