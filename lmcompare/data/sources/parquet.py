"""Parquet files."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from lmcompare.core.errors import InputError
from lmcompare.core.settings import STRICT
from lmcompare.data.sources import _files as files
from lmcompare.data.sources.base import SOURCES, Row

_SUFFIXES = (".parquet",)


@SOURCES.register("parquet")
@dataclass(frozen=True)
class Parquet:
    """Parquet files; a row is a document."""

    __pydantic_config__ = STRICT
    kind: ClassVar[str]

    path: files.Paths
    """a file, a pattern such as `data/*.parquet`, a folder (its .parquet files), or a list of
    them"""
    column: str = "text"
    """name of the column with the text"""

    def rows(self) -> Iterator[Row]:
        """Yield each row, a thousand in memory at once."""
        import pyarrow as pa
        from pyarrow.parquet import ParquetFile

        for path in files.find(self.path, _SUFFIXES):
            try:
                with files.readable(path), ParquetFile(path) as table:
                    for batch in table.iter_batches(batch_size=1000):
                        for row in batch.to_pylist():
                            yield files.with_text(row, self.column, path)
            except pa.ArrowInvalid as error:
                raise InputError(f"{path}: not a Parquet file: {error}") from error

    def fingerprint(self) -> str:
        return files.fingerprint(self, _SUFFIXES)
