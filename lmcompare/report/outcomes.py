"""Per-item outcomes as matrices of seeds and items, and paired comparisons of two of them."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lmcompare import statistics
from lmcompare.report.results import CONTROL, Results

Values = NDArray[np.float64]

PROPER = {"", "exact", "chain"}
"""The exactness of likelihoods that may be compared: each is a normalized probability."""


@dataclass(frozen=True)
class ItemOutcomes:
    """The per-item outcomes of one model or control under one condition."""

    model: str
    condition: str
    """pretrained, scratch or control"""
    exactness: str
    """of the likelihood, '' if it is none"""
    seeds: tuple[int, ...]
    """(S,) of the rows"""
    items: tuple[str, ...]
    """(I,) ids of the columns, sorted"""
    numerators: Values
    """(S, I)"""
    denominators: Values | None
    """(S, I), or None: the statistic is the mean"""

    @property
    def per_seed(self) -> list[float]:
        """The statistic of each seed."""
        below = (
            np.full(len(self.seeds), len(self.items))
            if self.denominators is None
            else self.denominators.sum(1)
        )
        return [float(value) for value in self.numerators.sum(1) / below]

    def at(self, seeds: list[int], items: list[str]) -> "ItemOutcomes":
        """Return some rows and columns; the one row of a control stands for every seed."""
        if self.seeds == tuple(seeds) and self.items == tuple(items):
            return self
        rows = [0 if self.condition == CONTROL else self.seeds.index(seed) for seed in seeds]
        places = {item: place for place, item in enumerate(self.items)}
        grid = np.ix_(rows, [places[item] for item in items])
        below = None if self.denominators is None else self.denominators[grid]
        return replace(
            self,
            seeds=tuple(seeds),
            items=tuple(items),
            numerators=self.numerators[grid],
            denominators=below,
        )


def item_outcomes(
    rows: Results, task: str, model: str, condition: str, metric: str
) -> ItemOutcomes | None:
    """Return the outcomes behind ``metric`` on the items of every seed, else of the whole cell.

    The task states (``per_item``) which per-item records the metric is a ratio of sums of; an item
    whose denominator is 0 stays: an inserted word is an error even where the reference is empty. If
    all are 0, there is no ratio, and the value of the whole cell is one item. None if nothing is
    known.
    """
    key = (task, model, condition, metric)
    if key not in rows.outcomes_cache:
        rows.outcomes_cache[key] = _item_outcomes(rows, *key)
    outcomes: ItemOutcomes | None = rows.outcomes_cache[key]
    return outcomes


def _item_outcomes(
    rows: Results, task: str, model: str, condition: str, metric: str
) -> ItemOutcomes | None:
    above, below = rows.records_of(task, metric)
    frame = rows.values(task, model, condition, above)
    seeds, items, top = _matrix(frame)
    bottom = None
    if below:
        its_seeds, its_items, bottom = _matrix(rows.values(task, model, condition, below))
        seeds, rows_above, rows_below = np.intersect1d(seeds, its_seeds, return_indices=True)
        items, columns_above, columns_below = np.intersect1d(items, its_items, return_indices=True)
        top = top[np.ix_(rows_above, columns_above)]
        bottom = bottom[np.ix_(rows_below, columns_below)]
    if not top.size or (bottom is not None and not (bottom.sum(axis=1) > 0).all()):
        frame = rows.values(task, model, condition, metric)
        (seeds, items, top), bottom = _matrix(frame, whole=True), None
    if not top.size:
        return None
    return ItemOutcomes(
        model=model,
        condition=condition,
        exactness=str(frame["exactness"].iloc[0]),
        seeds=tuple(int(seed) for seed in seeds),
        items=tuple(str(item) for item in items),
        numerators=top,
        denominators=bottom,
    )


def _matrix(frame: pd.DataFrame, *, whole: bool = False) -> tuple[Any, Any, Values]:
    """Return seeds and items, sorted, and their values (seeds, items), of items of every seed.

    Of a whole cell there is one item, ''.
    """
    names = frame["item"].to_numpy(dtype=object)
    chosen = (names == "") == whole
    seeds, row = np.unique(frame["seed"].to_numpy()[chosen], return_inverse=True)
    items, column = np.unique(names[chosen].astype(str), return_inverse=True)
    values = np.full((len(seeds), len(items)), np.nan)
    values[row, column] = frame["value"].to_numpy(dtype=float)[chosen]
    complete = np.isfinite(values).all(axis=0)
    return seeds, items[complete], np.asfortranarray(values[:, complete])


def comparable(first: ItemOutcomes, second: ItemOutcomes) -> bool:
    """Return whether two likelihoods are the same quantity, or both normalized probabilities."""
    return first.exactness == second.exactness or {first.exactness, second.exactness} <= PROPER


def paired(
    first: ItemOutcomes | None, second: ItemOutcomes | None, largest_difference: float = np.inf
) -> statistics.Difference | None:
    """Return first - second over shared seeds and items; None where they may not be compared.

    A pseudo-likelihood or a bound is never compared with a likelihood (Salazar et al. 2020: a
    score, not a probability). The interval is cut at ``largest_difference`` on either side: two
    seeds that differ make one wider than the scale of an accuracy.
    """
    if first is None or second is None or not comparable(first, second):
        return None
    of_seeds = [each for each in (first, second) if each.condition != CONTROL]
    seeds = sorted(set.intersection(*(set(e.seeds) for e in of_seeds))) if of_seeds else [0]
    items = list(first.items) if first.items == second.items else _shared(first, second)
    if not seeds or not items:
        return None
    one, other = first.at(seeds, items), second.at(seeds, items)
    denominators = (one.denominators, other.denominators)
    if one.denominators is None or other.denominators is None:
        denominators = (None, None)
    elif not all((below.sum(axis=1) > 0).all() for below in denominators if below is not None):
        return None
    difference = statistics.difference(one.numerators, other.numerators, *denominators)
    return replace(
        difference,  # NaN stays NaN
        low=float(np.maximum(difference.low, -largest_difference)),
        high=float(np.minimum(difference.high, largest_difference)),
    )


def _shared(first: ItemOutcomes, second: ItemOutcomes) -> list[str]:
    return sorted(set(first.items) & set(second.items))


def pretraining_gain(pretrained: ItemOutcomes, scratch: ItemOutcomes) -> ItemOutcomes | None:
    """Return the per-item gain of pretraining as an outcome of its own.

    Where the denominators differ (F1: each network's own predictions), each item's share in either
    ratio is taken (``linearized``), so that their mean is the gain.
    """
    seeds = sorted(set(pretrained.seeds) & set(scratch.seeds))
    items = sorted(set(pretrained.items) & set(scratch.items))
    if not seeds or not items:
        return None
    one, other = pretrained.at(seeds, items), scratch.at(seeds, items)
    if one.denominators is None or other.denominators is None:
        same = one.denominators is other.denominators
    else:
        same = np.array_equal(one.denominators, other.denominators)
    if same:
        return replace(one, numerators=one.numerators - other.numerators)
    return replace(one, numerators=linearized(one) - linearized(other), denominators=None)


def linearized(one: ItemOutcomes) -> Values:
    """Return values whose mean of each seed is its ratio, by the ratio's derivative in each item.

    An item gives ratio + (above - ratio x below) / mean of below (delta method; Cochran 1977,
    section 6.3). (S, I).

    >>> above, below = np.array([[1.0, 2.0]]), np.array([[2.0, 2.0]])
    >>> linearized(ItemOutcomes("a", "pretrained", "", (1,), ("x", "y"), above, below)).tolist()
    [[0.5, 1.0]]
    """
    if one.denominators is None:
        return one.numerators
    below = one.denominators.mean(axis=1, keepdims=True)
    ratio = one.numerators.mean(axis=1, keepdims=True) / below
    shares: Values = ratio + (one.numerators - ratio * one.denominators) / below
    return shares


def shifted(one: ItemOutcomes, by: float) -> ItemOutcomes:
    """Return the outcome with ``by`` added to its statistic, by each item's denominator."""
    below = 1.0 if one.denominators is None else one.denominators
    return replace(one, numerators=one.numerators + by * below)
