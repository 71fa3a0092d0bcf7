"""Claims of an experiment, fixed in its YAML file before anything is measured."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from lmcompare.core.errors import nearest
from lmcompare.core.settings import PRETRAINING, STRICT
from lmcompare.experiments.validation import check
from lmcompare.experiments.yaml import shown


@dataclass(frozen=True)
class Hypothesis:
    """A claim, and the contrast that decides it."""

    __pydantic_config__ = STRICT

    claim: str
    """the claim in words, as the report prints it"""
    task: str
    """name of the task that decides it; or `pretraining`, which has metrics of its own: margin, validation_rise"""
    model: str
    """the model that the claim is about"""
    reference: str | None = None
    """the model that it is compared with"""
    control: str | None = None
    """the control that it is compared with, instead of a model: a name of the report, e.g. `majority`"""
    of: Literal["pretrained", "gain"] = "pretrained"
    """the score after pretraining, or what pretraining added to the same network from scratch"""
    test: Literal["superiority", "non_inferiority", "equivalence"] = "superiority"
    """what the claim states of the model; the last two have the smallest effect as their margin"""
    metric: str | None = None
    """which metric decides; the task's primary one if left out"""
    direction: Literal["higher", "lower"] | None = None
    """whether more or less of that metric is better; the task's word if left out"""
    smallest_effect: Annotated[float, Field(gt=0)] | None = None
    """smallest difference that would matter, in the metric's own unit; the task's if left out"""
    citation: str = ""
    """who makes the claim, or has measured it"""
    reported: str = ""
    """what they reported, and at what scale"""


DIRECTIONS: dict[str, Literal["higher", "lower"]] = {"margin": "higher", "validation_rise": "lower"}
"""What pretraining is judged by, in nats per target: how far the loss fell below that of the unigram, and by how much
the validation loss at the end is above its lowest."""


def build(
    section: Any,
    models: Mapping[str, Collection[str]],
    conditions: Mapping[str, Collection[str]],
    problems: list[str],
) -> dict[str, Hypothesis]:
    """Return the hypotheses of an experiment, or say what is wrong with each.

    Args:
        section: what the YAML file says under ``hypotheses``.
        models: of each model, by its name, the tasks that it is given.
        conditions: of each task, by its name: 'pretrained', and 'scratch' where it has one.
        problems: each problem is added, with the path of its key.
    """
    if section is None:
        return {}
    if not isinstance(section, Mapping):
        problems.append(f"hypotheses: wanted a mapping by name, got {shown(section)}")
        return {}
    found = {}
    for name, given in section.items():
        path = f"hypotheses.{name}"
        one = check(Hypothesis, given, path, problems)
        if one is None:
            continue
        said = [
            f"{path}.{key}: no such {what}{nearest(value, known)}"
            for key, what, value, known in (
                ("task", "task", one.task, [*conditions, PRETRAINING]),
                ("model", "model", one.model, list(models)),
                ("reference", "model", one.reference, list(models)),
            )
            if value is not None and value not in known
        ]
        if one.reference is not None and one.control is not None:
            said.append(f"{path}.control: wanted one of reference and control, got both")
        if one.reference is None and one.control is None and one.of != "gain":
            said.append(
                f"{path}.reference: missing; wanted a model, or `control`, or `of: gain` for pretraining alone"
            )
        if one.of == "gain" and one.control is not None:
            said.append(
                f"{path}.control: wanted none with `of: gain`: a control has no pretraining"
            )
        if one.of == "gain" and one.task in conditions and "scratch" not in conditions[one.task]:
            said.append(
                f"{path}.of: the task {one.task} does not measure networks from scratch; wanted `pretrained`"
            )
        said += [
            f"{path}.{key}: the model {model!r} is not given the task {one.task}; wanted it in `models.{model}.tasks`"
            for key, model in (("model", one.model), ("reference", one.reference))
            if one.task in conditions
            and model is not None
            and one.task not in models.get(model, [one.task])
        ]
        if one.task == PRETRAINING:
            if one.metric not in DIRECTIONS:
                said.append(
                    f"{path}.metric: wanted one of {', '.join(DIRECTIONS)}, got {shown(one.metric)}"
                )
            if one.smallest_effect is None:
                said.append(f"{path}.smallest_effect: missing; pretraining has none of its own")
            if one.of == "gain" or one.control is not None:
                said.append(
                    f"{path}.reference: wanted a model: pretraining has no controls and no scratch"
                )
            one = replace(one, direction=one.direction or DIRECTIONS.get(one.metric or ""))
        if one.model == one.reference:
            said.append(
                f"{path}.reference: wanted another model than `model`, got {one.reference!r}"
            )
        problems += said
        if not said:
            found[str(name)] = one
    return found
