"""What a section of the report is: facts, tables and figures, and the template that words them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lmcompare.report.tables import Table


@dataclass(frozen=True)
class Figure:
    """A drawing."""

    name: str
    """Of its file under figures/, without the ending."""
    png: bytes

    @property
    def path(self) -> str:
        """Path within the folder of the report."""
        return f"figures/{self.name}.png"


@dataclass(frozen=True)
class Section:
    """One section of the report: facts are computed here, sentences live in the template."""

    template: str
    """``templates/<template>.md.jinja`` writes it, under ``###`` (first page: ``##``)."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the template names: numbers, names, tables, figures, and lists and mappings of them."""
    task: str = ""
    """The task that it belongs to; '' for the whole experiment."""
    first_page: bool = False
    """Whether it stands in report.md; else in details.md."""

    @property
    def tables(self) -> list[Table]:
        """The tables among the facts that are written to a file."""
        return [fact for fact in _leaves(self.facts) if isinstance(fact, Table) and fact.name]

    @property
    def figures(self) -> list[Figure]:
        """The figures among the facts."""
        return [fact for fact in _leaves(self.facts) if isinstance(fact, Figure)]


def _leaves(fact: Any) -> Iterator[Any]:
    if isinstance(fact, Mapping):
        for value in fact.values():
            yield from _leaves(value)
    elif isinstance(fact, list | tuple):
        for value in fact:
            yield from _leaves(value)
    else:
        yield fact
