"""Tagged words in columns (CoNLL, WNUT, Universal Dependencies)."""

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
    """Tagged words in columns: a word a line, a blank line between two sentences.

    A sentence is a document.
    """

    __pydantic_config__ = STRICT
    kind: ClassVar[str]

    path: files.Paths
    """a file, a pattern, a folder (its .conll, .conllu, .bio, .iob and .iob2 files), or a list of
    them"""
    columns: Annotated[tuple[str, ...], Field(min_length=1)] = ("tokens", "tags")
    """names of the columns from the left, `-` for one to leave out; CoNLL-2003: `[tokens, pos, -,
    tags]`"""
    comments: str | None = None
    """how a line begins that is no word, such as `#` in CoNLL-U; none: every line is one"""
    joined: str = " "
    """what stands between two tokens in `text`: a space, or nothing for Chinese"""
    encoding: str = "utf-8"
    """of the files"""

    def __post_init__(self) -> None:
        named = [name for name in self.columns if name != "-"]
        got = f"got {', '.join(self.columns)}"
        if "tokens" not in named:
            raise InputError(f"columns: wanted one that is named 'tokens', {got}")
        if len(set(named)) < len(named) or "text" in named:
            raise InputError(f"columns: wanted different names other than 'text', {got}")

    def rows(self) -> Iterator[Row]:
        """Yield a list for each column, such as ``tokens`` and ``tags``, and ``text``.

        A line that holds a tab is split at its tabs, another one where it has spaces. A line of
        white space alone ends a sentence; ``-DOCSTART-`` (CoNLL-2003) is left out, and where a
        column is named ``id``, so are the ranges and the empty words of CoNLL-U (``3-4``, ``5.1``).

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
            wanted = f"wanted {len(self.columns)} columns ({', '.join(self.columns)})"
            raise InputError(f"{path}:{number}: {wanted}, got {len(values)} in {line[:60]!r}")
        if not values[self.columns.index("tokens")].strip():
            wanted = "wanted a word in column 'tokens'"
            raise InputError(f"{path}:{number}: {wanted}, got none in {line[:60]!r}")
        return values

    def _sentence(self, words: list[list[str]]) -> Iterator[Row]:
        if "id" in self.columns:
            column = self.columns.index("id")
            words = [word for word in words if not _NOT_A_WORD.fullmatch(word[column])]
        if not words or words[0][self.columns.index("tokens")] == "-DOCSTART-":
            return
        row = dict(zip(self.columns, map(list, zip(*words, strict=True)), strict=True))
        row.pop("-", None)
        yield {**row, "text": self.joined.join(row["tokens"])}

    def fingerprint(self) -> str:
        return files.fingerprint(self, _SUFFIXES)
