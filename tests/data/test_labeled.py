from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from lmcompare.core.errors import InputError
from lmcompare.data import LabeledSplits, build_labeled_splits


@dataclass(frozen=True)
class Rows:
    """Rows listed by a test."""

    listed: list[dict[str, Any]]
    kind: ClassVar[str] = "rows"

    def rows(self) -> Iterator[dict[str, Any]]:
        return iter(self.listed)

    def fingerprint(self) -> str:
        return "rows"


def rows(**counts: int) -> list[dict[str, Any]]:
    return [
        {"text": f"{name} text {i}", "label": name}
        for name, count in counts.items()
        for i in range(count)
    ]


def build(listed: list[dict[str, Any]], **changed: Any) -> LabeledSplits:
    usual = {
        "text": "text",
        "label": "label",
        "validation": 0.1,
        "test": 0.2,
        "items": None,
        "seed": 0,
    }
    return build_labeled_splits(Rows(listed), **(usual | changed))


def shares(labelled: LabeledSplits) -> list[dict[int, int]]:
    return [
        dict(Counter(item.label for item in part))
        for part in (labelled.train, labelled.validation, labelled.test)
    ]


def test_each_label_has_its_share_in_each_split() -> None:
    built = build(rows(good=100, bad=50))
    assert built.labels == ("bad", "good")
    assert shares(built) == [{0: 35, 1: 70}, {0: 5, 1: 10}, {0: 10, 1: 20}]
    ids = [int(item.id) for part in (built.train, built.validation, built.test) for item in part]
    assert sorted(ids) == list(range(150)) and ids != sorted(ids)
    assert len({item.label for item in built.train[:20]}) == 2, "labels come one after another"
    assert all(item.text.startswith(built.labels[item.label]) for item in built.train)


def test_fewer_items_keep_the_shares_and_depend_on_the_seed() -> None:
    built = build(rows(good=100, bad=50), items=30)
    assert shares(built) == [{0: 7, 1: 14}, {0: 1, 1: 2}, {0: 2, 1: 4}]
    assert built.counts["left_out"] == 120
    assert build(rows(good=100, bad=50), items=30) == built
    other = build(rows(good=100, bad=50), items=30, seed=1)
    assert other.fingerprint != built.fingerprint and {i.id for i in other.test} != {
        i.id for i in built.test
    }


def test_duplicates_are_dropped_and_conflicting_ones_wholly() -> None:
    listed = rows(good=10, bad=10)
    listed += [
        {"text": "GOOD text 3!", "label": "good"},
        {"text": "Bad text 4", "label": "good"},
        {"text": " ", "label": "bad"},
    ]
    built = build(listed)
    assert built.counts == {
        "items": 23, "empty": 1, "duplicates": 1, "conflicting": 2, "left_out": 0,
        "train_items": 19 - 4 - 2, "validation_items": 2, "test_items": 4,
    }  # fmt: skip
    texts = [item.text for part in (built.train, built.validation, built.test) for item in part]
    assert "bad text 4" not in texts and len(texts) == 19


def test_labels_may_be_numbers_and_texts_are_cleaned() -> None:
    listed = [{"review": f"a<br />{i}", "stars": i % 3} for i in range(30)]
    built = build(listed, text="review", label="stars")
    assert built.labels == ("0", "1", "2")
    assert built.train[0].text.startswith("a\n")


@pytest.mark.parametrize(
    ("listed", "changed", "message"),
    [
        ([], {}, "wanted labeled items with text, got none"),
        (rows(good=9), {}, "wanted at least two labels, got 'good' alone"),
        (rows(good=9, bad=1), {}, "the label 'bad' occurs 1 times among 10 items"),
        (rows(good=90, bad=10), {"items": 10}, "the label 'bad' occurs 1 times among 10 items"),
        (
            rows(good=9, bad=9),
            {"label": "labl"},
            "no column 'labl' for the label; did you mean 'label'",
        ),
        (rows(good=9, bad=9), {"text": "txt"}, "no column 'txt'; did you mean 'text'"),
        (
            [{"text": "a", "label": None}],
            {},
            "row 0 of the source: wanted a label in column 'label', got none",
        ),
        (
            rows(good=9, bad=9),
            {"validation": 0.6, "test": 0.4},
            "wanted less than 1 together, got 0.6 \\+ 0.4",
        ),
    ],
)
def test_what_cannot_be_split_is_refused(
    listed: list[dict[str, Any]], changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        build(listed, **changed)
