"""What the trained networks are compared on: one task a file, its settings a frozen dataclass."""

from typing import ClassVar, Literal, Protocol

from lmcompare.registry import Registry


class Task(Protocol):
    """What the report and the plan of the cells must know of a task; ``evaluate`` does the work.

    A task that reads labelled items has a field ``source`` (typed ``object``); an experiment resolves it to a Source.

    Attributes:
        kind: the YAML word.
        family: what the task asks for.
        primary_metric: the metric that the answer of the report rests on.
        better: whether more or less of it is better.
        conditions: which networks are measured: 'pretrained', and 'scratch' for the same ones untrained. The controls
            of the task are a cell of their own.
    """

    kind: ClassVar[str]
    family: ClassVar[Literal["understanding", "generation"]]
    primary_metric: ClassVar[str]
    better: ClassVar[Literal["higher", "lower"]]
    conditions: ClassVar[tuple[str, ...]]

    @property
    def smallest_effect(self) -> float:
        """The smallest difference in the primary metric that would matter: verdicts need it, fixed beforehand."""

    def describe(self) -> str:
        """Return one line for the report."""


TASKS: Registry[Task] = Registry("task", "lmcompare.tasks")
