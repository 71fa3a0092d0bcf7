"""Correlation of two rows of numbers, where there may be none."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import datasets
import numpy as np
from scipy.stats import DegenerateDataWarning

from lmcompare.core.errors import InputError
from lmcompare.metrics._checks import require_answers

NUMBERS = datasets.Features(
    {"predictions": datasets.Value("float64"), "references": datasets.Value("float64")}
)
"""A number beside a number."""


def correlation(
    metric: str,
    correlate: Callable[..., Any],
    predictions: Sequence[float],
    references: Sequence[float],
) -> dict[str, float]:
    """Return {metric: the statistic of scipy's ``correlate``}, 0 where a row is constant.

    Raises:
        InputError: there is no pair or only one, or a number is infinite or none.
    """
    require_answers(metric, predictions)
    rows = np.asarray([predictions, references], dtype=np.float64)
    if rows.shape[1] < 2:
        raise InputError(f"{metric}: wanted two pairs or more, got one")
    bad = ~np.isfinite(rows)
    if bad.any():
        row, item = np.argwhere(bad)[0]
        noun = ("prediction", "reference")[row]
        raise InputError(f"{metric}: item {item}: wanted a finite {noun}, got {rows[row, item]}")
    with warnings.catch_warnings():
        warnings.simplefilter("error", DegenerateDataWarning)
        try:
            return {metric: float(correlate(*rows).statistic)}
        except DegenerateDataWarning:  # constant, or but for rounding
            return {metric: 0.0}
