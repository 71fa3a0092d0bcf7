"""Checks that the columns and labels that a task names exist in its source."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from lmcompare.core.errors import InputError, nearest

MAX_ROWS = 100_000
"""Rows of a source that are read to find a label that is not among the first."""


def parts_with_source(path: str, part: Any) -> Iterator[tuple[str, Any]]:
    """Yield each part of the settings that has a source, with its path: itself, or its sections."""
    if "source" in {field.name for field in fields(part)}:
        yield path, part
    for section in getattr(type(part), "sections", ()):
        for name, inner in getattr(part, section).items():
            yield f"{path}.{section}.{name}", inner


def missing_columns(path: str, part: Any) -> list[str]:
    """Return a problem for each column that the task names and the source's first row lacks."""
    try:
        row = _first_row(part.source) if part.columns else None
    except InputError as error:
        return [f"{path}.source: {problem}" for problem in error.problems]
    if row is None:
        return []
    return [
        f"{path}.{key}: the source has no column {column!r}{nearest(column, row)}"
        for key, column in ((key, getattr(part, key)) for key in part.columns)
        if column not in row
    ]


_FIRST_ROWS: dict[tuple[str, str], Any] = {}


def _first_row(source: Any) -> Any:
    """Return the first row of a source, None if it has none; tasks that share a source share it.

    Of a source that knows its ``columns`` without reading, these.
    """
    if columns := getattr(type(source), "columns", ()):
        return columns
    key = repr(source), source.fingerprint()
    if key not in _FIRST_ROWS:
        _FIRST_ROWS[key] = next(iter(source.rows()), None)
    return _FIRST_ROWS[key]


def missing_labels(path: str, part: Any) -> list[str]:
    """Return a problem for each label of the verbalizer that the source does not have.

    The source is read until every label was seen; of one with more than ``MAX_ROWS`` rows nothing
    is reported, since the label may still come.
    """
    missing = dict.fromkeys(getattr(part, "verbalizer", ()))
    if not missing:
        return []
    column = getattr(part, part.columns[-1])
    seen: set[str] = set()
    try:
        for number, row in enumerate(part.source.rows()):
            if number == MAX_ROWS or not missing:
                return []
            labels = row.get(column)
            labels = labels if isinstance(labels, list) else [labels]
            for label in {str(label).strip() for label in labels if label is not None} - seen:
                seen.add(label)
                missing.pop(label, None)
    except InputError as error:
        return [f"{path}.source: {problem}" for problem in error.problems]
    return [
        f"{path}.verbalizer.{label}: no such label in column {column!r}{nearest(label, seen)}"
        for label in missing
    ]
