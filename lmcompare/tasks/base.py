"""What a task measures: outcomes with their notes, samples and costs; and items in tokens."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import PurePath
from typing import Any, TypeVar

import numpy as np

from lmcompare.core.errors import InputError
from lmcompare.core.records import Notes

P = TypeVar("P")
SPLITS = ("train", "validation", "test")
SPECIAL_TOKENS = 2
"""Tokens that an objective may put around a text, or around a prompt and its answer."""


@dataclass(frozen=True)
class TaskOutcome:
    """One value; the fields are those of ``records.Record`` that a task decides."""

    metric: str
    value: float
    item: str = ""
    """id of the test item; '' for a value of the whole task"""
    split: str = "test"
    exactness: str = ""
    """of a likelihood: 'exact', 'chain', 'bound' or 'pseudo'"""
    model: str = ""
    """name of a control; '' for the model under test"""
    part: str = ""
    """'<kind>/<name>' ('class/positive') of a value of a part of the items; '' for all of them"""


@dataclass
class Measurement:
    """What a task measured: outcomes, what the report should say of them, generations, costs."""

    outcomes: list[TaskOutcome] = field(default_factory=list)
    notes: Notes = field(default_factory=Notes)
    samples: list[dict[str, Any]] = field(default_factory=list)
    costs: dict[str, float] = field(default_factory=dict)
    fingerprint: str = ""
    """content hash of the test items: results are comparable where it is equal"""


def item_outcomes(
    metric: str,
    ids: Iterable[str],
    values: Iterable[float],
    *,
    exactness: str = "",
    model: str = "",
) -> list[TaskOutcome]:
    """Return one outcome for each test item."""
    return [
        TaskOutcome(metric, float(value), item, exactness=exactness, model=model)
        for item, value in zip(ids, values, strict=True)
    ]


def whole_outcomes(values: Mapping[str, float], *, model: str = "") -> list[TaskOutcome]:
    """Return one outcome for each metric of the test split as a whole."""
    return [TaskOutcome(metric, float(value), model=model) for metric, value in values.items()]


def bits_per_byte(
    ids: Sequence[str],
    nats: Iterable[Any],
    sizes: Sequence[int],
    *,
    exactness: str = "",
    model: str = "",
    names: tuple[str, str, str] = ("bits_per_byte", "bits", "bytes"),
) -> list[TaskOutcome]:
    """Return bits and bytes of each text, and bits per byte of all; nothing for no texts.

    Args:
        ids: of the items.
        nats: of each text, log p of each of its tokens.
        sizes: of each text, its UTF-8 bytes.
        exactness: of the likelihoods.
        model: name of a control.
        names: of the ratio, its numerator and its denominator.
    """
    if not ids:
        return []
    ratio, numerator, denominator = names
    bits = [-float(row.sum()) / np.log(2) for row in nats]
    return [
        TaskOutcome(ratio, sum(bits) / max(sum(sizes), 1), exactness=exactness, model=model),
        *item_outcomes(numerator, ids, bits, exactness=exactness, model=model),
        *item_outcomes(denominator, ids, sizes, exactness=exactness, model=model),
    ]


def control_outcomes(
    metric: str,
    controls: Mapping[str, Callable[[str], P]],
    score: Callable[[P, str], list[TaskOutcome]],
    validate: Callable[[P], float],
) -> list[TaskOutcome]:
    """Return the outcomes of controls on the test split, and their primary metric on validation.

    Args:
        metric: the primary one.
        controls: name -> function from the name of a split to predictions.
        score: from predictions for the test split and the name of the control to outcomes.
        validate: from predictions for the validation split to the primary metric.
    """
    outcomes: list[TaskOutcome] = []
    for model, predict in controls.items():
        outcomes += score(predict("test"), model)
        value = validate(predict("validation"))
        outcomes.append(TaskOutcome(metric, value, split="validation", model=model))
    return outcomes


def sampled(seed: int, items: int, count: int) -> list[int]:
    """Draw the items that the report shows: the same for every model, so that like stands by
    like.
    """
    order = np.random.default_rng([seed, 1]).permutation(items)
    return [int(item) for item in order[:count]]


def generation(item: str, prompt: str, text: str, reference: str) -> dict[str, Any]:
    """Return a sample that the report shows."""
    return {"item": item, "prompt": prompt, "text": text, "reference": reference}


def check_fewshot(protocol: str, num_fewshot: int) -> None:
    """Refuse a number of examples that does not fit the protocol.

    Raises:
        InputError: few_shot without examples, or examples without few_shot.
    """
    if (protocol == "few_shot") != (num_fewshot > 0):
        wanted = "1 or more with protocol 'few_shot'"
        if protocol != "few_shot":
            wanted = f"0 with protocol {protocol!r} (examples need 'few_shot')"
        raise InputError(f"num_fewshot: wanted {wanted}, got {num_fewshot}")


def described(source: Any) -> str:
    """Return the kind of a source and its settings that are not the defaults, paths by their last
    part.
    """
    words = [str(source.kind)]
    for setting in fields(source):
        value = getattr(source, setting.name)
        if value == setting.default:
            continue
        if setting.name == "path":
            paths = [value] if isinstance(value, str) else value
            value = ", ".join(PurePath(path).name for path in paths)
        words.append(f"{setting.name}={value}" if value != "" else f"{setting.name}=''")
    return " ".join(words)
