"""Claims of an experiment, fixed in its YAML file before anything is measured."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from lmcompare.core.errors import Problem, nearest
from lmcompare.core.settings import PRETRAINING, STRICT, ModelSettings
from lmcompare.experiments.validation import validate
from lmcompare.experiments.yaml import shown
from lmcompare.tasks import Task


@dataclass(frozen=True)
class Hypothesis:
    """A claim, and the comparison that decides it."""

    __pydantic_config__ = STRICT

    claim: str
    """the claim in words, as the report prints it"""
    task: str
    """the task that decides it; or `pretraining`, whose metrics are margin and validation_rise"""
    model: str
    """the model that the claim is about"""
    reference: str | None = None
    """the model that it is compared with"""
    control: str | None = None
    """instead of a reference: a control by its name in the report, such as `majority`"""
    of: Literal["pretrained", "gain"] = "pretrained"
    """the score after pretraining, or what pretraining adds to the same network from scratch"""
    test: Literal["superiority", "non_inferiority", "equivalence"] = "superiority"
    """what the claim states of the model; the last two have the smallest effect as their margin"""
    metric: str | None = None
    """the metric that decides; the task's primary one if left out"""
    direction: Literal["higher", "lower"] | None = None
    """whether more or less of that metric is better; as the task has it if left out"""
    smallest_effect: Annotated[float, Field(gt=0)] | None = None
    """smallest difference that would matter, in the metric's unit; the task's if left out"""
    citation: str = ""
    """who makes the claim, or has measured it"""
    reported: str = ""
    """what they reported, and at what scale"""


DIRECTIONS: dict[str, Literal["higher", "lower"]] = {"margin": "higher", "validation_rise": "lower"}
"""Metrics of pretraining, nats per target: how far the loss fell below that of the unigram, and by
how much the validation loss at the end is above its lowest."""


def build_hypotheses(
    section: Any,
    models: Mapping[str, ModelSettings],
    tasks: Mapping[str, Task],
    problems: list[Problem],
) -> dict[str, Hypothesis]:
    """Return the hypotheses of an experiment; what is wrong with each is added to ``problems``."""
    if section is None:
        return {}
    if not isinstance(section, Mapping):
        problems.append(Problem("hypotheses", "a mapping by name", shown(section)))
        return {}
    hypotheses = {}
    for name, given in section.items():
        path = f"hypotheses.{name}"
        hypothesis = validate(Hypothesis, given, path, problems)
        if hypothesis is None:
            continue
        mistakes = [*_references(hypothesis, models, tasks), *_comparison(hypothesis, tasks)]
        if hypothesis.task == PRETRAINING:
            mistakes += _pretraining(hypothesis)
            direction = hypothesis.direction or DIRECTIONS.get(hypothesis.metric or "")
            hypothesis = replace(hypothesis, direction=direction)
        problems += [mistake.below(path) for mistake in mistakes]
        if not mistakes:
            hypotheses[str(name)] = hypothesis
    return hypotheses


def _references(
    hypothesis: Hypothesis, models: Mapping[str, ModelSettings], tasks: Mapping[str, Task]
) -> list[Problem]:
    """Return which names are of nothing, and which models are not given the task."""
    problems = []
    if hypothesis.task not in [*tasks, PRETRAINING]:
        known = nearest(hypothesis.task, [*tasks, PRETRAINING])
        problems.append(Problem("task", message=f"no such task{known}"))
    for key, name in (("model", hypothesis.model), ("reference", hypothesis.reference)):
        if name is None:
            continue
        if name not in models:
            problems.append(Problem(key, message=f"no such model{nearest(name, models)}"))
        elif models[name].tasks is not None and hypothesis.task in tasks:
            if hypothesis.task not in (models[name].tasks or ()):
                given = f"the model {name!r} is not given the task {hypothesis.task}"
                message = f"{given}; wanted it in `models.{name}.tasks`"
                problems.append(Problem(key, message=message))
    return problems


def _comparison(hypothesis: Hypothesis, tasks: Mapping[str, Task]) -> list[Problem]:
    """Return why the model cannot be compared with what is named."""
    problems = []
    gain, task = hypothesis.of == "gain", tasks.get(hypothesis.task)
    if hypothesis.reference is not None and hypothesis.control is not None:
        problems.append(Problem("control", "one of reference and control", "both"))
    if hypothesis.reference is None and hypothesis.control is None and not gain:
        wanted = "a model, or `control`, or `of: gain` for pretraining alone"
        problems.append(Problem("reference", wanted))
    if gain and hypothesis.control is not None:
        message = "wanted none with `of: gain`: a control has no pretraining"
        problems.append(Problem("control", message=message))
    if gain and task is not None and "scratch" not in task.conditions:
        given = f"the task {hypothesis.task} does not measure networks from scratch"
        problems.append(Problem("of", message=f"{given}; wanted `pretrained`"))
    if hypothesis.model == hypothesis.reference:
        wanted = "another model than `model`"
        problems.append(Problem("reference", wanted, repr(hypothesis.reference)))
    return problems


def _pretraining(hypothesis: Hypothesis) -> list[Problem]:
    """Return what is wrong with a claim about pretraining itself."""
    problems = []
    if hypothesis.metric not in DIRECTIONS:
        wanted = f"one of {', '.join(DIRECTIONS)}"
        problems.append(Problem("metric", wanted, shown(hypothesis.metric)))
    if hypothesis.smallest_effect is None:
        message = "missing; pretraining has none of its own"
        problems.append(Problem("smallest_effect", message=message))
    if hypothesis.of == "gain" or hypothesis.control is not None:
        message = "wanted a model: pretraining has no controls and no scratch"
        problems.append(Problem("reference", message=message))
    return problems
