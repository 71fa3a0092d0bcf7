"""Correlation of predicted and true numbers."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.stats import DegenerateDataWarning

from lmcompare.core.errors import InputError


def correlation(
    correlate: Callable[..., Any], predictions: Sequence[float], references: Sequence[float]
) -> float:
    """Return the statistic of scipy's ``correlate``, 0 where one side is constant.

    Raises:
        InputError: there is only one pair, or a number is not finite.
    """
    pairs = np.asarray([predictions, references], dtype=np.float64)  # (2, n)
    if pairs.shape[1] < 2:
        raise InputError("wanted two pairs or more, got one")
    bad = ~np.isfinite(pairs)
    if bad.any():
        side, item = np.argwhere(bad)[0]
        noun = ("prediction", "reference")[side]
        raise InputError(f"item {item}: wanted a finite {noun}, got {pairs[side, item]}")
    with warnings.catch_warnings():
        warnings.simplefilter("error", DegenerateDataWarning)
        try:
            return float(correlate(*pairs).statistic)
        except DegenerateDataWarning:  # constant, or but for rounding
            return 0.0
