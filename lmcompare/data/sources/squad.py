"""Questions on a passage whose answers are spans of it, in the format of SQuAD (Rajpurkar et al. 2016)."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from lmcompare.core.errors import InputError
from lmcompare.core.settings import STRICT
from lmcompare.data.sources import _files as files
from lmcompare.data.sources.base import SOURCES, Row

_SUFFIXES = (".json",)


@SOURCES.register("squad")
@dataclass(frozen=True)
class Squad:
    """Questions on passages in SQuAD's JSON (SQuAD 1.1 and 2.0, XQuAD, CMRC); a question is a document."""

    __pydantic_config__ = STRICT
    kind: ClassVar[str]

    path: files.Paths
    """a file, a pattern, a folder (its .json files), or a list of them; .gz is unpacked"""
    encoding: str = "utf-8"
    """of the files"""

    def rows(self) -> Iterator[Row]:
        """Yield ``id``, ``context``, ``question``, ``answers``, ``starts``, ``document``, ``text``; a file in memory.

        ``answers`` lists the texts, ``starts`` where each begins in ``context`` (in characters); both are empty where a
        question has no answer (SQuAD 2.0). ``document`` is the article's title, or the file's name and the article's
        number: split by it, and no article is in two splits. ``text`` is the context.

        Raises:
            InputError: a file is not of that format, or an answer does not stand where it says.
        """
        for path in files.find(self.path, _SUFFIXES):
            with files.opened(path, self.encoding) as file:
                try:
                    whole = json.load(file)
                except UnicodeError:
                    raise
                except ValueError as error:
                    raise InputError(f"{path}: not JSON: {error}") from None
            try:
                yield from _questions(whole, path)
            except (KeyError, TypeError, AttributeError) as error:
                said = f"no key {error}" if isinstance(error, KeyError) else str(error)
                raise InputError(
                    f"{path}: not in SQuAD's format ({said}); wanted data > paragraphs > qas"
                ) from None

    def fingerprint(self) -> str:
        """Return the SHA-256 of the files' bytes and the settings."""
        return files.fingerprint(self.kind, files.find(self.path, _SUFFIXES), self.encoding)


def _questions(whole: Any, path: Path) -> Iterator[Row]:
    for number, article in enumerate(whole["data"]):
        document = str(article.get("title") or f"{path.name}:{number}")
        for paragraph in article["paragraphs"]:
            context = paragraph["context"]
            for asked in paragraph["qas"]:
                answers = [answer["text"] for answer in asked["answers"]]
                starts = [answer["answer_start"] for answer in asked["answers"]]
                for answer, start in zip(answers, starts, strict=True):
                    if start < 0 or context[start : start + len(answer)] != answer:
                        raise InputError(
                            f"{path}: question {asked['id']!r}: wanted {answer[:60]!r} at character {start} of its "
                            f"context, got {context[max(0, start) : start + len(answer)][:60]!r}"
                        )
                row = {
                    "id": str(asked["id"]),
                    "context": context,
                    "question": asked["question"],
                    "answers": answers,
                }
                yield {**row, "starts": starts, "document": document, "text": context}
