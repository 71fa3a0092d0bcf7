"""The tasks that trained networks are compared on: one task a file, its settings a dataclass."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from lmcompare.core import settings
from lmcompare.core.registry import Registry

if TYPE_CHECKING:
    from lmcompare.evaluation.harness import Harness
    from lmcompare.tasks.base import Measurement


class Task:
    """A task is a frozen dataclass, registered under its YAML word, whose fields are its YAML keys.

    A task that reads labeled items has a field ``source`` (typed ``object``), which an experiment
    resolves to a Source. Where it has a field ``verbalizer``, its keys are values of the last of
    ``columns``. A field ``protocol`` is a Literal of the ways of adaptation that the task takes.
    """

    __pydantic_config__ = settings.STRICT

    kind: ClassVar[str]
    """the YAML word"""
    family: ClassVar[Literal["understanding", "generation"]]
    """what the task demands of a network"""
    better: ClassVar[Literal["higher", "lower"]] = "higher"
    """which values of the primary metric are good"""
    conditions: ClassVar[tuple[str, ...]] = ("pretrained",)
    """which networks are measured: 'pretrained', and 'scratch' for the same ones untrained"""
    columns: ClassVar[tuple[str, ...]] = ()
    """the fields whose values are names of columns of the source"""
    sections: ClassVar[Mapping[str, type[Any]]] = {}
    """the fields that map names to settings with a ``source`` and ``columns`` of their own, and the
    class of these settings"""

    @property
    def primary_metric(self) -> str:
        """The metric that verdicts rest on."""
        raise NotImplementedError

    @property
    def per_item(self) -> Mapping[str, tuple[str, str]]:
        """How metrics come from items: metric -> (record in the numerator, record in the
        denominator).

        Both are summed over items; an empty second word is the number of items:
        ``{"accuracy": ("correct", ""), "wer": ("errors", "words")}``. Intervals and tests resample
        items from these; an item whose denominator is 0 stays.
        """
        raise NotImplementedError

    @property
    def smallest_effect(self) -> float | None:
        """The smallest difference in the primary metric that would matter, fixed beforehand."""
        raise NotImplementedError

    def describe(self) -> str:
        """Return one line for the report."""
        raise NotImplementedError

    def measure(self, harness: "Harness") -> "Measurement":
        """Measure the model of the harness on the test items."""
        raise NotImplementedError

    def control(self, harness: "Harness") -> "Measurement":
        """Measure what needs no network, on the same items: majority, n-grams, and the like."""
        raise NotImplementedError


TASKS: Registry[Task] = Registry("task", package="lmcompare.tasks", group="lmcompare.tasks")
