from pathlib import Path
from typing import Any

import pytest

from lmcompare.core.errors import InputError
from lmcompare.data.sources.conll import Conll


def rows(folder: Path, content: str | bytes, **settings: Any) -> list[dict[str, Any]]:
    (folder / "a.conll").write_bytes(content.encode() if isinstance(content, str) else content)
    return list(Conll(str(folder / "a.conll"), **settings).rows())


FIRST = {"tokens": ["Ann", "slept"], "tags": ["B-person", "O"], "text": "Ann slept"}
SECOND = {"tokens": ["#wow"], "tags": ["O"], "text": "#wow"}


@pytest.mark.parametrize(
    "content",
    [
        "Ann\tB-person\nslept\tO\n\n#wow\tO\n",
        "Ann\tB-person\nslept\tO\n\t\n#wow\tO",
        "\ufeffAnn B-person\r\nslept O\r\n\r\n \r\n#wow O\r\n\r\n",
        "-DOCSTART- O\n\nAnn B-person\nslept O\n\n-DOCSTART- O\n\n#wow O\n",
    ],
)
def test_sentences_end_at_a_blank_line_or_one_that_holds_a_tab(
    content: str, tmp_path: Path
) -> None:
    assert rows(tmp_path, content) == [FIRST, SECOND]


def test_columns_are_named_from_the_left(tmp_path: Path) -> None:
    content = "Ann NNP B-NP B-PER\nslept VBD B-VP O\n"
    assert rows(tmp_path, content, columns=("tokens", "pos", "-", "tags")) == [
        {
            "tokens": ["Ann", "slept"],
            "pos": ["NNP", "VBD"],
            "tags": ["B-PER", "O"],
            "text": "Ann slept",
        }
    ]


def test_universal_dependencies(tmp_path: Path) -> None:
    content = "# text = au mer\n1-2\tau\t_\n1\tà\tADP\n2\tle\tDET\n2.1\tx\tX\n3\tmer bleue\tNOUN\n"
    assert rows(tmp_path, content, columns=("id", "tokens", "tags"), comments="#") == [
        {"id": ["1", "2", "3"], "tokens": ["à", "le", "mer bleue"], "tags": ["ADP", "DET", "NOUN"],
         "text": "à le mer bleue"}
    ]  # fmt: skip


def test_chinese_is_joined_without_spaces_and_other_encodings_are_read(tmp_path: Path) -> None:
    content = "北京\tB-地\n好\tO\n".encode("gb18030")
    assert rows(tmp_path, content, joined="", encoding="gb18030")[0]["text"] == "北京好"


def test_a_line_separator_inside_a_token_does_not_split_it(tmp_path: Path) -> None:
    assert rows(tmp_path, "a\x85b\tO\nc\u2028d\tO\n")[0]["tokens"] == ["a\x85b", "c\u2028d"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Ann\tO\nslept\n", r"a\.conll:2: wanted 2 columns \(tokens, tags\), got 1 in 'slept'"),
        ("Ann NNP O\n", r"a\.conll:1: wanted 2 columns \(tokens, tags\), got 3 in 'Ann NNP O'"),
        ("Ann\tO\n\tO\n", r"a\.conll:2: wanted a word in column 'tokens', got none"),
        (b"Ann\tO\nb\xe9\tO\n", r"a\.conll: not UTF-8: byte 0xe9 at offset 7"),
    ],
)
def test_what_is_not_so_is_refused(content: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        rows(tmp_path, content)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (("words", "tags"), "named 'tokens', got words, tags"),
        (("tokens", "tags", "tags"), "wanted different names"),
    ],
)
def test_columns_need_tokens_and_different_names(columns: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=f"columns: .*{message}"):
        Conll("x", columns)
