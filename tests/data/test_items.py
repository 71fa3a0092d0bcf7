from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcompare.core.errors import InputError
from lmcompare.data import ItemSplits, TaskItem, build_item_splits


@dataclass(frozen=True)
class Rows:
    """Rows listed by a test."""

    listed: list[dict[str, Any]]
    kind: ClassVar[str] = "rows"

    def rows(self) -> Iterator[dict[str, Any]]:
        return iter(self.listed)

    def fingerprint(self) -> str:
        return "rows"


def rows(count: int) -> list[dict[str, Any]]:
    return [
        {"source": f"one {i}", "target": f"un {i}", "document": f"d{i // 10}"} for i in range(count)
    ]


def build(
    listed: list[dict[str, Any]], columns: tuple[str, ...] = ("source", "target"), **changed: Any
) -> ItemSplits:
    usual: dict[str, Any] = {"validation": 0.1, "test": 0.2, "items": None, "seed": 0}
    return build_item_splits(Rows(listed), columns, **(usual | changed))


def sizes(built: ItemSplits) -> list[int]:
    return [len(part) for part in (built.train, built.validation, built.test)]


def everything(built: ItemSplits) -> list[TaskItem]:
    return [*built.train, *built.validation, *built.test]


def test_every_item_is_in_one_split() -> None:
    built = build(rows(100))
    assert sizes(built) == [70, 10, 20]
    ids = [int(entry.id) for entry in everything(built)]
    assert sorted(ids) == list(range(100)) and ids != sorted(ids)
    assert all(
        entry.fields == {"source": f"one {entry.id}", "target": f"un {entry.id}"}
        for entry in built.train
    )
    assert built.counts == {
        "items": 100, "empty": 0, "duplicates": 0, "left_out": 0, "groups": 100,
        "train_items": 70, "validation_items": 10, "test_items": 20,
    }  # fmt: skip


def test_a_source_is_read_once_for_the_cells_of_a_task() -> None:
    @dataclass(frozen=True)
    class Counted(Rows):
        content: list[str]
        read: list[str]

        def rows(self) -> Iterator[dict[str, Any]]:
            self.read.append("once more")
            return super().rows()

        def fingerprint(self) -> str:
            return self.content[0]

    source = Counted(rows(20), ["first"], [])
    usual: dict[str, Any] = {"validation": 0.1, "test": 0.2, "items": None, "seed": 0}
    built = build_item_splits(source, ("source",), **usual)
    assert build_item_splits(source, ("source",), **usual) is built and len(source.read) == 1
    assert build_item_splits(source, ("target",), **usual) != built and len(source.read) == 2
    source.content[0] = "changed"
    assert (
        len(build_item_splits(source, ("target",), **usual).train) == 14 and len(source.read) == 3
    )


def test_fewer_items_are_drawn_by_the_seed_alone() -> None:
    built = build(rows(100), items=30)
    assert sizes(built) == [21, 3, 6] and built.counts["left_out"] == 70
    assert build(rows(100), items=30) == built
    other = build(rows(100), items=30, seed=1)
    assert other.fingerprint != built.fingerprint and {e.id for e in other.test} != {
        e.id for e in built.test
    }
    assert [e.id for e in build(rows(100), items=30, validation=0.4).test] == [
        e.id for e in built.test
    ]


def test_duplicates_are_compared_on_the_unique_columns() -> None:
    listed = [
        *rows(10),
        {"source": "ONE 3!", "target": "un 3."},
        {"source": "One 3", "target": "another"},
        {"source": " <br>", "target": "x"},
        {"source": "one", "target": None},
    ]
    built = build(listed)
    assert (built.counts["duplicates"], built.counts["empty"], len(everything(built))) == (1, 2, 11)
    built = build(listed, unique=("source",), optional=("target",))
    assert (built.counts["duplicates"], built.counts["empty"], len(everything(built))) == (2, 1, 11)
    assert {"source": "one", "target": ""} in [entry.fields for entry in everything(built)]


