"""Tables of comma-separated values."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from lmcompare.core.errors import InputError
from lmcompare.core.settings import STRICT
from lmcompare.data.sources import _files as files
from lmcompare.data.sources.base import SOURCES, Row

_SUFFIXES = (".csv", ".tsv")


def read_table(
    path: Path,
    encoding: str = "utf-8",
    separator: str = ",",
    names: tuple[str, ...] = (),
    quotes: bool = True,
) -> Iterator[Row]:
    """Yield the rows of a CSV file, all values as text; the settings are those of ``Csv``.

    Raises:
        InputError: it cannot be read, a quote is left open, two columns share a name, or a row has
            more or fewer fields than there are columns.
    """
    csv.field_size_limit(2**31 - 1)  # the default stops at documents of 128 KiB
    where = "`names`" if names else "the header"
    with files.opened(path, encoding) as file:
        reader = csv.reader(
            file,
            delimiter=separator,
            quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
            strict=True,
        )
        try:
            header = list(names) or next(reader, [])
            for i, name in enumerate(header):
                if name in header[:i]:
                    wanted = "wanted different names of columns"
                    raise InputError(f"{path}: {wanted}, got {name!r} twice in {where}")
            for values in reader:
                if values and len(values) != len(header):
                    wanted = f"wanted {len(header)} fields as in {where}"
                    raise InputError(f"{path}:{reader.line_num}: {wanted}, got {len(values)}")
                if values:
                    yield dict(zip(header, values, strict=True))
        except csv.Error as error:
            raise InputError(f"{path}:{reader.line_num}: not a CSV file: {error}") from error


@SOURCES.register("csv")
@dataclass(frozen=True)
class Csv:
    """Tables of comma-separated (or otherwise separated) values; a row is a document."""

    __pydantic_config__ = STRICT
    kind: ClassVar[str]

    path: files.Paths
    """a file, a pattern such as `data/*.csv`, a folder (its .csv and .tsv files), or a list of
    them; .gz is unpacked"""
    column: str = "text"
    """name of the column with the text"""
    separator: Annotated[str, Field(min_length=1, max_length=1)] = ","
    """what stands between two fields: one character, such as a tab (`"\\t"`)"""
    names: tuple[str, ...] = ()
    """of the columns, where the files have no header that names them"""
    quotes: bool = True
    """whether a field in double quotes is one field; false where a quote is a character as any
    other (Tatoeba)"""
    encoding: str = "utf-8"
    """of the files"""

    def rows(self) -> Iterator[Row]:
        """Yield each row, all values as text."""
        for path in files.find(self.path, _SUFFIXES):
            for row in read_table(path, self.encoding, self.separator, self.names, self.quotes):
                yield files.with_text(row, self.column, path)

    def fingerprint(self) -> str:
        return files.fingerprint(self, _SUFFIXES)
