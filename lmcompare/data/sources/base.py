"""What a source of text is, and the registry of sources by their YAML word."""

from collections.abc import Iterator
from typing import Any, ClassVar, Protocol

from lmcompare.core.registry import Registry

Row = dict[str, Any]


class Source(Protocol):
    """Where text comes from: a frozen dataclass whose fields are its YAML keys, filed under its word in SOURCES.

    Attributes:
        kind: the word in YAML.
    """

    kind: ClassVar[str]

    def rows(self) -> Iterator[Row]:
        """Yield one row a document, in a fixed order: its ``text`` and every other column as it is.

        Raises:
            InputError: a file, a package, a column or the network is missing, or a file cannot be read as what it is.
        """
        ...

    def fingerprint(self) -> str:
        """Return a SHA-256 over the content and the settings; a file that is moved keeps it."""
        ...


SOURCES: Registry[Source] = Registry(
    "source", package="lmcompare.data.sources", group="lmcompare.sources"
)
