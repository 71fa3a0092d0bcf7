"""How sure a number is: intervals over seeds and items, paired tests, and verdicts on claims.

Values come as a matrix of shape (seeds, items): one row a pretraining seed, one column a test item, the same items in
every row. Two sources of chance are kept apart: other seeds would have trained other networks, other items would have
tested them otherwise. Both are shown, and the intervals hold both.

The Multi-Bootstrap of MultiBERTs (Sellam et al. 2022, arXiv:2106.16163) draws seeds and items with replacement. With
few seeds it is too sure: drawn from two seeds, the variance of their mean is half of what it should be on average, and
often nearly none. So items are drawn with replacement as there, and the seeds' part is drawn from its fiducial
distribution under normal seed effects, in a two-way analysis of variance with random seeds and items (Weerahandi 1993;
Searle, Casella & McCulloch 1992). Two seeds then act as in a t test with 1 degree of freedom: the interval is wide,
because two seeds say little. With ten seeds the two ways nearly agree.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from lmcompare.errors import InputError

Floats = NDArray[np.float64]
Word = Literal["SUPPORTED", "WEAKLY SUPPORTED", "REFUTED", "EQUIVALENT", "INCONCLUSIVE"]

ENOUGH_SEEDS = 6
"""Paired seeds for a claim about objectives: with 5, the smallest two-sided sign-flip p is 2/32 = 0.0625."""

_DRAWS = 20_000
"""Fewest draws of the seeds' part: with 2 seeds its tails are Cauchy's, and 2,000 draws leave the ends 14% unsure."""

_CHUNK = 4_000_000
"""Most item indices held at once (32 MB)."""


@dataclass(frozen=True)
class Estimate:
    """A value and how sure it is.

    Attributes:
        value: sum of numerators / sum of denominators, or the mean.
        low: lower end of the interval.
        high: upper end of the interval. Both are nan for one seed and one item.
        seed_sd: standard deviation of the seeds' values (nan for one seed).
        item_se: standard error that comes from the items (nan for one item).
        seeds: number of seeds. With one, the interval is about this network only: it knows nothing of other seeds.
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
        detectable: the true difference that an interval of this width would tell from 0 with a probability of 80%.
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


@dataclass(frozen=True)
class Verdict:
    """What a difference says of a claim: one word and one line."""

    word: Word
    reason: str


