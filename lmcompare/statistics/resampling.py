"""What intervals and p-values are drawn from: items, effects of seeds, exchanges."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from lmcompare.core.errors import InputError

Floats = NDArray[np.float64]

_DRAWS = 20_000
"""Fewest draws of the seeds' part: its tails are Cauchy's with 2 seeds, so ends vary with few."""

_CHUNK = 4_000_000
"""Most item indices held at once (32 MB)."""


def pair(name: str, numerators: ArrayLike, denominators: ArrayLike | None) -> tuple[Floats, Floats]:
    """Return both as matrices (seeds, items), checked; an item's denominator may be 0."""
    upper = np.atleast_2d(np.asarray(numerators, dtype=np.float64))
    lower = (
        np.ones_like(upper)
        if denominators is None
        else np.atleast_2d(np.asarray(denominators, dtype=np.float64))
    )
    if upper.ndim != 2 or upper.size == 0:
        raise InputError(
            f"{name}: wanted values of shape (seeds, items), at least one, got shape {upper.shape}"
        )
    if lower.shape == (1, upper.shape[1]):
        lower = np.broadcast_to(lower, upper.shape)
    if lower.shape != upper.shape:
        raise InputError(f"{name}: wanted denominators of shape {upper.shape}, got {lower.shape}")
    if not (np.isfinite(upper).all() and np.isfinite(lower).all()):
        raise InputError(
            f"{name}: wanted finite numbers, "
            f"got {int((~np.isfinite(upper + lower)).sum())} that are not"
        )
    if not (lower >= 0).all():
        raise InputError(f"{name}: wanted denominators of 0 or more, got {lower.min():g}")
    if not (lower.sum(axis=1) > 0).all():
        raise InputError(
            f"{name}: wanted denominators that add up to more than 0 for each seed, got 0"
        )
    return upper, lower


def ratio(above: Floats, below: Floats) -> Floats:
    """Return above / below of some draws, NaN where nothing was drawn to divide by."""
    ratios: Floats = np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
    return ratios


@lru_cache(maxsize=2)
def _counts(items: int, resamples: int, seed: int) -> tuple[Floats, dict[str, Any]]:
    """Return how often each item is drawn, (resamples, items), and the generator's state after."""
    rng = np.random.default_rng(seed)
    counts = np.empty((resamples, items))
    step = max(1, _CHUNK // items)
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        drawn = rng.integers(0, items, size=(size, items), dtype=np.int32)
        drawn += np.arange(size, dtype=np.int32)[:, None] * items  # one range of bins a draw
        flat = np.bincount(drawn.ravel(), minlength=size * items)
        counts[start : start + size] = flat.reshape(size, items)
    return counts, dict(rng.bit_generator.state)


def resample(totals: Floats, resamples: int, seed: int) -> tuple[Floats, np.random.Generator]:
    """Sum over items drawn with replacement. (k, items) -> (k, resamples), and the generator.

    All comparisons on as many items share their draws, so these are kept.
    """
    counts, state = _counts(totals.shape[1], resamples, seed)
    rng = np.random.default_rng(seed)
    rng.bit_generator.state = state
    # Not BLAS, whose last digits differ between processors.
    sums: Floats = np.einsum("ri,ki->kr", counts, totals)
    return sums, rng


def mean_squares(residuals: Floats) -> tuple[float, float, float]:
    """Return the mean squares between seeds, between items and of the rest; 0 of a single one."""
    seeds, items = residuals.shape
    rows, columns = residuals.mean(axis=1, keepdims=True), residuals.mean(axis=0, keepdims=True)
    between = items * float(rows.var(ddof=1)) if seeds > 1 else 0.0
    across = seeds * float(columns.var(ddof=1)) if items > 1 else 0.0
    rest = residuals - rows - columns + residuals.mean()
    noise = float((rest**2).sum()) / ((seeds - 1) * (items - 1)) if seeds > 1 and items > 1 else 0.0
    return between, across, noise


def draw_deviations(
    from_items: Floats, residuals: Floats, level: float, rng: np.random.Generator
) -> Floats:
    """Return draws of estimate - truth: the items' part as resampled, plus the seeds' part.

    The seeds' part is Z sqrt(V / (seeds x items)), where V = max(0, between (seeds - 1) / chi2 -
    noise) is drawn from the fiducial distribution of items x the variance of seeds; noise is what
    items alone make seeds differ by, which the items' part holds already.
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
    between, _, noise = mean_squares(residuals)
    draws = max(_DRAWS, len(from_items))
    variance = np.maximum(between * (seeds - 1) / rng.chisquare(seeds - 1, draws) - noise, 0)
    of_seeds: Floats = rng.standard_normal(draws) * np.sqrt(variance / (seeds * items))
    return np.resize(from_items, draws) + of_seeds


def randomized(totals: Floats, resamples: int, rng: np.random.Generator) -> float:
    """Return the p-value of approximate randomization; ``totals``: (4, items), a's, then b's."""
    items = totals.shape[1]
    if items == 1:
        return float("nan")
    sums = totals.sum(axis=1)
    moves = (
        totals[2:] - totals[:2]
    )  # (2, items): what a gains, and b loses, when an item changes sides
    observed = abs(sums[0] / sums[1] - sums[2] / sums[3])
    extreme = 0
    step = max(1, _CHUNK // items)
    for start in range(0, resamples, step):
        size = (min(step, resamples - start), items)
        moved = (
            rng.integers(0, 2, size=size, dtype=np.int8).astype(np.float64) @ moves.T
        )  # (draws, 2)
        (up_a, down_a), (up_b, down_b) = (sums[:2] + moved).T, (sums[2:] - moved).T
        # An exchange that leaves one side nothing to divide by has no value; it counts as
        # extreme, which is cautious.
        apart = np.nan_to_num(np.abs(ratio(up_a, down_a) - ratio(up_b, down_b)), nan=np.inf)
        extreme += int((apart >= observed * (1 - 1e-9) - 1e-15).sum())
    return (1 + extreme) / (1 + resamples)
