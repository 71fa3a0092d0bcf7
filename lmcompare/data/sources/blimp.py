"""Minimal pairs in BLiMP's format (Warstadt et al. 2020)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from lmcompare.core.errors import InputError, nearest
from lmcompare.core.settings import STRICT
from lmcompare.data.cache import digest
from lmcompare.data.sources import _archive as archive
from lmcompare.data.sources import _files as files
from lmcompare.data.sources import _json as json
from lmcompare.data.sources.base import SOURCES, Row

_KEYS = {"good": "sentence_good", "bad": "sentence_bad", "paradigm": "UID", "field": "field"}


@SOURCES.register("blimp")
@dataclass(frozen=True)
class Blimp:
    """Minimal pairs in BLiMP's JSON lines, for testing; a pair is a row, without `text`."""

    __pydantic_config__ = STRICT
    kind: ClassVar[str]

    path: str
    """a folder of .jsonl files, one of them, or a tar archive of them"""
    encoding: str = "utf-8"
    """of the files"""

    def rows(self) -> Iterator[Row]:
        """Yield ``good``, ``bad``, ``paradigm``, ``field`` and ``phenomenon`` ('' if not given).

        Pairs come as they are given: in BLiMP a few are twice the same sentence (7 of 34,000
        counted).

        Raises:
            InputError: there is no such file, or a line is not a pair.
        """
        for name, text in archive.texts(self.path, _is_jsonl, self.encoding):
            for where, pair in json.objects(text.split("\n"), f"{self.path}: {name}"):
                for key in _KEYS.values():
                    if not isinstance(pair.get(key), str):
                        hint = nearest(key, pair)
                        raise InputError(f"{where}: wanted text in {key!r}, got none{hint}")
                row = {column: pair[key] for column, key in _KEYS.items()}
                yield {**row, "phenomenon": str(pair.get("linguistics_term") or "")}

    def fingerprint(self) -> str:
        return digest(self.kind, self.encoding, archive.fingerprint(self.path, _is_jsonl))


def _is_jsonl(name: str) -> bool:
    return files.has_suffix(Path(name), (".jsonl",))
