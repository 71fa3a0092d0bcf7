"""What a source of text is, and the registry of sources by their YAML word."""

from collections.abc import Iterator
from typing import Any, ClassVar, Protocol

from lmcompare.core.registry import Registry

Row = dict[str, Any]


class Source(Protocol):
    """Where text comes from: a frozen dataclass whose fields are its YAML keys."""

    kind: ClassVar[str]
    """the word in YAML"""

    def rows(self) -> Iterator[Row]:
        """Yield a row a document, in a fixed order: its ``text`` and all other columns.

        Raises:
            InputError: a file, a package, a column or the network is missing, or a file cannot be
                read as what it is.
        """
        ...

    def fingerprint(self) -> str:
        """Return a SHA-256 of the content and the settings; a file that is moved keeps it."""
        ...


SOURCES: Registry[Source] = Registry(
    "source", package="lmcompare.data.sources", group="lmcompare.sources"
)
