import tarfile
from pathlib import Path

import pytest

from lmcompare.core.errors import InputError
from lmcompare.data.sources.brown import Brown


def corpus(folder: Path, words: str = "\n\n\tThe/at ratio/nn-tl 1/2/cd\r\n\n") -> Path:
    folder.mkdir()
    (folder / "cats.txt").write_text("ca01 news\ncr09 humor\n")
    (folder / "cr09").write_text("Ha/uh ./.\n")
    (folder / "ca01").write_text(words)
    (folder / "README").write_text("no/t a/document")
    return folder


def test_a_folder_and_an_archive_give_the_same_rows(tmp_path: Path) -> None:
    folder = corpus(tmp_path / "brown")
    expected = [
        {
            "tokens": ["The", "ratio", "1/2"],
            "tags": ["at", "nn-tl", "cd"],
            "genre": "news",
            "text": "The ratio 1/2",
            "document": "ca01",
        },
        {
            "tokens": ["Ha", "."],
            "tags": ["uh", "."],
            "genre": "humor",
            "text": "Ha .",
            "document": "cr09",
        },
    ]
    assert list(Brown(str(folder)).rows()) == expected
    with tarfile.open(tmp_path / "b.tar.gz", "w:gz") as tar:
        for name in ("ca01", "cr09", "README", "cats.txt"):
            tar.add(folder / name, arcname=f"./{name}")
    assert list(Brown(str(tmp_path / "b.tar.gz")).rows()) == expected, "cats.txt comes last"
    based = Brown(str(folder), tags="base")
    assert next(based.rows())["tags"] == ["at", "nn", "cd"]
    assert based.fingerprint() != Brown(str(folder)).fingerprint()


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    folder = corpus(tmp_path / "brown", "The/at ratio\n")
    with pytest.raises(
        InputError, match="ca01:1: wanted words with a tag such as `jury/nn`, got 'ratio'"
    ):
        list(Brown(str(folder)).rows())
    (folder / "cats.txt").write_text("cr09 humor\n")
    with pytest.raises(InputError, match="cats.txt names no genre for 'ca01'"):
        list(Brown(str(folder)).rows())
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no file in it is of the kind that is wanted"):
        list(Brown(str(tmp_path / "empty")).rows())
