"""Parses JSON, with errors that say where."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from lmcompare.core.errors import InputError


def parse(text: str, where: str) -> Any:
    """Return what a JSON text holds.

    Raises:
        InputError: it is not JSON.
    """
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(f"{where}: not JSON: {error}") from None


def objects(lines: Iterable[str], where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the object of each line that is not blank, and where it stands.

    Raises:
        InputError: a line is not a JSON object.
    """
    for number, line in enumerate(lines, 1):
        if line.strip():
            at = f"{where}:{number}"
            row = parse(line, at)
            if not isinstance(row, dict):
                raise InputError(f"{at}: wanted a JSON object, got {type(row).__name__}")
            yield at, row
