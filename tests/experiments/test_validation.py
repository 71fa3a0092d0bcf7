"""What is said of a setting that is wrong."""

from dataclasses import dataclass

from lmcompare.core import settings
from lmcompare.core.errors import Problem
from lmcompare.experiments.validation import validate


@dataclass(frozen=True)
class Lamp:
    """Settings that a plug-in may have."""

    __pydantic_config__ = settings.STRICT

    watts: settings.Positive
    on: bool = False


def said(data: object) -> list[str]:
    problems: list[Problem] = []
    assert validate(Lamp, data, "lamp", problems) is None
    return list(map(str, problems))


def test_settings_are_checked() -> None:
    problems: list[Problem] = []
    assert validate(Lamp, {"watts": "8"}, "lamp", problems) == Lamp(8)
    assert problems == []
    assert said({"watt": 8}) == [
        "lamp.watts: missing; wanted an integer greater than 0",
        "lamp.watt: no such key; did you mean 'watts'?",
    ]
    assert said({"watts": True, "on": 1}) == [
        "lamp.watts: wanted an integer greater than 0, got true",
        "lamp.on: wanted true or false, got 1",
    ]
    assert said(8) == ["lamp: wanted a mapping of watts, on, got 8"]
