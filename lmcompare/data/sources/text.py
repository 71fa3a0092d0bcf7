"""Plain text files."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, TextIO

from lmcompare.core.errors import InputError
from lmcompare.core.settings import STRICT
from lmcompare.data.sources import _files as files
from lmcompare.data.sources.base import SOURCES, Row


def _paragraphs(file: TextIO) -> Iterator[str]:
    lines: list[str] = []
    for line in _lines(file):
        if line.strip():
            lines.append(line)
        elif lines:
            yield "\n".join(lines)
            lines = []
    if lines:
        yield "\n".join(lines)


def _lines(file: TextIO) -> Iterator[str]:
    return (line.rstrip("\r\n") for line in file)


def _documents(file: TextIO, what: Literal["lines", "paragraphs", "file"]) -> Iterator[str]:
    if what == "file":
        yield file.read()
    else:
        yield from _lines(file) if what == "lines" else _paragraphs(file)


def _groups(pattern: str, text: str, where: str) -> Row:
    found = re.fullmatch(pattern, text, re.DOTALL)
    if not found:
        raise InputError(f"{where}: does not match the pattern {pattern!r}, got {text[:60]!r}")
    return found.groupdict()


@SOURCES.register("text")
@dataclass(frozen=True)
class Text:
    """Plain text files: a document a line, a paragraph or a file."""

    __pydantic_config__ = STRICT
    kind: ClassVar[str]

    path: files.Paths
    """a file, a pattern such as `books/*.txt`, a folder (its .txt files), or a list of them; .gz is unpacked"""
    documents: Literal["lines", "paragraphs", "file"] = "lines"
    """what a document is: each line, each run of lines between blank ones, or the whole file"""
    pattern: str | None = None
    """a regular expression that each document matches; its named groups are the columns, such as `(?P<label>\\d)
    (?P<text>.*)` where a label stands before the text (SST-2); none: the whole document is the text"""
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
            raise InputError(
                f"pattern: wanted named groups such as `(?P<text>.*)`, got {self.pattern!r}"
            )

    def rows(self) -> Iterator[Row]:
        """Yield ``text`` and ``file`` (its name) of each document, blank ones included.

        With a ``pattern``, yield its named groups and ``file``; blank documents are passed over.

        Raises:
            InputError: a document does not match the pattern as a whole.
        """
        for path in files.find(self.path, (".txt",)):
            with files.opened(path, self.encoding) as file:
                for number, text in enumerate(_documents(file, self.documents), 1):
                    if self.pattern is None:
                        yield {"text": text, "file": path.name}
                    elif text.strip():
                        yield {
                            **_groups(self.pattern, text, f"{path}, document {number}"),
                            "file": path.name,
                        }

    def fingerprint(self) -> str:
        """Return the SHA-256 of the files' bytes and the settings."""
        found = files.find(self.path, (".txt",))
        return files.fingerprint(self.kind, found, self.documents, self.pattern, self.encoding)
