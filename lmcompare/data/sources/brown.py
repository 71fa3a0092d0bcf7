"""The Brown corpus (Francis and Kučera 1964), words with their parts of speech."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Literal

from lmcompare.core.errors import InputError
from lmcompare.core.settings import STRICT
from lmcompare.data.cache import digest
from lmcompare.data.sources import _archive as archive
from lmcompare.data.sources._tagged import split_words
from lmcompare.data.sources.base import SOURCES, Row

_DOCUMENT = re.compile(r"c[a-r]\d\d")
_BASE = re.compile(r"(?:fw-)?(--|[^-+]+)")
_GENRES = "cats.txt"


@cache
def base(tag: str) -> str:
    """Return a tag without the marks of foreign words, titles, headlines and two words in one.

    >>> base("np-tl"), base("fw-nn"), base("pps+bez"), base("bez*"), base("---hl")
    ('np', 'nn', 'pps', 'bez*', '--')
    """
    match = _BASE.match(tag)
    return match[1] if match else tag


@SOURCES.register("brown")
@dataclass(frozen=True)
class Brown:
    """The Brown corpus as NLTK ships it: 500 documents of 15 genres; a row is a sentence.

    57,340 sentences, 472 tags; `tags: base` leaves 104 tags.
    """

    __pydantic_config__ = STRICT
    kind: ClassVar[str]

    path: str
    """the folder, or a tar archive of it: ca01 ... cr09 and cats.txt, which names the genres"""
    tags: Literal["full", "base"] = "full"
    """full: as they are; base: without the marks for foreign words, titles, headlines and the
    second of two words"""

    def rows(self) -> Iterator[Row]:
        """Yield ``tokens``, ``tags``, ``genre``, ``text`` (tokens with spaces) and ``document``.

        Raises:
            InputError: the files are missing, a document has no genre, or a word no tag.
        """
        genres: dict[str, str] = {}
        for _, text in archive.texts(self.path, _GENRES.__eq__, "utf-8"):
            lines = [line.split() for line in text.splitlines()]
            genres |= {line[0]: line[1] for line in lines if len(line) == 2}
        for document, text in archive.texts(self.path, _is_document, "latin-1"):
            if document not in genres:
                raise InputError(f"{self.path}: {_GENRES} names no genre for {document!r}")
            for number, line in enumerate(text.split("\n"), 1):
                if not line.strip():
                    continue
                tokens, tags = split_words(line, f"{self.path}: {document}:{number}")
                if self.tags == "base":
                    tags = [base(tag) for tag in tags]
                row = {"tokens": tokens, "tags": tags, "genre": genres[document]}
                yield {**row, "text": " ".join(tokens), "document": document}

    def fingerprint(self) -> str:
        names = archive.fingerprint(self.path, lambda name: name == _GENRES or _is_document(name))
        return digest(self.kind, self.tags, names)


def _is_document(name: str) -> bool:
    return bool(_DOCUMENT.fullmatch(name))
