"""Files with one JSON object a line."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from lmcompare.core.errors import InputError
from lmcompare.core.settings import STRICT
from lmcompare.data.sources import _files as files
from lmcompare.data.sources.base import SOURCES, Row

_SUFFIXES = (".jsonl", ".ndjson")


@SOURCES.register("jsonl")
@dataclass(frozen=True)
class Jsonl:
    """Files with one JSON object a line; an object is a document."""

    __pydantic_config__ = STRICT
    kind: ClassVar[str]

    path: files.Paths
    """a file, a pattern such as `data/*.jsonl`, a folder (its .jsonl and .ndjson files), or a list; .gz is unpacked"""
    column: str = "text"
    """name of the key with the text"""
    encoding: str = "utf-8"
    """of the files"""

    def rows(self) -> Iterator[Row]:
        """Yield each object; blank lines are passed over."""
        for path in files.find(self.path, _SUFFIXES):
            with files.opened(path, self.encoding) as file:
                for number, line in enumerate(file, 1):
                    if not line.strip():
                        continue
                    try:
                        row = json.loads(line)
                    except ValueError as error:
                        raise InputError(f"{path}:{number}: not JSON: {error}") from None
                    if not isinstance(row, dict):
                        raise InputError(
                            f"{path}:{number}: wanted a JSON object, got {type(row).__name__}"
                        )
                    yield files.with_text(row, self.column, path)

    def fingerprint(self) -> str:
        """Return the SHA-256 of the files' bytes and the settings."""
        return files.fingerprint(
            self.kind, files.find(self.path, _SUFFIXES), self.column, self.encoding
        )
