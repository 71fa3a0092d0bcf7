"""Registers plug-ins: an objective, a source or a task is one class in one file."""

from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import iter_modules
from typing import Generic, TypeVar, cast

from lmcompare.core.errors import InputError, nearest

T = TypeVar("T")
S = TypeVar("S")


class Registry(Generic[T]):
    """The classes of one kind by their YAML word.

    >>> SOURCES = Registry("source", package="lmcompare.data.sources", group="lmcompare.sources")
    >>> @SOURCES.register("lines")
    ... class Lines:
    ...     pass
    >>> SOURCES["lines"].kind, "words" in SOURCES
    ('lines', False)

    Args:
        noun: what the registry holds, for messages ('objective').
        package: the package whose modules are scanned on first use; names that begin with an
            underscore are left out.
        group: the entry point group through which other packages add theirs.
    """

    def __init__(self, noun: str, *, package: str, group: str) -> None:
        self.noun = noun
        self.package = package
        self.group = group
        self._classes: dict[str, type[T]] = {}
        self._scanned = False

    def register(self, kind: str) -> Callable[[type[S]], type[S]]:
        """Return the decorator that registers a class under ``kind``, its new attribute."""

        def add(cls: type[S]) -> type[S]:
            cls.kind = kind  # type: ignore[attr-defined]
            self._classes[kind] = cast(type[T], cls)
            return cls

        return add

    def __getitem__(self, kind: str) -> type[T]:
        """Return the class of ``kind``; an InputError names the nearest if there is none."""
        self._scan()
        if kind not in self._classes:
            raise InputError(f"no {self.noun} {kind!r}{nearest(kind, self._classes)}")
        return self._classes[kind]

    def __contains__(self, kind: object) -> bool:
        self._scan()
        return kind in self._classes

    def __iter__(self) -> Iterator[str]:
        self._scan()
        return iter(sorted(self._classes))

    def _scan(self) -> None:
        if self._scanned:
            return
        self._scanned = True
        package = import_module(self.package)
        for module in iter_modules(package.__path__):
            if not module.name.startswith("_"):
                import_module(f"{self.package}.{module.name}")
        for point in entry_points(group=self.group):
            point.load()
