"""How a loss or an error falls with scale: power laws, their crossings, shares of variance."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from lmcompare.core.errors import InputError
from lmcompare.statistics.resampling import Floats


@dataclass(frozen=True)
class PowerLaw:
    """y = exp(level) x1^e1 x2^e2 ..., by least squares of log y (Kaplan et al. 2020, eq. 1.1).

    There is no floor to which y falls (Hoffmann et al. 2022 have one): a few scales cannot separate
    it from the exponent, so the law holds within the scales that were run and bends somewhere
    beyond them.

    Attributes:
        coefficients: (1 + k,) the level and the exponents.
        covariance: (1 + k, 1 + k) of the coefficients.
        freedom: points less coefficients.
    """

    coefficients: Floats
    covariance: Floats
    freedom: int

    def exponent(self, number: int = 0) -> tuple[float, float, float]:
        """Return an exponent and the ends of its 95% interval (Student's t over the points)."""
        value = float(self.coefficients[1 + number])
        half = _t(self.freedom) * math.sqrt(self.covariance[1 + number, 1 + number])
        return value, value - half, value + half

    def at(self, *x: ArrayLike) -> Floats:
        """Return the law's y."""
        logs = sum(e * np.log(np.asarray(v)) for e, v in zip(self.coefficients[1:], x, strict=True))
        y: Floats = np.exp(self.coefficients[0] + logs)
        return y


def power_law(x: Sequence[ArrayLike], y: ArrayLike) -> PowerLaw:
    """Fit y to powers of some x.

    Args:
        x: k of them, (n,) each, positive.
        y: (n,) positive; several seeds of a scale are several points.

    Raises:
        InputError: something is not positive, or there are too few different points.

    >>> law = power_law([[1, 10, 100, 1000]], [4, 2, 1, 0.5])
    >>> round(law.exponent()[0], 4), round(float(law.at(10_000.0)), 4)
    (-0.301, 0.25)
    """
    targets = np.asarray(y, dtype=np.float64)
    columns = [np.asarray(values, dtype=np.float64) for values in x]
    if not all((values > 0).all() for values in (targets, *columns)):
        raise InputError("x, y: wanted positive numbers for a power law, got others")
    design = np.column_stack([np.ones(len(targets)), *(np.log(values) for values in columns)])
    freedom = len(targets) - design.shape[1]
    if freedom < 1 or np.linalg.matrix_rank(design) < design.shape[1]:
        raise InputError(
            f"x: wanted more than {design.shape[1]} points of different scales, got {len(targets)}"
        )
    coefficients, *_ = np.linalg.lstsq(design, np.log(targets), rcond=None)
    left = np.log(targets) - design @ coefficients
    return PowerLaw(
        coefficients, float(left @ left) / freedom * np.linalg.inv(design.T @ design), freedom
    )


def crossing(first: PowerLaw, second: PowerLaw) -> tuple[float, float, float]:
    """Return at which x two laws of one x are predicted to cross, and the ends of its 95% interval.

    The interval is Fieller's (1954) for a ratio of two estimates. Its ends are NaN where the
    exponents do not differ significantly: then the crossing is unknown; all three are NaN where
    the exponents are equal.

    >>> steep, flat = (power_law([[1, 10, 100]], y) for y in ([8, 4, 2], [4, 3, 2.25]))
    >>> [round(x, 1) for x in crossing(steep, flat)]
    [51.2, 51.2, 51.2]
    """
    level, slope = first.coefficients - second.coefficients
    (vl, c), (_, vs) = first.covariance + second.covariance
    if slope == 0:
        return math.nan, math.nan, math.nan
    at = -level / slope
    t2 = _t(first.freedom + second.freedom) ** 2
    square, linear, constant = slope**2 - t2 * vs, level * slope - t2 * c, level**2 - t2 * vl
    if square <= 0:
        return _exp(at), math.nan, math.nan
    half = math.sqrt(max(0.0, linear**2 - square * constant))
    return _exp(at), _exp((-linear - half) / square), _exp((-linear + half) / square)


def shares(
    values: ArrayLike, scale: Sequence[object], objective: Sequence[object]
) -> dict[str, float]:
    """Return the shares of variance of scale, objective, their interaction, and the rest: seeds.

    A two-way analysis of variance, scale first: where each scale and objective has as many seeds as
    the others, the order does not matter. Shares add up to 1; with one seed the last is 0 and part
    of 'both' is seeds.

    >>> shares([4, 4, 2, 2], ["small", "small", "large", "large"], ["a", "b", "a", "b"])
    {'scale': 1.0, 'objective': 0.0, 'scale x objective': 0.0, 'seed': 0.0}
    """
    y = np.asarray(values, dtype=np.float64)
    sizes, kinds = (np.array([str(label) for label in labels]) for labels in (scale, objective))
    both = np.char.add(np.char.add(sizes, "\0"), kinds)
    designs = [np.ones((len(y), 1))]
    for labels in (sizes, kinds, both):
        designs.append(
            np.column_stack(
                [designs[-1], *((labels == label).astype(float) for label in np.unique(labels))]
            )
        )
    left = [
        float(((y - design @ np.linalg.lstsq(design, y, rcond=None)[0]) ** 2).sum())
        for design in designs
    ]
    if left[0] <= 1e-12 * max(1.0, float((y**2).sum())):
        return dict.fromkeys(_PARTS, math.nan)
    gone = [*(before - after for before, after in zip(left, left[1:], strict=False)), left[-1]]
    return {
        part: round(value / left[0], 12) + 0.0 for part, value in zip(_PARTS, gone, strict=True)
    }


_PARTS = ("scale", "objective", "scale x objective", "seed")


def _t(freedom: int) -> float:
    return float(stats.t.ppf(0.975, freedom))


def _exp(log: float) -> float:
    return math.exp(log) if log < 700 else math.inf
