"""Items of a task without labels: chosen columns, clean, each once, in three splits."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from lmcompare.core.errors import InputError, nearest
from lmcompare.data.cache import cached_in_memory, digest
from lmcompare.data.cleaning import clean
from lmcompare.data.corpus import split_sizes
from lmcompare.data.deduplication import duplicate_key, hash64
from lmcompare.data.sources.base import Row, Source


@dataclass(frozen=True)
class TaskItem:
    """One item of a task."""

    id: str
    """its row in the source, from 0, as text"""
    fields: dict[str, Any]
    """the chosen columns, in the order of the task"""


@dataclass(frozen=True)
class ItemSplits:
    """The items of a task, split once."""

    train: list[TaskItem]
    """shuffled, as are the others; empty where validation and test take all"""
    validation: list[TaskItem]
    """chooses the trial; empty where its share is 0"""
    test: list[TaskItem]
    """is reported"""
    fingerprint: str
    """SHA-256 of the items of each split"""
    counts: dict[str, int]
    """``items`` read, and of these ``empty`` and ``duplicates`` (near ones, too) removed;
    ``left_out`` because fewer were wanted; ``groups`` among those kept; then ``train_items`` and so
    on"""


@cached_in_memory
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
    """Read, clean, deduplicate and split items; where they are grouped, no group is in two splits.

    Two items are the same where the ``unique`` columns differ at most in case, spaces and
    punctuation; the first is kept. Texts are cleaned as a corpus is; lists (tokens, tags, answers),
    numbers and ``verbatim`` columns stay.

    Args:
        source: where the rows come from.
        columns: to keep.
        validation: share of the items, 0 or more; 0: none.
        test: share of the items, more than 0; together with ``validation`` 1 at most, and if 1,
            nothing is trained on.
        items: at most so many in all, drawn at random; None: all.
        seed: draws and orders the items.
        unique: the columns that are compared, among ``columns``; None: all of them.
        group: a column of the source, such as ``document``: its items stay together. Groups are
            drawn whole, so a split may hold up to one group more than its share.
        verbatim: columns whose text keeps its spaces: code, or a passage that answers point into.
        optional: columns that may be empty; an item with nothing in another one is removed.

    Raises:
        InputError: a column is missing, there are no items, or too few items or groups for the
            splits.
    """
    if validation < 0 or test <= 0 or validation + test > 1 + 1e-9:
        raise InputError(
            "the shares of validation and test: wanted validation of at least 0, test of more than "
            f"0, and at most 1 together, got {validation} and {test}"
        )
    for name in (*(unique or ()), *verbatim, *optional):
        if name not in columns:
            wanted = f"wanted one of the columns {', '.join(columns)}"
            raise InputError(f"{wanted}, got {name!r}{nearest(name, columns)}")
    reader = _Reader(columns, columns if unique is None else unique, group, verbatim, optional)
    entries, groups, counts = reader.read(source)
    if not entries:
        got = f"got none ({counts['items']} rows read)"
        raise InputError(f"wanted items with {', '.join(columns)}, {got}")

    # Draw the items, and split them group by group.
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


@dataclass(frozen=True)
class _Reader:
    """Reads the rows of a source as items; the fields are those of ``build_item_splits``."""

    columns: Sequence[str]
    unique: Sequence[str]
    group: str | None
    verbatim: Sequence[str]
    optional: Sequence[str]

    def read(self, source: Source) -> tuple[list[TaskItem], list[int], dict[str, int]]:
        """Return the items to keep, the group of each as a number, and the counts of the others."""
        entries: list[TaskItem] = []
        groups: list[int] = []
        seen: set[int] = set()
        required = [name for name in self.columns if name not in self.optional]
        counts = {"items": 0, "empty": 0, "duplicates": 0}
        for number, row in enumerate(source.rows()):
            counts["items"] += 1
            fields = {name: _value(row, name, name in self.verbatim) for name in self.columns}
            if any(_is_empty(fields[name]) for name in required):
                counts["empty"] += 1
                continue
            key = hash64(b"\0".join(_key(fields[name]) for name in self.unique))
            if key in seen:
                counts["duplicates"] += 1
                continue
            seen.add(key)
            entries.append(TaskItem(str(number), fields))
            if self.group is None:
                groups.append(number)
            else:
                groups.append(hash64(_key(_value(row, self.group, verbatim=False))))
        return entries, groups, counts


def _value(row: Row, name: str, verbatim: bool) -> Any:
    if name not in row:
        raise InputError(f"the source has no column {name!r}{nearest(name, row)}")
    value = row[name]
    if isinstance(value, str) and not verbatim:
        return clean(value)
    return "" if value is None else value


def _is_empty(value: Any) -> bool:
    return isinstance(value, (str, list)) and not (
        value.strip() if isinstance(value, str) else value
    )


def _key(value: Any) -> bytes:
    if isinstance(value, list):
        return b"\1".join(_word(item) if isinstance(item, str) else _key(item) for item in value)
    return duplicate_key(value if isinstance(value, str) else repr(value))


# The words of a list come again and again; whole texts do not.
_word = lru_cache(maxsize=65536)(duplicate_key)


def _split(
    groups: list[list[TaskItem]], count: int, validation: float, test: float
) -> dict[str, list[TaskItem]]:
    """Fill test first, so that it does not change with the share of validation; train is the rest.

    Where validation and test take all, the last of them is the rest.
    """
    _, validated, tested = split_sizes(count, validation, test)
    sizes = {"test": tested, "validation": validated if validation else 0}
    complete = validation + test > 1 - 1e-9
    last = ("validation" if validation else "test") if complete else "train"
    parts: dict[str, list[TaskItem]] = {"test": [], "validation": [], "train": []}
    for members in groups:
        part = next((name for name, size in sizes.items() if len(parts[name]) < size), last)
        parts[part] += members
    for name, wanted in (("test", True), ("validation", validation > 0), ("train", not complete)):
        if wanted and not parts[name]:
            raise InputError(
                f"too small: {count} items in {len(groups)} groups, with validation {validation} "
                f"and test {test}, leave none for {name}"
            )
    return parts
