"""Files with one JSON object a line."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from lmcompare.core.settings import STRICT
from lmcompare.data.sources import _files as files
from lmcompare.data.sources import _json as json
from lmcompare.data.sources.base import SOURCES, Row

_SUFFIXES = (".jsonl", ".ndjson")


@SOURCES.register("jsonl")
@dataclass(frozen=True)
class Jsonl:
    """Files with one JSON object a line; an object is a document."""

    __pydantic_config__ = STRICT
    kind: ClassVar[str]

    path: files.Paths
    """a file, a pattern such as `data/*.jsonl`, a folder (its .jsonl and .ndjson files), or a list;
    .gz is unpacked"""
    column: str = "text"
    """name of the key with the text"""
    encoding: str = "utf-8"
    """of the files"""

    def rows(self) -> Iterator[Row]:
        """Yield each object; blank lines are left out."""
        for path in files.find(self.path, _SUFFIXES):
            with files.opened(path, self.encoding) as file:
                for _, row in json.objects(file, str(path)):
                    yield files.with_text(row, self.column, path)

    def fingerprint(self) -> str:
        return files.fingerprint(self, _SUFFIXES)
