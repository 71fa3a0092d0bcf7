"""What the trained networks are compared on: one task a file, its settings a frozen dataclass."""

from collections.abc import Mapping
from typing import ClassVar, Literal, Protocol

from lmcompare.core.registry import Registry


class Task(Protocol):
    """What the report and the plan of the cells must know of a task; ``evaluate`` does the work.

    A task that reads labelled items has a field ``source`` (typed ``object``); an experiment resolves it to a Source. A
    task made of several has ``sections``: of each field that maps names to settings with a ``source`` and ``columns``
    of their own, the class of these. Where there is a field ``verbalizer``, its keys are values of the last of ``columns``.

    Attributes:
        kind: the YAML word.
        family: what the task asks for.
        primary_metric: the metric that the answer of the report rests on.
        better: whether more or less of it is better.
        per_item: how metrics come from items: metric -> (record that is summed above, record that is summed below). An
            empty second word: the number of items. ``{"accuracy": ("correct", ""), "wer": ("errors", "words")}``. The
            intervals and tests of the report draw items from these; an item of which nothing is counted below stays.
        conditions: which networks are measured: 'pretrained', and 'scratch' for the same ones untrained. The controls
            of the task are a cell of their own.
        columns: the fields of the task whose values are names of columns of its source.
    """

    kind: ClassVar[str]
    family: ClassVar[Literal["understanding", "generation"]]
    primary_metric: ClassVar[str]
    better: ClassVar[Literal["higher", "lower"]]
    per_item: ClassVar[Mapping[str, tuple[str, str]]]
    conditions: ClassVar[tuple[str, ...]]
    columns: ClassVar[tuple[str, ...]]

    @property
    def smallest_effect(self) -> float:
        """The smallest difference in the primary metric that would matter: verdicts need it, fixed beforehand."""

    def describe(self) -> str:
        """Return one line for the report."""


TASKS: Registry[Task] = Registry("task", package="lmcompare.tasks", group="lmcompare.tasks")
