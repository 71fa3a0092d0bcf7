"""What a task measures: outcomes with their notes, samples and costs; and items in tokens."""

from dataclasses import dataclass, field, fields
from pathlib import PurePath
from typing import Any

from lmcompare.core.errors import InputError
from lmcompare.core.records import Notes


@dataclass(frozen=True)
class TaskOutcome:
    """One value; the fields are those of ``records.Record`` that a task decides.

    Attributes:
        metric: what was measured.
        value: in the metric's unit.
        item: id of the test item, or '' for a value of the whole task.
        split: where it was measured.
        exactness: for likelihoods: 'exact', 'chain', 'bound', 'pseudo'.
        model: name of a control; '' for the model under test.
        part: '<kind>/<name>' ('class/positive') of a value of a part of the items; '' for all of them.
    """

    metric: str
    value: float
    item: str = ""
    split: str = "test"
    exactness: str = ""
    model: str = ""
    part: str = ""


@dataclass
class Measurement:
    """What a task measured: outcomes, what the report should say of them, generations, costs."""

    outcomes: list[TaskOutcome] = field(default_factory=list)
    notes: Notes = field(default_factory=Notes)
    samples: list[dict[str, Any]] = field(default_factory=list)
    costs: dict[str, float] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)


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
    """Return a source in a few words, for the line of a report: its kind and what is not as by default.

    Of a path its last part is said: where the rest lies is the machine's matter.
    """
    said = [str(source.kind)]
    for setting in fields(source):
        value = getattr(source, setting.name)
        if value != setting.default:
            paths = [value] if isinstance(value, str) else value
            value = (
                ", ".join(PurePath(path).name for path in paths)
                if setting.name == "path"
                else value
            )
            said.append(f"{setting.name}={value}" if value != "" else f"{setting.name}=''")
    return " ".join(said)
