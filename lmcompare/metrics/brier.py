"""Brier score: squared distance of the probabilities from the truth."""

import numpy as np

from lmcompare.metrics._distributions import distributions
from lmcompare.metrics._metric import LABEL, PROBABILITIES, metric


@metric(
    predictions=PROBABILITIES,
    references=LABEL,
    higher_is_better=False,
    citation="""\
    Brier (1950). Verification of forecasts expressed in terms of probability. Monthly Weather
    Review 78: 1-3.
    """,
    url="https://doi.org/10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2",
)
def brier(predictions: list[list[float]], references: list[int]) -> dict[str, float]:
    """Brier score: the mean of the summed squares of (probability - truth), from 0 to 2.

    The sum is over classes; truth is 1 for the true class and 0 for the others. For two classes it
    is twice the square of the one probability's error, which some libraries report instead.

    Args:
        predictions: (n, classes) probabilities, each row summing to 1.
        references: (n,) true labels, from 0 to classes - 1.

    >>> brier().compute(predictions=[[0.75, 0.25], [0.5, 0.5]], references=[0, 1])
    {'brier': 0.3125}
    """
    # scikit-learn scores more than two classes only from version 1.7 on.
    probabilities, labels = distributions(predictions, references)
    truth = np.eye(probabilities.shape[1])[labels]  # (n, classes)
    return {"brier": float(((probabilities - truth) ** 2).sum(axis=1).mean())}
