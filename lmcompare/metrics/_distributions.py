"""Checks rows of predicted probabilities."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lmcompare.core.errors import InputError

TOLERANCE = 1e-3
"""How far a row may be from summing to 1: what half precision loses, not what a logit would
show."""


def distributions(
    predictions: Sequence[Sequence[float]], references: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return probabilities (n, classes), rescaled to sum to exactly 1, and labels (n,).

    Raises:
        InputError: rows differ in length, hold a number outside [0, 1] or do not sum to 1 (to
            1e-3); a label is not the number of a column.
    """
    classes = len(predictions[0])
    if classes < 2:
        raise InputError(f"row 0: wanted the probabilities of two classes or more, got {classes}")
    for row, prediction in enumerate(predictions):
        if len(prediction) != classes:
            got = len(prediction)
            raise InputError(f"row {row}: wanted {classes} probabilities, as in row 0, got {got}")
    probabilities = np.asarray(predictions, dtype=np.float64)
    labels = np.asarray(references, dtype=np.int64)
    sums = probabilities.sum(axis=1)
    bad = ~(np.abs(sums - 1) <= TOLERANCE) | (probabilities < 0).any(axis=1)
    if bad.any():
        row = int(bad.argmax())
        raise InputError(
            f"row {row}: wanted probabilities that sum to 1, got a sum of {sums[row]:.6g}, "
            f"the least {probabilities[row].min():.6g}; take the softmax of logits"
        )
    outside = (labels < 0) | (labels >= classes)
    if outside.any():
        row = int(outside.argmax())
        raise InputError(f"row {row}: wanted a label from 0 to {classes - 1}, got {labels[row]}")
    return probabilities / sums[:, None], labels
