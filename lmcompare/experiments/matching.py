"""``match:`` makes models as costly as a reference model, in the costs that it names."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lmcompare.core.cells import CellSettings
from lmcompare.core.errors import InputError, Problem, nearest
from lmcompare.core.settings import STRICT, ModelSettings
from lmcompare.experiments.cost_model import BY_SIZE, COSTS, CostModel, cost_model
from lmcompare.experiments.grid import GridPoints
from lmcompare.experiments.validation import validate
from lmcompare.experiments.yaml import shown

TOLERANCE = 0.05
"""A matched model may be off by this share of what its reference has."""

_SECONDS = (
    "wall time is known when a run is over, and another machine has another: a run could not be "
    "repeated; match flops, and read the wall time in the report's budget"
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
    """In which costs the models of an experiment are to be equal.

    In YAML ``match: flops``, ``match: [tokens, flops]``, or with all of these keys.
    """

    __pydantic_config__ = STRICT

    by: tuple[str, ...]
    """costs; of several, each matched model appears once for each, `<model> at equal <cost>`"""
    reference: str = ""
    """the model whose costs the others are given; the first, if left out"""
    models: tuple[str, ...] | None = None
    """names of the models that are matched; every one but the reference, if left out"""
    solved: Mapping[str, MatchedSettings] = field(default_factory=dict)
    """in resolved settings: what each model was matched in; nothing is solved again"""


def read_match(given: Any, problems: list[Problem]) -> Match | None:
    """Return what ``match`` says; None if it says nothing, or says it wrong."""
    if given is None:
        return None
    section = dict(given) if isinstance(given, Mapping) else {"by": given}
    path = "match.by" if isinstance(given, Mapping) else "match"
    costs = section.get("by")
    costs = costs if isinstance(costs, list) else [costs]
    wanted = f"one or a list of {', '.join(COSTS)}"
    mistakes = []
    if not costs or None in costs:
        mistakes.append(Problem(path, wanted, shown(section.get("by"))))
        costs = []
    for cost in costs:
        if cost == "seconds":
            mistakes.append(Problem(path, wanted, f'"seconds": {_SECONDS}'))
        elif cost not in COSTS:
            hint = nearest(str(cost), COSTS)
            mistakes.append(Problem(path, message=f"no matching {shown(cost)}{hint}"))
    if not mistakes and len(set(costs)) < len(costs):
        mistakes.append(Problem(path, "each once", shown(costs)))
    problems += mistakes
    return None if mistakes else validate(Match, {**section, "by": costs}, "match", problems)


def solve(
    experiment: CellSettings, match: Match, points: GridPoints, problems: list[Problem]
) -> tuple[dict[str, ModelSettings], Match]:
    """Return the models made equal to their references, and the matching with what was solved.

    A model is matched to the reference at the same point of the grid.
    """
    if match.solved:
        problems += _unknown_names(experiment, match)
        return experiment.models, match
    references = _references(experiment, match, points, problems)
    try:
        costs = {
            name: cost_model(experiment, name)
            for name in dict.fromkeys([*references, *references.values()])
        }
    except InputError as error:
        problems += [Problem("match", message=line) for line in error.problems]
        return experiment.models, match
    models: dict[str, ModelSettings] = {}
    solved: dict[str, MatchedSettings] = {}
    for name, model in experiment.models.items():
        if name not in references:
            models[name] = model
            continue
        reference = costs[references[name]]
        for settings, by in _variants(match, model, costs[name], reference, problems):
            equal = " + ".join(cost.replace("_", " ") for cost in by)
            label = name if len(match.by) == 1 else f"{name} at equal {equal}"
            if label in models or label != name and label in experiment.models:
                message = "the name is taken; match gives it to another model"
                problems.append(Problem(f"models.{label}", message=message))
            models[label] = settings
            solved[label] = MatchedSettings(tuple(by), reference.name)
    return models, replace(match, solved=solved)


def _variants(
    match: Match,
    model: ModelSettings,
    own: CostModel,
    reference: CostModel,
    problems: list[Problem],
) -> list[tuple[ModelSettings, list[str]]]:
    """Return a model's settings at each cost of its reference; costs of equal settings together."""
    variants: list[tuple[ModelSettings, list[str]]] = []
    for cost in match.by:
        equal = own.matched(reference, cost)
        aim, got = reference.cost(cost), equal.cost(cost)
        if abs(got / aim - 1) > TOLERANCE:
            message = (
                f"wanted {own.name} within {TOLERANCE:.0%} of the {COSTS[cost]} of "
                f"{reference.name} ({aim:,.4g}); the nearest is {got:,.4g}, {_hint(equal, cost)}"
            )
            problems.append(Problem("match", message=message))
        settings = _changed(model, own, equal)
        same = next((costs for other, costs in variants if other == settings), None)
        if same is None:
            variants.append((settings, [cost]))
        else:
            same.append(cost)
    return variants


