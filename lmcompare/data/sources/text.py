"""Plain text files."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar, Literal, TextIO

from lmcompare.core.errors import InputError
from lmcompare.core.settings import STRICT
from lmcompare.data.sources import _files as files
from lmcompare.data.sources.base import SOURCES, Row

_SUFFIXES = (".txt",)


@SOURCES.register("text")
@dataclass(frozen=True)
class Text:
    """Plain text files: a document a line, a paragraph or a file."""

    __pydantic_config__ = STRICT
    kind: ClassVar[str]

    path: files.Paths
    """a file, a pattern such as `books/*.txt`, a folder (its .txt files), or a list of them; .gz is
    unpacked"""
    documents: Literal["lines", "paragraphs", "file"] = "lines"
    """what a document is: each line, each run of lines between blank ones, or the whole file"""
    pattern: str | None = None
    """a regular expression that each document matches; its named groups are the columns, such as
    `(?P<label>\\d) (?P<text>.*)` where a label stands before the text (SST-2); none: the whole
    document is the text"""
    encoding: str = "utf-8"
    """of the files"""

    def __post_init__(self) -> None:
        if self.pattern is None:
            return
        try:
            groups = re.compile(self.pattern).groupindex
        except re.error as error:
            raise InputError(f"pattern: not a regular expression: {error}") from error
        if not groups:
            wanted = "wanted named groups such as `(?P<text>.*)`"
            raise InputError(f"pattern: {wanted}, got {self.pattern!r}")

    def rows(self) -> Iterator[Row]:
        """Yield ``text`` and ``file`` (its name) of each document, blank ones included.

        With a ``pattern``, yield its named groups and ``file``; blank documents are left out.

        Raises:
            InputError: a document does not match the pattern as a whole.
        """
        for path in files.find(self.path, _SUFFIXES):
            with files.opened(path, self.encoding) as file:
                for number, text in enumerate(self._documents(file), 1):
                    if self.pattern is None:
                        yield {"text": text, "file": path.name}
                    elif text.strip():
                        match = re.fullmatch(self.pattern, text, re.DOTALL)
                        if not match:
                            wrong = f"does not match the pattern {self.pattern!r}"
                            raise InputError(
                                f"{path}, document {number}: {wrong}, got {text[:60]!r}"
                            )
                        yield {**match.groupdict(), "file": path.name}

    def _documents(self, file: TextIO) -> Iterator[str]:
        if self.documents == "file":
            yield file.read()
            return
        lines = (line.rstrip("\r\n") for line in file)
        if self.documents == "lines":
            yield from lines
            return
        for has_text, paragraph in groupby(lines, lambda line: bool(line.strip())):
            if has_text:
                yield "\n".join(paragraph)

    def fingerprint(self) -> str:
        return files.fingerprint(self, _SUFFIXES)
