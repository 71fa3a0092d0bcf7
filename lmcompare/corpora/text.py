"""Plain text files."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, TextIO

from lmcompare.corpora import files
from lmcompare.corpora.source import SOURCES, Row
from lmcompare.settings import STRICT


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


@SOURCES.register("text")
@dataclass(frozen=True)
class Text:
    """Plain text files: a document a line, a paragraph or a file."""

    __pydantic_config__ = STRICT
    kind: ClassVar[str]

    path: files.Paths
    """a file, a pattern such as `books/*.txt`, a folder (its .txt files), or a list of them"""
    documents: Literal["lines", "paragraphs", "file"] = "lines"
    """what a document is: each line, each run of lines between blank ones, or the whole file"""
    encoding: str = "utf-8"
    """of the files"""

    def rows(self) -> Iterator[Row]:
        """Yield ``text`` and ``file`` (its name) of each document, blank ones included."""
        for path in files.find(self.path, (".txt",)):
            with files.opened(path, self.encoding) as file:
                if self.documents == "file":
                    yield {"text": file.read(), "file": path.name}
                    continue
                for text in _lines(file) if self.documents == "lines" else _paragraphs(file):
                    yield {"text": text, "file": path.name}

    def fingerprint(self) -> str:
        """Return the SHA-256 of the files' bytes and the settings."""
        return files.fingerprint(self.kind, files.find(self.path, (".txt",)), self.documents, self.encoding)
