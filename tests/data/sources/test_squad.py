import json
from pathlib import Path
from typing import Any

import pytest

from lmcompare.core.errors import InputError
from lmcompare.data.sources.squad import Squad

CONTEXT = "Ann saw Bob in Rome."


def written(folder: Path, start: int = 8, **article: Any) -> str:
    question = {
        "id": "q1",
        "question": "Whom?",
        "answers": [{"text": "Bob", "answer_start": start}],
    }
    none = {"id": 2, "question": "Why?", "answers": [], "is_impossible": True}
    whole = {
        "data": [{**article, "paragraphs": [{"context": CONTEXT, "qas": [question, none]}]}],
        "version": "2",
    }
    (folder / "a.json").write_bytes(
        b"\xef\xbb\xbf" + json.dumps(whole, indent=1).replace("\n", "\r\n").encode()
    )
    return str(folder / "a.json")


def test_a_question_is_a_row(tmp_path: Path) -> None:
    shared = {"context": CONTEXT, "text": CONTEXT, "document": "Ann"}
    assert list(Squad(written(tmp_path, title="Ann")).rows()) == [
        {**shared, "id": "q1", "question": "Whom?", "answers": ["Bob"], "starts": [8]},
        {**shared, "id": "2", "question": "Why?", "answers": [], "starts": []},
    ]


def test_an_article_without_a_title_is_named_by_its_place(tmp_path: Path) -> None:
    assert {row["document"] for row in Squad(written(tmp_path)).rows()} == {"a.json:0"}


@pytest.mark.parametrize("start", [7, -1, 900])
def test_an_answer_that_is_not_there_is_refused(start: int, tmp_path: Path) -> None:
    with pytest.raises(
        InputError,
        match=rf"a\.json: question 'q1': wanted 'Bob' at character {start} of its context",
    ):
        list(Squad(written(tmp_path, start)).rows())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"a\.json: not JSON"),
        ("[]", r"a\.json: not in SQuAD's format .*wanted data > paragraphs > qas"),
        (
            '{"data": [{"paragraphs": [{"qas": []}]}]}',
            r"not in SQuAD's format \(no key 'context'\)",
        ),
        (b'{"data": "\xe9"}', r"a\.json: not UTF-8: byte 0xe9 at offset 10"),
    ],
)
def test_another_format_is_refused(content: str | bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InputError, match=message):
        list(Squad(str(tmp_path)).rows())
