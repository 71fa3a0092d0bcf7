"""Per-item outcomes as matrices of seeds and items, and how two of them are set against each other."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lmcompare import statistics
from lmcompare.report.results import CONTROL, Results

Values = NDArray[np.float64]

PROPER = {"", "exact", "chain"}
"""The exactness under which a likelihood may be compared with another one: each is a normalised probability."""


@dataclass(frozen=True)
class ItemOutcomes:
    """The per-item outcomes of one model or control under one condition.

    Attributes:
        model: its name.
        condition: pretrained, scratch or control.
        exactness: of the likelihood, '' if it is none.
        seeds: (S,) the seeds of the rows.
        items: (I,) the ids of the columns, sorted.
        numerators: (S, I).
        denominators: (S, I), or None: the statistic is the mean.
    """

    model: str
    condition: str
    exactness: str
    seeds: tuple[int, ...]
    items: tuple[str, ...]
    numerators: Values
    denominators: Values | None

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
        """Return the rows and columns asked for; the one row of a control stands for every seed."""
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
    """Return the outcomes behind ``metric``: of the items that every seed answered, else of the whole cell as one item.

    Which per-item records the metric is made of, the task says (``per_item``). It is a ratio of sums, so an item whose
    denominator is 0 stays: an inserted word is an error even where the reference has none. If all are 0, there is no
    ratio, and the value of the whole cell stands in. None if nothing is known.
    """
    above, below = rows.records_of(task, metric)
    frame = rows.values(task, model, condition, above)
    top = _matrix(frame)
    bottom = _matrix(rows.values(task, model, condition, below)) if below else None
    if bottom is not None:
        seeds, items = (
            top.index.intersection(bottom.index),
            top.columns.intersection(bottom.columns).sort_values(),
        )
        top, bottom = top.loc[seeds, items], bottom.loc[seeds, items]
    if top.empty or (bottom is not None and not (bottom.sum(axis=1) > 0).all()):
        frame = rows.values(task, model, condition, metric)
        top, bottom = _matrix(frame, whole=True), None
    if top.empty:
        return None
    return ItemOutcomes(
        model=model,
        condition=condition,
        exactness=str(frame["exactness"].iloc[0]),
        seeds=tuple(int(seed) for seed in top.index),
        items=tuple(str(item) for item in top.columns),
        numerators=top.to_numpy(dtype=float),
        denominators=None if bottom is None else bottom.to_numpy(dtype=float),
    )


def _matrix(frame: pd.DataFrame, *, whole: bool = False) -> pd.DataFrame:
    """Return seeds x items, both sorted, of the items that every seed has; of the whole cell: one column, ''."""
    frame = frame[(frame["item"] == "") == whole]
    matrix = frame.pivot(index="seed", columns="item", values="value").sort_index()
    return matrix.loc[:, np.isfinite(matrix.to_numpy(dtype=float)).all(axis=0)]


def comparable(first: ItemOutcomes, second: ItemOutcomes) -> bool:
    """Return whether two likelihoods are the same quantity, or both normalised probabilities."""
    return first.exactness == second.exactness or {first.exactness, second.exactness} <= PROPER


def paired(
    first: ItemOutcomes | None, second: ItemOutcomes | None, largest_difference: float = np.inf
) -> statistics.Difference | None:
    """Return first - second over the seeds and items that both have; None where they may not be compared.

    A pseudo-likelihood or a bound is never set against a likelihood (Salazar et al. 2020: a score, not a probability).
    The interval goes no further than ``largest_difference``, the greatest difference that there can be, to either side.
    """
    if first is None or second is None or not comparable(first, second):
        return None
    both = [one for one in (first, second) if one.condition != CONTROL]
    seeds = sorted(set.intersection(*(set(one.seeds) for one in both))) if both else [0]
    items = sorted(set(first.items) & set(second.items))
    if not seeds or not items:
        return None
    one, other = first.at(seeds, items), second.at(seeds, items)
    if one.denominators is None or other.denominators is None:
        return _within(statistics.difference(one.numerators, other.numerators), largest_difference)
    if not all((below.sum(axis=1) > 0).all() for below in (one.denominators, other.denominators)):
        return None
    found = statistics.difference(
        one.numerators, other.numerators, one.denominators, other.denominators
    )
    return _within(found, largest_difference)


def _within(found: statistics.Difference, largest_difference: float) -> statistics.Difference:
    # Two seeds that differ make an interval wider than the scale of an accuracy; NaN stays NaN.
    return replace(
        found,
        low=float(np.maximum(found.low, -largest_difference)),
        high=float(np.minimum(found.high, largest_difference)),
    )


def pretraining_gain(pretrained: ItemOutcomes, scratch: ItemOutcomes) -> ItemOutcomes | None:
    """Return the per-item gain of pretraining as an outcome of its own.

    Where the two divide by different things (F1: by what each has said), each item's share in either ratio is taken
    (``linear``), so that their mean is the gain.
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
    """Return values of which each seed's mean is its ratio, by the ratio's derivative in each item: (S, I).

    An item gives ratio + (above - ratio x below) / mean of below (the delta method; Cochran 1977, section 6.3).

    >>> ratio = ItemOutcomes("a", "pretrained", "", (1,), ("x", "y"), np.array([[1.0, 2.0]]), np.array([[2.0, 2.0]]))
    >>> linearized(ratio).tolist()
    [[0.5, 1.0]]
    """
    if one.denominators is None:
        return one.numerators
    below = one.denominators.mean(axis=1, keepdims=True)
    ratio = one.numerators.mean(axis=1, keepdims=True) / below
    shares: Values = ratio + (one.numerators - ratio * one.denominators) / below
    return shares


def shifted(one: ItemOutcomes, by: float) -> ItemOutcomes:
    """Return the outcome with ``by`` added to its statistic: to each item in proportion to its denominator."""
    below = 1.0 if one.denominators is None else one.denominators
    return replace(one, numerators=one.numerators + by * below)
