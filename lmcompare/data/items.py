"""A source becomes items for a task without labels: chosen columns, clean, each once, in three splits."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from lmcompare.core.errors import InputError, nearest
from lmcompare.data.cache import digest, remembered
from lmcompare.data.cleaning import clean
from lmcompare.data.corpus import split_sizes
from lmcompare.data.deduplication import duplicate_key, hash64
from lmcompare.data.sources.base import Row, Source


@dataclass(frozen=True)
class TaskItem:
    """One item of a task.

    Attributes:
        id: its row in the source, from 0, as text.
        fields: the chosen columns, in the order they were asked for.
    """

    id: str
    fields: dict[str, Any]


@dataclass(frozen=True)
class ItemSplits:
    """The items of a task, split once.

    Attributes:
        train: shuffled, as are the others; empty where validation and test take all.
        validation: chooses the trial; empty where its share is 0.
        test: is reported.
        fingerprint: SHA-256 of the items of each split.
        counts: ``items`` read, and of these ``empty`` and ``duplicates`` (near ones, too) removed; ``left_out`` because
            fewer were wanted; ``groups`` among those kept; then ``train_items`` and so on.
    """

    train: list[TaskItem]
    validation: list[TaskItem]
    test: list[TaskItem]
    fingerprint: str
    counts: dict[str, int]


@remembered
def build_item_splits(
    source: Source,
    columns: Sequence[str],
    *,
    validation: float,
    test: float,
    items: int | None,
    seed: int,
    unique: Sequence[str] | None = None,
    group: str | None = None,
    verbatim: Sequence[str] = (),
    optional: Sequence[str] = (),
) -> ItemSplits:
    """Read, clean, de-duplicate and split items; where they are grouped, no group is in two splits.

    Two items are the same where the ``unique`` columns differ at most in case, spaces and punctuation; the first is
    kept. Texts are cleaned as a corpus is; lists (tokens, tags, answers), numbers and ``verbatim`` columns stay.

    Args:
        source: where the rows come from.
        columns: to keep.
        validation: share of the items, 0 or more; 0: none.
        test: share of the items, more than 0; together with ``validation`` 1 at most, and if 1, nothing is trained on.
        items: at most so many in all, drawn at random; None: all.
        seed: draws and orders the items.
        unique: the columns that are compared, among ``columns``; None: all of them.
        group: a column of the source, such as ``document``: its items stay together. Groups are drawn whole, so a split
            may hold up to one group more than its share.
        verbatim: columns whose text keeps its spaces: code, or a passage that answers point into.
        optional: columns that may be empty; an item with nothing in another one is removed.

    Raises:
        InputError: a column is missing, there are no items, or too few items or groups for the splits.
    """
    if validation < 0 or test <= 0 or validation + test > 1 + 1e-9:
        raise InputError(
            "the shares of validation and test: wanted validation of at least 0, test of more than 0, and at most 1 "
            f"together, got {validation} and {test}"
        )
    wanted = _known(columns, unique, verbatim, optional)
    entries, groups, counts = _read(source, columns, wanted, group, set(verbatim), set(optional))
    if not entries:
        raise InputError(
            f"wanted items with {', '.join(columns)}, got none ({counts['items']} rows read)"
        )
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(len(entries))[:items]
    members: dict[int, list[TaskItem]] = {}
    for row in drawn:
        members.setdefault(groups[row], []).append(entries[row])
    parts = _split(list(members.values()), len(drawn), validation, test)
    for part in parts.values():
        rng.shuffle(part)
    counts |= {"left_out": len(entries) - len(drawn), "groups": len(members)}
    counts |= {f"{name}_items": len(part) for name, part in parts.items()}
    content = {name: [(entry.id, entry.fields) for entry in part] for name, part in parts.items()}
    return ItemSplits(**parts, fingerprint=digest(content), counts=counts)


def _known(
    columns: Sequence[str],
    unique: Sequence[str] | None,
    verbatim: Sequence[str],
    optional: Sequence[str],
) -> list[str]:
    for name in (*(unique or ()), *verbatim, *optional):
        if name not in columns:
            raise InputError(
                f"wanted one of the columns {', '.join(columns)}, got {name!r}{nearest(name, columns)}"
            )
    return list(columns if unique is None else unique)


def _read(
    source: Source,
    columns: Sequence[str],
    unique: Sequence[str],
    group: str | None,
    verbatim: set[str],
    optional: set[str],
) -> tuple[list[TaskItem], list[int], dict[str, int]]:
    """Return the items to keep, the group of each as a number, and the counts of the others."""
    entries: list[TaskItem] = []
    groups: list[int] = []
    seen: set[int] = set()
    counts = {"items": 0, "empty": 0, "duplicates": 0}
    for number, row in enumerate(source.rows()):
        counts["items"] += 1
        fields = {name: _value(row, name, name in verbatim) for name in columns}
        if any(_is_empty(fields[name]) for name in columns if name not in optional):
            counts["empty"] += 1
            continue
        fold = hash64(b"\0".join(_folded(fields[name]) for name in unique))
        if fold in seen:
            counts["duplicates"] += 1
            continue
        seen.add(fold)
        entries.append(TaskItem(str(number), fields))
        groups.append(number if group is None else hash64(_folded(_value(row, group, False))))
    return entries, groups, counts


def _value(row: Row, name: str, verbatim: bool) -> Any:
    if name not in row:
        raise InputError(f"the source has no column {name!r}{nearest(name, row)}")
    value = row[name]
    return (
        clean(value) if isinstance(value, str) and not verbatim else "" if value is None else value
    )


def _is_empty(value: Any) -> bool:
    return isinstance(value, (str, list)) and not (
        value.strip() if isinstance(value, str) else value
    )


def _folded(value: Any) -> bytes:
    if isinstance(value, list):
        return b"\1".join(_word(item) if isinstance(item, str) else _folded(item) for item in value)
    return duplicate_key(value if isinstance(value, str) else repr(value))


_word = lru_cache(maxsize=65536)(
    duplicate_key
)  # the words of a list come again and again; whole texts do not


def _split(
    groups: list[list[TaskItem]], count: int, validation: float, test: float
) -> dict[str, list[TaskItem]]:
    """Give test its groups first, so that they do not change with the share of validation; train has the rest."""
    _, held, tested = split_sizes(count, validation, test)
    sizes = {"test": tested, "validation": held if validation else 0}
    rest = "validation" if validation else "test"
    complete = validation + test > 1 - 1e-9
    parts: dict[str, list[TaskItem]] = {"test": [], "validation": [], "train": []}
    for members in groups:
        short = [name for name, size in sizes.items() if len(parts[name]) < size]
        parts[short[0] if short else rest if complete else "train"] += members
    for name, wanted in (("test", True), ("validation", validation > 0), ("train", not complete)):
        if wanted and not parts[name]:
            raise InputError(
                f"too small: {count} items in {len(groups)} groups, with validation {validation} and test {test}, "
                f"leave none for {name}"
            )
    return parts
