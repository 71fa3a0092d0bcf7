"""Estimates and paired differences with intervals over seeds and items.

Values come as a matrix of shape (seeds, items): one row a pretraining seed, one column a test item,
the same items in every row. Two sources of chance are kept apart: other seeds would have trained
other networks, other items would have tested them otherwise. Both are shown, and the intervals hold
both.

The Multi-Bootstrap of MultiBERTs (Sellam et al. 2022, arXiv:2106.16163) draws seeds and items with
replacement. With few seeds it is too narrow: drawn from two seeds, the variance of their mean is
half of what it should be on average, and often nearly none. So items are drawn with replacement as
there, and the seeds' part is drawn from its fiducial distribution under normal seed effects, in a
two-way analysis of variance with random seeds and items (Weerahandi 1993; Searle, Casella &
McCulloch 1992). Two seeds then act as in a t test with 1 degree of freedom: the interval is wide,
because two seeds say little. With ten seeds the two ways nearly agree.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from lmcompare.core.errors import InputError
from lmcompare.statistics.resampling import (
    Floats,
    draw_deviations,
    mean_squares,
    pair,
    randomized,
    ratio,
    resample,
)
from lmcompare.statistics.significance import wilson


@dataclass(frozen=True)
class Estimate:
    """A value and its uncertainty.

    Attributes:
        value: sum of numerators / sum of denominators, or the mean.
        low: lower end of the interval.
        high: upper end of the interval. Both are nan for one seed and one item.
        seed_sd: standard deviation of the seeds' values (nan for one seed).
        item_se: standard error that comes from the items (nan for one item).
        seeds: number of seeds. With one, the interval is about this network only: it knows nothing
            of other seeds.
        items: number of items.
    """

    value: float
    low: float
    high: float
    seed_sd: float
    item_se: float
    seeds: int
    items: int


@dataclass(frozen=True)
class Difference:
    """The first's value minus the second's, on the same seeds and items.

    Attributes:
        value: the difference.
        low: lower end of its interval.
        high: upper end of its interval.
        p: two-sided p-value of no difference.
        seeds: number of paired seeds.
        items: number of paired items.
        detectable: the true difference that an interval of this width would separate from 0 with a
            probability of 80%.
        seed_sd: standard deviation of the seeds' differences (nan for one seed).
        item_se: standard error that comes from the items (nan for one item).
    """

    value: float
    low: float
    high: float
    p: float
    seeds: int
    items: int
    detectable: float
    seed_sd: float
    item_se: float


def estimate(
    numerators: ArrayLike,
    denominators: ArrayLike | None = None,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Return the value over seeds and items, and an interval for other seeds and other items.

    >>> accuracy = estimate([[1, 1, 0, 1], [1, 0, 0, 1]])
    >>> accuracy.value, accuracy.seeds, accuracy.items
    (0.625, 2, 4)
    >>> estimate([[8.0, 24.0]], [[4, 6]]).value  # 32 bits / 10 bytes, not the mean of 2 and 4
    3.2

    One seed: items are drawn with replacement (for 0/1 values: Wilson's interval). More: see the
    module. Deviations of items are stretched by t/z and sqrt(n/(n-1)) (Hesterberg 2015, 'expanded
    percentile interval'), which matters for few items. One item (a value of the whole cell, such as
    F1): the seeds' t interval.

    Args:
        numerators: (seeds, items), or (items,) for one seed.
        denominators: as numerators, or one row for all seeds; None for the mean. An item's may be 0
            (an utterance in which nothing was said has no words, but what was heard in it are
            errors); a seed's sum may not.
        level: of the interval.
        resamples: draws of items.
        seed: of the draws.

    Raises:
        InputError: nothing given, unequal shapes, a number that is not finite, denominators below
            0, or ones that add up to 0.
    """
    upper, lower = pair("estimate", numerators, denominators)
    seeds, items = upper.shape
    value = float(upper.sum() / lower.sum())
    residuals = (upper - value * lower) / lower.mean()
    totals = np.stack([upper.sum(axis=0), lower.sum(axis=0)])
    (above, below), rng = resample(totals, resamples, seed)
    deviations = draw_deviations(_drawn(ratio(above, below)) - value, residuals, level, rng)
    low, high = _ends(value, deviations, level)
    if denominators is None and bool(np.isin(upper, (0, 1)).all()):
        if items > 1 and (
            seeds == 1 or not upper.std()
        ):  # no spread to draw from says little: 20 of 20 is not 100%
            low, high = wilson(round(value * items), items, level=level)
        low, high = max(low, 0.0), min(high, 1.0)
    elif (upper >= 0).all():
        low = max(low, 0.0)
    seed_sd, item_se = _spread(upper.sum(axis=1) / lower.sum(axis=1), residuals)
    return Estimate(value, low, high, seed_sd, item_se, seeds, items)


