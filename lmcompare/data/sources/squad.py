"""Questions on a passage whose answers are spans of it, in SQuAD's format."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from lmcompare.core.errors import InputError
from lmcompare.core.settings import STRICT
from lmcompare.data.sources import _files as files
from lmcompare.data.sources import _json as json
from lmcompare.data.sources.base import SOURCES, Row

_SUFFIXES = (".json",)


@SOURCES.register("squad")
@dataclass(frozen=True)
class Squad:
    """Questions in SQuAD's JSON (Rajpurkar et al. 2016; XQuAD, CMRC); each is a document."""

    __pydantic_config__ = STRICT
    kind: ClassVar[str]

    path: files.Paths
    """a file, a pattern, a folder (its .json files), or a list of them; .gz is unpacked"""
    encoding: str = "utf-8"
    """of the files"""

    def rows(self) -> Iterator[Row]:
        """Yield ``id``, ``context``, ``question``, ``answers``, ``starts``, ``document``, ``text``.

        ``answers`` lists the texts, ``starts`` where each begins in ``context`` (in characters);
        both are empty where a question has no answer (SQuAD 2.0). ``document`` is the article's
        title, or the file's name and the article's number: split by it, and no article is in two
        splits. ``text`` is the context.

        Raises:
            InputError: a file is not of that format, or an answer does not stand where it should.
        """
        for path in files.find(self.path, _SUFFIXES):
            with files.opened(path, self.encoding) as file:
                content = json.parse(file.read(), str(path))
            try:
                yield from _questions(content, path)
            except (KeyError, TypeError, AttributeError) as error:
                problem = f"no key {error}" if isinstance(error, KeyError) else str(error)
                wanted = "wanted data > paragraphs > qas"
                raise InputError(f"{path}: not in SQuAD's format ({problem}); {wanted}") from None

    def fingerprint(self) -> str:
        return files.fingerprint(self, _SUFFIXES)


def _questions(content: Any, path: Path) -> Iterator[Row]:
    for number, article in enumerate(content["data"]):
        document = str(article.get("title") or f"{path.name}:{number}")
        for paragraph in article["paragraphs"]:
            context = paragraph["context"]
            for question in paragraph["qas"]:
                for answer in question["answers"]:
                    _check_place(answer["text"], answer["answer_start"], question, context, path)
                yield {
                    "id": str(question["id"]),
                    "context": context,
                    "question": question["question"],
                    "answers": [answer["text"] for answer in question["answers"]],
                    "starts": [answer["answer_start"] for answer in question["answers"]],
                    "document": document,
                    "text": context,
                }


def _check_place(answer: str, start: int, question: Any, context: str, path: Path) -> None:
    got = context[max(0, start) : start + len(answer)]
    if start < 0 or got != answer:
        wanted = f"wanted {answer[:60]!r} at character {start} of its context"
        raise InputError(f"{path}: question {question['id']!r}: {wanted}, got {got[:60]!r}")
