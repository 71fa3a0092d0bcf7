"""Tables of comma-separated values."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from lmcompare.corpora import files
from lmcompare.corpora.source import SOURCES, Row
from lmcompare.errors import InputError
from lmcompare.settings import STRICT

_SUFFIXES = (".csv", ".tsv")


def read_table(path: Path, encoding: str = "utf-8", separator: str = ",") -> Iterator[Row]:
    """Yield the rows of a CSV file that has a header, all values as text.

    Raises:
        InputError: it cannot be read, a quote is left open, or a row has more or fewer fields than the header.
    """
    csv.field_size_limit(2**31 - 1)  # the default stops at documents of 128 KiB
    with files.opened(path, encoding) as file:
        reader = csv.reader(file, delimiter=separator, strict=True)
        try:
            header = next(reader, [])
            for values in reader:
                if not values:
                    continue
                if len(values) != len(header):
                    raise InputError(
                        f"{path}:{reader.line_num}: wanted {len(header)} fields as in the header, got {len(values)}"
                    )
                yield dict(zip(header, values, strict=True))
        except csv.Error as error:
            raise InputError(f"{path}:{reader.line_num}: not a CSV file: {error}") from error


@SOURCES.register("csv")
@dataclass(frozen=True)
class Csv:
    """Tables of comma-separated values with a header; a row is a document."""

    __pydantic_config__ = STRICT
    kind: ClassVar[str]

    path: files.Paths
    """a file, a pattern such as `data/*.csv`, a folder (its .csv and .tsv files), or a list of them"""
    column: str = "text"
    """name of the column with the text"""
    separator: Annotated[str, Field(min_length=1, max_length=1)] = ","
    """what stands between two fields"""
    encoding: str = "utf-8"
    """of the files"""

    def rows(self) -> Iterator[Row]:
        """Yield each row, all values as text."""
        for path in files.find(self.path, _SUFFIXES):
            for row in read_table(path, self.encoding, self.separator):
                yield files.with_text(row, self.column, path)

    def fingerprint(self) -> str:
        """Return the SHA-256 of the files' bytes and the settings."""
        found = files.find(self.path, _SUFFIXES)
        return files.fingerprint(self.kind, found, self.column, self.separator, self.encoding)
