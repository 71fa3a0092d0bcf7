"""Minimal pairs in the format of BLiMP (Warstadt et al. 2020): a grammatical sentence and one that is not."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from lmcompare.core.errors import InputError, nearest
from lmcompare.core.settings import STRICT
from lmcompare.data.cache import digest
from lmcompare.data.sources import _archive as archive
from lmcompare.data.sources.base import SOURCES, Row

_KEYS = {"good": "sentence_good", "bad": "sentence_bad", "paradigm": "UID", "field": "field"}


@SOURCES.register("blimp")
@dataclass(frozen=True)
class Blimp:
    """Minimal pairs in BLiMP's JSON lines; a pair is a row, and there is no `text`: they are for testing."""

    __pydantic_config__ = STRICT
    kind: ClassVar[str]

    path: str
    """a folder of .jsonl files, one of them, or a tar archive of them"""
    encoding: str = "utf-8"
    """of the files"""

    def rows(self) -> Iterator[Row]:
        """Yield ``good``, ``bad``, ``paradigm``, ``field`` and ``phenomenon`` ('' where it is not given).

        Pairs come as they are given: in BLiMP a few are twice the same sentence (7 of 34,000 counted).

        Raises:
            InputError: there is no such file, or a line is not a pair.
        """
        for name, text in archive.texts(self.path, _is_lines, self.encoding):
            for number, line in enumerate(text.split("\n"), 1):
                if not line.strip():
                    continue
                where = f"{self.path}: {name}:{number}"
                try:
                    pair = json.loads(line)
                except ValueError as error:
                    raise InputError(f"{where}: not JSON: {error}") from None
                if not isinstance(pair, dict):
                    raise InputError(f"{where}: wanted a JSON object, got {type(pair).__name__}")
                for key in _KEYS.values():
                    if not isinstance(pair.get(key), str):
                        raise InputError(
                            f"{where}: wanted text in {key!r}, got none{nearest(key, pair)}"
                        )
                row = {column: pair[key] for column, key in _KEYS.items()}
                yield {**row, "phenomenon": str(pair.get("linguistics_term") or "")}

    def fingerprint(self) -> str:
        """Return the SHA-256 of the files' bytes and the settings."""
        return digest(self.kind, self.encoding, archive.fingerprint(self.path, _is_lines))


def _is_lines(name: str) -> bool:
    return name.lower().removesuffix(".gz").endswith(".jsonl")
