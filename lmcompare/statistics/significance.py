"""Hypothesis tests, corrections for multiple tests, and summary statistics."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from lmcompare.core.errors import InputError
from lmcompare.statistics.resampling import pair


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
    """Return the exact two-sided p-value of McNemar's test (1947) on the same items.

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


def interquartile_mean(values: ArrayLike) -> float:
    """Return the mean of the middle half: robust, with little noise (Agarwal et al. 2021).

    >>> interquartile_mean([1, 2, 3, 100])
    2.5
    """
    matrix, _ = pair("interquartile_mean", values, None)
    return float(stats.trim_mean(matrix, 0.25, axis=None))


def probability_of_improvement(a: ArrayLike, b: ArrayLike) -> float:
    """Return how often a run of a beats a run of b, ties counting half (Agarwal et al. 2021).

    >>> probability_of_improvement([3, 2], [1, 2])
    0.875

    Args:
        a: (runs,) one value a run, higher is better.
        b: (other runs,).
    """
    (first, _), (second, _) = (
        pair("probability_of_improvement", a, None),
        pair("probability_of_improvement", b, None),
    )
    gaps = first.reshape(-1, 1) - second.reshape(1, -1)
    return float((gaps > 0).mean() + (gaps == 0).mean() / 2)


def expected_maximum(values: ArrayLike, n: int) -> float:
    """Return the best validation score to expect of n trials (Dodge et al. 2019, equation 5).

    The trials are n draws, with replacement, from those that were made.

    >>> expected_maximum([0.0, 1.0], 1), expected_maximum([0.0, 1.0], 2)
    (0.5, 0.75)

    Args:
        values: a score of each trial, higher is better.
        n: 1 or more.

    Raises:
        InputError: there is no value, or n is below 1.
    """
    sorted_ = np.sort(np.asarray(values, dtype=np.float64).ravel())
    if not len(sorted_) or n < 1:
        raise InputError(
            f"expected_maximum: wanted values and n of at least 1, got {len(sorted_)} and n = {n}"
        )
    below = (np.arange(len(sorted_) + 1) / len(sorted_)) ** n
    return float((sorted_ * np.diff(below)).sum())