def test_texts_are_cleaned_and_lists_numbers_and_code_stay() -> None:
    code = "def f():\n    return  1\n"
    listed = [
        {"a": f"x  {i}<br>", "code": code, "tokens": [" a", "b\x85"], "score": i / 2, "no": 1}
        for i in range(9)
    ]
    built = build(listed, ("a", "code", "tokens", "score"), verbatim=("code",))
    first = next(entry for entry in everything(built) if entry.id == "3")
    assert first.fields == {"a": "x 3", "code": code, "tokens": [" a", "b\x85"], "score": 1.5}
    assert (
        len(everything(build(listed, ("code", "score"), verbatim=("code",), unique=("score",))))
        == 9
    )


def test_no_group_is_in_two_splits() -> None:
    built = build(rows(1000), group="document")
    documents = [
        {int(e.id) // 10 for e in part} for part in (built.train, built.validation, built.test)
    ]
    assert (
        not documents[0] & documents[1]
        and not documents[0] & documents[2]
        and not documents[1] & documents[2]
    )
    assert sizes(built) == [700, 100, 200] and built.counts["groups"] == 100
    assert "document" not in built.train[0].fields


def test_the_same_source_with_two_targets_stays_together() -> None:
    listed = [
        {"source": f"{'Hi' if odd else 'hi'} {i}!", "target": f"{i} {odd}"}
        for i in range(50)
        for odd in (0, 1)
    ]
    built = build(listed, group="source")
    parts = [{int(e.id) // 2 for e in part} for part in (built.train, built.validation, built.test)]
    assert sum(map(len, parts)) == 50


def test_a_test_without_training_takes_everything() -> None:
    assert sizes(build(rows(10), validation=0, test=1)) == [0, 0, 10]
    assert sizes(build(rows(10), validation=0.3, test=0.7)) == [0, 3, 7]
    assert sizes(build(rows(10), validation=0, test=0.7)) == [3, 0, 7]


@hypothesis.settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=80),
    st.floats(0, 0.6),
    st.floats(0.05, 0.4),
    st.integers(0, 9),
)
def test_splits_are_apart_whatever_the_groups(
    groups: list[int], validation: float, test: float, seed: int
) -> None:
    listed = [{"a": f"text {i}", "document": str(group)} for i, group in enumerate(groups)]
    try:
        built = build(listed, ("a",), validation=validation, test=test, group="document", seed=seed)
    except InputError as error:
        assert "too small" in str(error) and len(set(groups)) < len(groups) + 3
        return
    of_part = [
        {groups[int(e.id)] for e in part} for part in (built.train, built.validation, built.test)
    ]
    assert sum(map(len, of_part)) == len(set(groups))
    assert sorted(int(e.id) for e in everything(built)) == list(range(len(groups)))
    assert len(built.test) < test * len(groups) + 1 + max(map(groups.count, groups))


@pytest.mark.parametrize(
    ("listed", "changed", "message"),
    [
        ([], {}, r"wanted items with source, target, got none \(0 rows read\)"),
        (rows(2), {}, "too small: 2 items in 2 groups, .* 0.1 and test 0.2, leave none for train"),
        (rows(20), {"group": "document"}, "20 items in 2 groups, .* leave none for train"),
        (
            rows(9),
            {"unique": ("sourc",)},
            "wanted one of the columns source, target, got 'sourc'; did you mean 'source'",
        ),
        (
            rows(9),
            {"group": "documents"},
            "the source has no column 'documents'; did you mean 'document'",
        ),
        ([{"source": "a"}], {}, "the source has no column 'target'"),
        (
            rows(9),
            {"validation": 0.6, "test": 0.5},
            "wanted validation of at least 0, .* got 0.6 and 0.5",
        ),
        (rows(9), {"test": 0}, "test of more than 0, .* got 0.1 and 0"),
    ],
)
def test_what_cannot_be_split_is_refused(
    listed: list[dict[str, Any]], changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        build(listed, **changed)
