"""Labeled items of a task: clean, each once, split by label."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmcompare.core.errors import InputError, nearest
from lmcompare.data.cache import cached_in_memory, digest
from lmcompare.data.cleaning import clean
from lmcompare.data.corpus import split_sizes, text_of
from lmcompare.data.deduplication import duplicate_key, hash64
from lmcompare.data.sources.base import Source


@dataclass(frozen=True)
class LabeledItem:
    """One labeled text."""

    id: str
    """its row in the source, from 0, as text"""
    text: str
    """clean"""
    label: int
    """index into the names of the labels"""


@dataclass(frozen=True)
class LabeledSplits:
    """The labeled items of a task, split once; each label has the same share in each split."""

    train: list[LabeledItem]
    """shuffled, as are the others"""
    validation: list[LabeledItem]
    """chooses the trial"""
    test: list[LabeledItem]
    """is reported"""
    labels: tuple[str, ...]
    """their names, sorted"""
    fingerprint: str
    """SHA-256 of the items of each split"""
    counts: dict[str, int]
    """``items`` read, and of these ``empty``, ``duplicates`` (near ones, too) and ``conflicting``
    (the same text with several labels: none is kept) removed; ``left_out`` because fewer were
    wanted; then ``train_items`` and so on"""


def labels_of(items: Sequence[LabeledItem]) -> NDArray[np.int64]:
    """Return the labels. Shape (items,)."""
    return np.array([item.label for item in items], dtype=np.int64)


@cached_in_memory
def build_labeled_splits(
    source: Source,
    *,
    text: str,
    label: str,
    validation: float,
    test: float,
    items: int | None,
    seed: int,
) -> LabeledSplits:
    """Read, clean, deduplicate and split labeled items, the same share of each label in each split.

    Args:
        source: where the rows come from.
        text: name of the column with the text.
        label: name of the column with the label; its values are taken as text.
        validation: share of the items, 0 to 1.
        test: share of the items, 0 to 1.
        items: at most so many in all, drawn at random, each label as frequent as before; None: all.
        seed: draws and orders the items.

    Raises:
        InputError: a column is missing, there is no text or one label alone, or a label has too few
            items for three splits.
    """
    if validation + test >= 1:
        wanted = "wanted less than 1 together"
        raise InputError(f"the shares of validation and test: {wanted}, got {validation} + {test}")
    kept, counts = _read(source, text, label)
    if not kept:
        raise InputError(f"wanted labeled items with text, got none ({counts['items']} rows read)")
    labels = tuple(sorted({name for _, _, name in kept}))
    if len(labels) < 2:
        raise InputError(f"column {label!r}: wanted at least two labels, got {labels[0]!r} alone")

    rng = np.random.default_rng(seed)
    groups = _draw(kept, labels, items, rng)
    total = sum(map(len, groups.values()))

    # Split the items label by label.
    parts: dict[str, list[LabeledItem]] = {"test": [], "validation": [], "train": []}
    for name, group in groups.items():
        train, validated, tested = split_sizes(len(group), validation, test)
        if not train:
            raise InputError(
                f"column {label!r}: the label {name!r} occurs {len(group)} times among "
                f"{total} items; wanted enough for train, validation {validation} and "
                f"test {test} to have one each"
            )
        parts["test"] += group[:tested]
        parts["validation"] += group[tested : tested + validated]
        parts["train"] += group[tested + validated :]
    for part in parts.values():
        rng.shuffle(part)
    counts["left_out"] = len(kept) - total
    counts |= {f"{name}_items": len(part) for name, part in parts.items()}
    content_of = {
        name: [(item.id, item.text, labels[item.label]) for item in part]
        for name, part in parts.items()
    }
    return LabeledSplits(**parts, labels=labels, fingerprint=digest(content_of), counts=counts)


def _draw(
    kept: list[tuple[str, str, str]],
    labels: tuple[str, ...],
    items: int | None,
    rng: np.random.Generator,
) -> dict[str, list[LabeledItem]]:
    """Draw ``items`` items, each label in its share; return them by label, shuffled."""
    groups: dict[str, list[LabeledItem]] = {name: [] for name in labels}
    for row in rng.permutation(len(kept)):
        id_, content, name = kept[row]
        groups[name].append(LabeledItem(id_, content, labels.index(name)))
    # Merged by their place within the label, any first n have each label's share.
    order = sorted(
        ((i + 0.5) / len(group), name, i)
        for name, group in groups.items()
        for i in range(len(group))
    )
    drawn = Counter(name for _, name, _ in order[:items])
    return {name: group[: drawn[name]] for name, group in groups.items()}


def _read(
    source: Source, text: str, label: str
) -> tuple[list[tuple[str, str, str]], dict[str, int]]:
    """Return (id, text, name of label) of the items to keep, and the counts of the others."""
    items: dict[int, tuple[str, str, str]] = {}
    conflicting: set[int] = set()
    counts = {"items": 0, "empty": 0, "duplicates": 0, "conflicting": 0}
    for number, row in enumerate(source.rows()):
        if label not in row:
            hint = nearest(label, row)
            raise InputError(f"the source has no column {label!r} for the label{hint}")
        counts["items"] += 1
        content = clean(text_of(row, text, number))
        name = "" if row[label] is None else str(row[label]).strip()
        if not name:
            wanted = f"wanted a label in column {label!r}"
            raise InputError(f"row {number} of the source: {wanted}, got none")
        if not content:
            counts["empty"] += 1
            continue
        item = items.setdefault(key := hash64(duplicate_key(content)), (str(number), content, name))
        if item[0] == str(number):
            continue
        if item[2] == name:
            counts["duplicates"] += 1
        else:
            conflicting.add(key)
            counts["conflicting"] += 1
    kept = [item for key, item in items.items() if key not in conflicting]
    counts["conflicting"] += len(items) - len(kept)
    return kept, counts