def difference(
    a: ArrayLike,
    b: ArrayLike,
    denominators_a: ArrayLike | None = None,
    denominators_b: ArrayLike | None = None,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Difference:
    """Return value(a) - value(b), paired on seed and item, its interval, p-value and power.

    >>> gap = difference([[1, 1, 1, 0, 1, 1]], [[0, 1, 0, 0, 1, 0]])
    >>> gap.value, gap.seeds, gap.items
    (0.5, 1, 6)

    The interval is ``estimate``'s, on the paired differences (paired bootstrap: Koehn 2004). For
    several seeds the p-value is the one that goes with the interval (below 0.05 where 95% excludes
    0). For one seed it is approximate randomisation: a and b change places item by item, at random
    (Noreen 1989; Dror et al. 2018); it is about these two networks only.

    Args:
        a: (seeds, items), or (items,) for one seed.
        b: as a. A single row (a control, which has no seeds) is compared with every row of a, and
            the other way round.
        denominators_a: for ratios: as a, or one row for all seeds; None for means.
        denominators_b: the same for b; None takes those of a.
        level: of the interval.
        resamples: draws of items, and of exchanges.
        seed: of the draws.

    Raises:
        InputError: as ``estimate``; or seeds or items cannot be paired.
    """
    if denominators_b is None:
        denominators_b = denominators_a
    upper_a, lower_a = pair("difference: a", a, denominators_a)
    upper_b, lower_b = pair("difference: b", b, denominators_b)
    (seeds_a, items), (seeds_b, items_b) = upper_a.shape, upper_b.shape
    if items != items_b or (seeds_a != seeds_b and 1 not in (seeds_a, seeds_b)):
        raise InputError(
            f"difference: wanted the same seeds and items on both sides, got {seeds_a} seeds x "
            f"{items} items and {seeds_b} seeds x {items_b} items"
        )
    seeds = max(seeds_a, seeds_b)
    upper_a, lower_a, upper_b, lower_b = (
        np.broadcast_to(x, (seeds, items)) for x in (upper_a, lower_a, upper_b, lower_b)
    )
    value_a, value_b = float(upper_a.sum() / lower_a.sum()), float(upper_b.sum() / lower_b.sum())
    value = value_a - value_b
    residuals = (upper_a - value_a * lower_a) / lower_a.mean() - (
        upper_b - value_b * lower_b
    ) / lower_b.mean()
    totals = np.stack([x.sum(axis=0) for x in (upper_a, lower_a, upper_b, lower_b)])
    drawn, rng = resample(totals, resamples, seed)
    apart = _drawn(ratio(drawn[0], drawn[1]) - ratio(drawn[2], drawn[3]))
    deviations = draw_deviations(apart - value, residuals, level, rng)
    low, high = _ends(value, deviations, level)
    binary = denominators_a is None and bool(
        np.isin(upper_a, (0, 1)).all() and np.isin(upper_b, (0, 1)).all()
    )
    if (
        binary and items > 1 and not np.ptp(upper_a - upper_b)
    ):  # as in estimate: n agreements do not rule out the next
        slack = wilson(0, items, level=level)[1]
        low, high = value - slack, value + slack
    if binary:
        low, high = max(low, -1.0), min(high, 1.0)
    p = randomized(totals, resamples, rng) if seeds == 1 else _dual(value, deviations)
    seed_sd, item_se = _spread(
        upper_a.sum(axis=1) / lower_a.sum(axis=1) - upper_b.sum(axis=1) / lower_b.sum(axis=1),
        residuals,
    )
    between, across, noise = mean_squares(residuals)
    of_seeds = max(between - noise, 0.0)
    error = np.sqrt((of_seeds + across) / (seeds * items))
    # Few seeds estimate their own spread badly: the power's quantile has the degrees of freedom
    # of Satterthwaite (1946).
    uncertain = of_seeds**2 / max(seeds - 1, 1) + across**2 / max(items - 1, 1)
    degrees = (of_seeds + across) ** 2 / uncertain if uncertain else np.inf
    detectable = float((high - low) / 2 + stats.t.ppf(0.8, degrees) * error)
    return Difference(value, low, high, p, seeds, items, detectable, seed_sd, item_se)


def _spread(by_seed: Floats, residuals: Floats) -> tuple[float, float]:
    """Return the standard deviation between seeds and the standard error from items."""
    items = residuals.shape[1]
    seed_sd = float(by_seed.std(ddof=1)) if len(by_seed) > 1 else float("nan")
    item_se = (
        float(residuals.mean(axis=0).std(ddof=1) / np.sqrt(items)) if items > 1 else float("nan")
    )
    return seed_sd, item_se


def _drawn(values: Floats) -> Floats:
    """Leave out draws without a denominator, which occur where most items have one of 0."""
    return values[np.isfinite(values)]


def _ends(value: float, deviations: Floats, level: float) -> tuple[float, float]:
    low, high = value + np.quantile(deviations, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _dual(value: float, deviations: Floats) -> float:
    """Return the p-value below 1 - level exactly where the interval of that level excludes 0."""
    below, above = (value + deviations <= 0).sum(), (value + deviations >= 0).sum()
    return float(min(1.0, 2 * (1 + min(below, above)) / (1 + len(deviations))))