def matching_lines(experiment: CellSettings, match: Match) -> list[str]:
    """Say what each model was matched in, how near it comes, and by what."""
    lines = []
    for name, matched in match.solved.items():
        own = cost_model(experiment, name)
        reference = cost_model(experiment, matched.reference)
        ratios = [
            f"{COSTS[cost]} {own.cost(cost) / reference.cost(cost):.3f} x" for cost in matched.by
        ]
        network = own.network
        lines.append(
            f"models.{name}: {', '.join(ratios)} of {matched.reference}: "
            f"hidden_size {network.hidden_size}, ffn_multiplier {network.ffn_multiplier:g}, "
            f"{own.cost('tokens'):,.0f} tokens, {own.cost('parameters'):,.0f} parameters, "
            f"{own.cost('targets'):,.0f} targets"
        )
    return lines


def _unknown_names(experiment: CellSettings, match: Match) -> list[Problem]:
    """Return what is wrong with names in settings that are solved already."""
    problems = []
    for model, matched in match.solved.items():
        for name in (model, matched.reference):
            if name not in experiment.models:
                message = f"no model {name!r}{nearest(name, experiment.models)}"
                problems.append(Problem(f"match.solved.{name}", message=message))
        for cost in matched.by:
            if cost not in COSTS:
                message = f"no matching {cost!r}{nearest(cost, COSTS)}"
                problems.append(Problem(f"match.solved.{model}.by", message=message))
    return problems


def _references(
    experiment: CellSettings, match: Match, points: GridPoints, problems: list[Problem]
) -> dict[str, str]:
    """Return which model each model is matched to; those that are not matched are left out."""
    before = len(problems)
    names = list(dict.fromkeys(name for name, _ in points.values()))
    reference = match.reference or names[0]
    problems += _wrong_names(experiment, match, reference, points)
    if len(problems) > before:
        return {}
    references: dict[str, str] = {}
    for model, (name, point) in points.items():
        if match.models is not None and not {model, name} & set(match.models):
            continue
        if experiment.models[model].checkpoint is not None or reference in (model, name):
            continue
        candidates = [other for other, at in points.items() if at == (reference, point)]
        if reference in experiment.models:
            candidates = [reference]
        if len(candidates) != 1:
            of_grid = ", ".join(other for other, at in points.items() if at[0] == reference)
            message = (
                f"wanted one model to set {model} against, got {len(candidates)} of {reference} "
                f"at that point of the grid; name one of {of_grid}"
            )
            problems.append(Problem("match.reference", message=message))
        elif experiment.models[candidates[0]].checkpoint is not None:
            got = f"the checkpoint {candidates[0]}: of what it cost, its size alone is known"
            problems.append(Problem("match.reference", "a model that is trained here", got))
            break
        else:
            references[model] = candidates[0]
    if not references and len(problems) == before:
        wanted = f"another model that is trained here, to match to {reference}"
        problems.append(Problem("match", wanted, "none"))
    return references


def _wrong_names(
    experiment: CellSettings, match: Match, reference: str, points: GridPoints
) -> list[Problem]:
    """Return which names of ``match`` are of no model that can be matched."""
    problems = []
    known = {*(name for name, _ in points.values()), *experiment.models}
    if reference not in known:
        message = f"no model {reference!r}{nearest(reference, known)}"
        return [Problem("match.reference", message=message)]
    for i, name in enumerate(match.models or ()):
        path = f"match.models.{i}"
        model = experiment.models.get(name)
        if name not in known:
            problems.append(Problem(path, message=f"no model {name!r}{nearest(name, known)}"))
        elif reference in (name, points.get(name, ("",))[0]):
            problems.append(Problem(path, "another model than the reference", repr(name)))
        elif model is not None and model.checkpoint is not None:
            problems.append(
                Problem(path, "a model that is trained here", f"the checkpoint {name!r}")
            )
    return problems


def _hint(model: CostModel, cost: str) -> str:
    if cost in BY_SIZE:
        network = model.network
        sizes = f"of hidden_size {network.hidden_size} with {network.num_heads} heads"
        return f"{sizes}; fewer heads allow other sizes"
    return (
        f"of {model.steps} steps; more training.tokens, or a smaller training.batch_size, come "
        "nearer"
    )


def _changed(model: ModelSettings, before: CostModel, after: CostModel) -> ModelSettings:
    network = {
        key: getattr(after.network, key)
        for key in ("hidden_size", "ffn_multiplier")
        if getattr(after.network, key) != getattr(before.network, key)
    }
    training = dict(model.training)
    if after.training.tokens != before.training.tokens:
        training["tokens"] = after.training.tokens
    return replace(model, network={**model.network, **network}, training=training)
