"""Tagged words in columns: a word a line, a blank line between two sentences (CoNLL, WNUT, Universal Dependencies)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from lmcompare.core.errors import InputError
from lmcompare.core.settings import STRICT
from lmcompare.data.sources import _files as files
from lmcompare.data.sources.base import SOURCES, Row

_SUFFIXES = (".conll", ".conllu", ".bio", ".iob", ".iob2")
_NOT_A_WORD = re.compile(r"\d+-\d+|\d+\.\d+")


@SOURCES.register("conll")
@dataclass(frozen=True)
class Conll:
    """Tagged words in columns: a word a line, a blank line between two sentences; a sentence is a document."""

    __pydantic_config__ = STRICT
    kind: ClassVar[str]

    path: files.Paths
    """a file, a pattern, a folder (its .conll, .conllu, .bio, .iob and .iob2 files), or a list of them"""
    columns: Annotated[tuple[str, ...], Field(min_length=1)] = ("tokens", "tags")
    """names of the columns from the left, `-` for one that is not wanted; CoNLL-2003: `[tokens, pos, -, tags]`"""
    comments: str | None = None
    """how a line begins that is no word, such as `#` in CoNLL-U; none: every line is one"""
    joined: str = " "
    """what stands between two tokens in `text`: a space, or nothing for Chinese"""
    encoding: str = "utf-8"
    """of the files"""

    def __post_init__(self) -> None:
        named = [name for name in self.columns if name != "-"]
        if "tokens" not in named:
            raise InputError(
                f"columns: wanted one that is named 'tokens', got {', '.join(self.columns)}"
            )
        if len(set(named)) < len(named) or "text" in named:
            raise InputError(
                f"columns: wanted different names other than 'text', got {', '.join(self.columns)}"
            )

    def rows(self) -> Iterator[Row]:
        """Yield a list for each column, such as ``tokens`` and ``tags``, and ``text``, the tokens joined.

        A line that holds a tab is split at its tabs, another one where it has spaces. A line of white space alone ends
        a sentence; ``-DOCSTART-`` (CoNLL-2003) is passed over, and where a column is named ``id``, so are the ranges
        and the empty words of CoNLL-U (``3-4``, ``5.1``).

        Raises:
            InputError: a line has more or fewer columns than are named, or no word.
        """
        for path in files.find(self.path, _SUFFIXES):
            with files.opened(path, self.encoding) as file:
                words: list[list[str]] = []
                for number, line in enumerate(file, 1):
                    if self.comments and line.startswith(self.comments):
                        continue
                    if line.strip():
                        words.append(self._word(line.rstrip("\r\n"), path, number))
                        continue
                    yield from self._sentence(words)
                    words = []
                yield from self._sentence(words)

    def _word(self, line: str, path: Path, number: int) -> list[str]:
        values = line.split("\t") if "\t" in line else line.split()
        if len(values) != len(self.columns):
            raise InputError(
                f"{path}:{number}: wanted {len(self.columns)} columns ({', '.join(self.columns)}), got {len(values)} "
                f"in {line[:60]!r}"
            )
        if not values[self.columns.index("tokens")].strip():
            raise InputError(
                f"{path}:{number}: wanted a word in column 'tokens', got none in {line[:60]!r}"
            )
        return values

    def _sentence(self, words: list[list[str]]) -> Iterator[Row]:
        if "id" in self.columns:
            words = [
                word for word in words if not _NOT_A_WORD.fullmatch(word[self.columns.index("id")])
            ]
        token = self.columns.index("tokens")
        if not words or words[0][token] == "-DOCSTART-":
            return
        lists = {
            name: [word[i] for word in words] for i, name in enumerate(self.columns) if name != "-"
        }
        yield {**lists, "text": self.joined.join(lists["tokens"])}

    def fingerprint(self) -> str:
        """Return the SHA-256 of the files' bytes and the settings."""
        said = (self.columns, self.comments, self.joined, self.encoding)
        return files.fingerprint(self.kind, files.find(self.path, _SUFFIXES), *said)