def estimate(
    numerators: ArrayLike,
    denominators: ArrayLike | None = None,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Return the value over seeds and items with an interval for what other seeds and other items would give.

    >>> accuracy = estimate([[1, 1, 0, 1], [1, 0, 0, 1]])
    >>> accuracy.value, accuracy.seeds, accuracy.items
    (0.625, 2, 4)
    >>> estimate([[8.0, 24.0]], [[4, 6]]).value  # bits per byte: 32 bits / 10 bytes, not the mean of 2 and 4
    3.2

    One seed: items are drawn with replacement (for 0/1 values: Wilson's interval). More: see the module. Deviations of
    items are stretched by t/z and sqrt(n/(n-1)) (Hesterberg 2015, 'expanded percentile interval'), which matters for
    few items. One item (a value of the whole cell, such as F1): the seeds' t interval.

    Args:
        numerators: (seeds, items), or (items,) for one seed.
        denominators: as numerators, above 0, or one row for all seeds; None for the mean.
        level: of the interval.
        resamples: draws of items.
        seed: of the draws.

    Raises:
        InputError: nothing given, unequal shapes, a number that is not finite, or a denominator that is not above 0.
    """
    upper, lower = _pair("estimate", numerators, denominators)
    seeds, items = upper.shape
    value = float(upper.sum() / lower.sum())
    residuals = (upper - value * lower) / lower.mean()
    totals = np.stack([upper.sum(axis=0), lower.sum(axis=0)])
    rng = np.random.default_rng(seed)
    above, below = _resample(totals, resamples, rng)
    deviations = _deviations(above / below - value, residuals, level, rng)
    low, high = _ends(value, deviations, level)
    if denominators is None and bool(np.isin(upper, (0, 1)).all()):
        if items > 1 and (seeds == 1 or not upper.std()):  # no spread to draw from says little: 20 of 20 is not 100%
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
    """Return value(a) - value(b), paired on seed and item, with an interval, a p-value and the detectable difference.

    >>> gap = difference([[1, 1, 1, 0, 1, 1]], [[0, 1, 0, 0, 1, 0]])
    >>> gap.value, gap.seeds, gap.items
    (0.5, 1, 6)

    The interval is ``estimate``'s, on the paired differences (paired bootstrap: Koehn 2004). For several seeds the
    p-value is the one that goes with the interval (below 0.05 where 95% excludes 0). For one seed it is approximate
    randomisation: a and b change places item by item, at random (Noreen 1989; Dror et al. 2018); it is about these two
    networks only.

    Args:
        a: (seeds, items), or (items,) for one seed.
        b: as a. A single row (a control, which has no seeds) is compared with every row of a, and the other way round.
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
    upper_a, lower_a = _pair("difference: a", a, denominators_a)
    upper_b, lower_b = _pair("difference: b", b, denominators_b)
    (seeds_a, items), (seeds_b, items_b) = upper_a.shape, upper_b.shape
    if items != items_b or (seeds_a != seeds_b and 1 not in (seeds_a, seeds_b)):
        raise InputError(
            f"difference: wanted the same seeds and items on both sides, got {seeds_a} seeds x {items} items and "
            f"{seeds_b} seeds x {items_b} items"
        )
    seeds = max(seeds_a, seeds_b)
    upper_a, lower_a, upper_b, lower_b = (
        np.broadcast_to(x, (seeds, items)) for x in (upper_a, lower_a, upper_b, lower_b)
    )
    value_a, value_b = float(upper_a.sum() / lower_a.sum()), float(upper_b.sum() / lower_b.sum())
    value = value_a - value_b
    residuals = (upper_a - value_a * lower_a) / lower_a.mean() - (upper_b - value_b * lower_b) / lower_b.mean()
    totals = np.stack([x.sum(axis=0) for x in (upper_a, lower_a, upper_b, lower_b)])
    rng = np.random.default_rng(seed)
    drawn = _resample(totals, resamples, rng)
    deviations = _deviations(drawn[0] / drawn[1] - drawn[2] / drawn[3] - value, residuals, level, rng)
    low, high = _ends(value, deviations, level)
    binary = denominators_a is None and bool(np.isin(upper_a, (0, 1)).all() and np.isin(upper_b, (0, 1)).all())
    if binary and items > 1 and not np.ptp(upper_a - upper_b):  # as in estimate: n agreements do not rule out the next
        slack = wilson(0, items, level=level)[1]
        low, high = value - slack, value + slack
    if binary:
        low, high = max(low, -1.0), min(high, 1.0)
    p = _randomised(totals, resamples, rng) if seeds == 1 else _dual(value, deviations)
    seed_sd, item_se = _spread(
        upper_a.sum(axis=1) / lower_a.sum(axis=1) - upper_b.sum(axis=1) / lower_b.sum(axis=1), residuals
    )
    between, across, noise = _mean_squares(residuals)
    error = np.sqrt((max(between - noise, 0.0) + across) / (seeds * items))
    detectable = float((high - low) / 2 + stats.norm.ppf(0.8) * error)
    return Difference(value, low, high, p, seeds, items, detectable, seed_sd, item_se)


def clustered(values: ArrayLike, clusters: Sequence[object]) -> tuple[Floats, Floats]:
    """Return sums and counts by cluster, to give to ``estimate`` or ``difference`` as numerators and denominators.

    Items that share a document are not independent, and an interval that takes them so is too narrow (Miller 2024,
    arXiv:2411.00640, 'Adding error bars to evals').

    >>> sums, counts = clustered([[1, 0, 1]], ["x", "x", "y"])
    >>> sums.tolist(), counts.tolist()
    ([[1.0, 1.0]], [[2.0, 1.0]])

    Args:
        values: (seeds, items).
        clusters: (items,) what each item belongs to.

    Returns:
        Two matrices of shape (seeds, clusters), clusters in the order in which they first occur.

    Raises:
        InputError: there are not as many cluster names as items.
    """
    matrix, _ = _pair("clustered", values, None)
    if len(clusters) != matrix.shape[1]:
        raise InputError(f"clustered: wanted a cluster for each of {matrix.shape[1]} items, got {len(clusters)}")
    order = {name: i for i, name in enumerate(dict.fromkeys(clusters))}
    member = np.array([order[name] for name in clusters])
    sums: Floats = np.stack([np.bincount(member, weights=row) for row in (*matrix, np.ones(len(member)))])
    return sums[:-1], np.repeat(sums[-1:], len(matrix), axis=0)


def wilson(successes: int, n: int, *, level: float = 0.95) -> tuple[float, float]:
    """Return the score interval of a share (Wilson 1927), which stays honest near 0 and 1.

    >>> low, high = wilson(81, 263)  # Newcombe 1998, table I: 0.2553 to 0.3662
    >>> round(low, 4), round(high, 4)
    (0.2553, 0.3662)

    Raises:
        InputError: n is below 1, or successes are not between 0 and n.
    """
    if not 0 <= successes <= n or n < 1:
        raise InputError(f"wilson: wanted 0 <= successes <= n and n >= 1, got {successes} of {n}")
    interval = stats.binomtest(successes, n).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


def mcnemar(b: int, c: int) -> float:
    """Return the exact two-sided p-value of McNemar's test (1947) for two classifiers on the same items.

    >>> mcnemar(1, 5)  # 2 x (1 + 6) / 64
    0.21875

    Args:
        b: items that the first alone gets right.
        c: items that the second alone gets right.

    Raises:
        InputError: a count is negative.
    """
    if b < 0 or c < 0:
        raise InputError(f"mcnemar: wanted counts of items, got {b} and {c}")
    return float(stats.binomtest(b, b + c).pvalue) if b + c else 1.0


def sign_flip(differences: ArrayLike, *, resamples: int = 10_000, seed: int = 0) -> float:
    """Return the two-sided p-value of a mean of 0 by flipping signs (Fisher 1935; Dror et al. 2018).

    Assumes nothing but symmetry. All flips are tried where they are at most 2^14, else ``resamples`` at random.

    >>> sign_flip([0.1, 0.2, 0.3, 0.1, 0.2])  # five seeds of one sign: 2 of 32
    0.0625

    Args:
        differences: (n,) for instance one paired difference a seed.
        resamples: flips drawn where there are too many to try all.
        seed: of the draws.

    Raises:
        InputError: nothing given, or a number that is not finite.
    """
    matrix, _ = _pair("sign_flip", differences, None)
    values = matrix.ravel()
    if len(values) > 14:
        ones = np.ones_like(values)
        return _randomised(np.stack([values, ones, 0 * ones, ones]), resamples, np.random.default_rng(seed))
    signs = 1 - 2 * ((np.arange(2 ** len(values))[:, None] >> np.arange(len(values))) & 1)
    flipped = np.abs(signs @ values)
    return float((flipped >= abs(values.sum()) * (1 - 1e-9)).mean())


def holm(ps: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number, in the order given (Holm 1979).

    >>> holm([0.01, 0.04, 0.03, 0.005])
    [0.03, 0.06, 0.06, 0.02]

    Raises:
        InputError: a p-value is outside [0, 1].
    """
    values = np.asarray(ps, dtype=np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise InputError(f"holm: wanted p-values from 0 to 1, got {list(ps)}")
    order = values.argsort()
    steps = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(steps, 1)
    return [float(p) for p in adjusted]


def minimum_detectable_effect(
    error: float, *, degrees: float = np.inf, level: float = 0.95, power: float = 0.8
) -> float:
    """Return the true difference that would be told from 0 with this power: (t of level + t of power) x error.

    About 2.8 standard errors (Bloom 1995; Miller 2024). For two classifiers that differ on a share d of n items the
    error is at most sqrt(d / n):

    >>> round(minimum_detectable_effect((0.1 / 1000) ** 0.5), 3)  # 2.8 x sqrt(0.1 / 1000)
    0.028

    Args:
        error: standard error of the difference.
        degrees: degrees of freedom of that error: seeds - 1 where it was measured between seeds.
        level: of the interval that is to exclude 0.
        power: wanted probability that it does.

    Raises:
        InputError: the error is negative, or level or power is not between 0 and 1.
    """
    if not (error >= 0 and 0 < level < 1 and 0 < power < 1 and degrees > 0):
        raise InputError(
            f"minimum_detectable_effect: wanted error >= 0, degrees > 0, level and power between 0 and 1, got "
            f"error {error}, degrees {degrees}, level {level}, power {power}"
        )
    return float((stats.t.ppf((1 + level) / 2, degrees) + stats.t.ppf(power, degrees)) * error)


def interquartile_mean(values: ArrayLike) -> float:
    """Return the mean of the middle half: as robust as the median, with less noise (Agarwal et al. 2021).

    >>> interquartile_mean([1, 2, 3, 100])
    2.5
    """
    matrix, _ = _pair("interquartile_mean", values, None)
    return float(stats.trim_mean(matrix, 0.25, axis=None))


def probability_of_improvement(a: ArrayLike, b: ArrayLike) -> float:
    """Return how often a run of a beats a run of b, ties counting half (Agarwal et al. 2021).

    >>> probability_of_improvement([3, 2], [1, 2])
    0.875

    Args:
        a: (runs,) one value a run, higher is better.
        b: (other runs,).
    """
    (first, _), (second, _) = _pair("probability_of_improvement", a, None), _pair("probability_of_improvement", b, None)
    gaps = first.reshape(-1, 1) - second.reshape(1, -1)
    return float((gaps > 0).mean() + (gaps == 0).mean() / 2)


def verdict(
    difference: Difference,
    sesoi: float,
    gate_passed: bool,
    seeds: int | None = None,
    *,
    adjusted_p: float | None = None,
) -> Verdict:
    """Say what a difference means for the claim 'the first is better'.

    ===================  =====================================================================
    SUPPORTED            the interval lies beyond +sesoi
    EQUIVALENT           it lies inside +-sesoi, on whichever side of 0 (Lakens 2017)
    WEAKLY SUPPORTED     it excludes 0 in favour of the claim
    REFUTED              it excludes 0 against the claim
    INCONCLUSIVE         none of these, or a network that had not learnt from context yet
    ===================  =====================================================================

    Fewer than 6 seeds never give more than WEAKLY SUPPORTED, and what else they show is INCONCLUSIVE; one seed is
    always INCONCLUSIVE, because its interval knows nothing of other seeds.

    Args:
        difference: oriented so that the claim predicts a value above 0.
        sesoi: smallest effect size of interest, above 0, fixed before anything was measured.
        gate_passed: whether every network that the difference rests on had learnt to use context.
        seeds: number of independent pretraining seeds; default ``difference.seeds``.
        adjusted_p: the p-value after Holm's correction, where several claims are made together: above 0.05 the claim is
            neither supported nor refuted.

    Raises:
        InputError: sesoi is not above 0.
    """
    if not sesoi > 0:
        raise InputError(f"verdict: wanted a smallest effect of interest above 0, got {sesoi}")
    seeds = difference.seeds if seeds is None else seeds
    low, high, range_ = difference.low, difference.high, f"[{difference.low:.3g}, {difference.high:.3g}]"
    if not gate_passed:
        return Verdict("INCONCLUSIVE", "a network had not left the plateau: it had not learnt to use context yet")
    if not (np.isfinite(low) and np.isfinite(high)):
        return Verdict("INCONCLUSIVE", "one seed and one value: there is nothing to judge the spread by")
    detectable = f"a true difference of {difference.detectable:.3g} would have been seen in 4 of 5 such experiments"
    word: Word
    if low > sesoi:
        word, reason = "SUPPORTED", f"the interval {range_} lies beyond the smallest effect of interest, {sesoi:.3g}"
    elif -sesoi < low and high < sesoi:
        word, reason = "EQUIVALENT", f"the interval {range_} lies inside +-{sesoi:.3g}, too small an effect to matter"
    elif low > 0:
        word, reason = "WEAKLY SUPPORTED", f"the interval {range_} excludes 0, but not effects below {sesoi:.3g}"
    elif high < 0:
        word, reason = "REFUTED", f"the interval {range_} excludes 0 on the other side"
    else:
        return Verdict("INCONCLUSIVE", f"the interval {range_} holds 0; {detectable}")
    if adjusted_p is not None and adjusted_p > 0.05 and word != "EQUIVALENT":
        return Verdict("INCONCLUSIVE", f"{reason}, but p is {adjusted_p:.2g} after Holm's correction; {detectable}")
    if seeds == 1:
        return Verdict("INCONCLUSIVE", f"{reason}, but one seed says nothing of other seeds")
    if seeds < ENOUGH_SEEDS:
        word = "WEAKLY SUPPORTED" if word.endswith("SUPPORTED") else "INCONCLUSIVE"
        reason += f", but {seeds} seeds are fewer than the {ENOUGH_SEEDS} that a claim about objectives needs"
    return Verdict(word, reason)


def _pair(name: str, numerators: ArrayLike, denominators: ArrayLike | None) -> tuple[Floats, Floats]:
    """Return both as matrices (seeds, items), checked."""
    upper = np.atleast_2d(np.asarray(numerators, dtype=np.float64))
    lower = np.ones_like(upper) if denominators is None else np.atleast_2d(np.asarray(denominators, dtype=np.float64))
    if upper.ndim != 2 or upper.size == 0:
        raise InputError(f"{name}: wanted values of shape (seeds, items), at least one, got shape {upper.shape}")
    if lower.shape == (1, upper.shape[1]):
        lower = np.broadcast_to(lower, upper.shape)
    if lower.shape != upper.shape:
        raise InputError(f"{name}: wanted denominators of shape {upper.shape}, as the numerators, got {lower.shape}")
    if not (np.isfinite(upper).all() and np.isfinite(lower).all()):
        raise InputError(f"{name}: wanted finite numbers, got {int((~np.isfinite(upper + lower)).sum())} that are not")
    if not (lower > 0).all():
        raise InputError(f"{name}: wanted denominators above 0, got {lower.min():g}")
    return upper, lower


def _resample(totals: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """Sum over items drawn with replacement. (k, items) -> (k, resamples)."""
    items = totals.shape[1]
    sums = np.empty((len(totals), resamples))
    step = max(1, _CHUNK // items)
    for start in range(0, resamples, step):
        stop = min(start + step, resamples)
        drawn = rng.integers(0, items, size=(stop - start, items), dtype=np.int32 if items < 2**31 else np.int64)
        for row, values in enumerate(totals):
            sums[row, start:stop] = values[drawn].sum(axis=1)
    return sums


def _mean_squares(residuals: Floats) -> tuple[float, float, float]:
    """Return the mean squares between seeds, between items, and of what remains: 0 where there is one seed or item."""
    seeds, items = residuals.shape
    rows, columns = residuals.mean(axis=1, keepdims=True), residuals.mean(axis=0, keepdims=True)
    between = items * float(rows.var(ddof=1)) if seeds > 1 else 0.0
    across = seeds * float(columns.var(ddof=1)) if items > 1 else 0.0
    rest = residuals - rows - columns + residuals.mean()
    noise = float((rest**2).sum()) / ((seeds - 1) * (items - 1)) if seeds > 1 and items > 1 else 0.0
    return between, across, noise


def _spread(by_seed: Floats, residuals: Floats) -> tuple[float, float]:
    """Return the standard deviation between seeds and the standard error from items."""
    items = residuals.shape[1]
    seed_sd = float(by_seed.std(ddof=1)) if len(by_seed) > 1 else float("nan")
    item_se = float(residuals.mean(axis=0).std(ddof=1) / np.sqrt(items)) if items > 1 else float("nan")
    return seed_sd, item_se


def _deviations(from_items: Floats, residuals: Floats, level: float, rng: np.random.Generator) -> Floats:
    """Return draws of estimate - truth: the items' part as resampled, plus the seeds' part.

    The seeds' part is Z sqrt(V / (seeds x items)), where V = max(0, between (seeds - 1) / chi2 - noise) is drawn from
    the fiducial distribution of items x the variance of seeds; noise is what items alone make seeds differ by, which
    the items' part holds already.
    """
    seeds, items = residuals.shape
    if items > 1:
        tail = (1 + level) / 2
        stretch = stats.t.ppf(tail, items - 1) / stats.norm.ppf(tail) * np.sqrt(items / (items - 1))
        from_items = from_items * stretch
    elif seeds == 1:
        return np.full(1, np.nan)
    if seeds == 1:
        return from_items
    between, _, noise = _mean_squares(residuals)
    draws = max(_DRAWS, len(from_items))
    variance = np.maximum(between * (seeds - 1) / rng.chisquare(seeds - 1, draws) - noise, 0)
    of_seeds: Floats = rng.standard_normal(draws) * np.sqrt(variance / (seeds * items))
    return np.resize(from_items, draws) + of_seeds


def _ends(value: float, deviations: Floats, level: float) -> tuple[float, float]:
    low, high = value + np.quantile(deviations, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _dual(value: float, deviations: Floats) -> float:
    """Return the p-value below 1 - level exactly where the interval of that level excludes 0."""
    below, above = (value + deviations <= 0).sum(), (value + deviations >= 0).sum()
    return float(min(1.0, 2 * (1 + min(below, above)) / (1 + len(deviations))))


def _randomised(totals: Floats, resamples: int, rng: np.random.Generator) -> float:
    """Return the p-value of approximate randomisation. ``totals``: (4, items), a over a's denominators, b over b's."""
    items = totals.shape[1]
    if items == 1:
        return float("nan")
    sums = totals.sum(axis=1)
    moves = totals[2:] - totals[:2]  # (2, items): what a gains, and b loses, when an item changes sides
    observed = abs(sums[0] / sums[1] - sums[2] / sums[3])
    extreme = 0
    step = max(1, _CHUNK // items)
    for start in range(0, resamples, step):
        size = (min(step, resamples - start), items)
        moved = rng.integers(0, 2, size=size, dtype=np.int8).astype(np.float64) @ moves.T  # (draws, 2)
        (up_a, down_a), (up_b, down_b) = (sums[:2] + moved).T, (sums[2:] - moved).T
        extreme += int((np.abs(up_a / down_a - up_b / down_b) >= observed * (1 - 1e-9) - 1e-15).sum())
    return (1 + extreme) / (1 + resamples)
