"""Brier score: squared distance of the probabilities from the truth."""

from typing import Any

import datasets
import evaluate
import numpy as np

from lmcompare.metrics._checks import distributions

_DESCRIPTION = """\
Brier score: the mean over items of the sum over classes of (probability - truth)^2, where truth is 1 for the true class
and 0 for the others. A proper score, from 0 to 2, lower is better; for two classes it is twice the square of the one
probability's error, which some libraries report instead.
"""
_INPUTS = """
Args:
    predictions: (n, classes) probabilities, each row summing to 1.
    references: (n,) true labels, from 0 to classes - 1.
Returns:
    {"brier": float}
Raises:
    InputError: there is no row, a row is not a distribution, or a label has no column.
Example:
    >>> load("brier").compute(predictions=[[0.75, 0.25], [0.5, 0.5]], references=[0, 1])
    {'brier': 0.3125}
"""
_CITATION = "Brier (1950). Verification of forecasts expressed in terms of probability. Monthly Weather Review 78: 1-3."


class Brier(evaluate.Metric):  # type: ignore[misc]
    """Brier's score as he defined it, over all classes."""

    def _info(self) -> Any:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features(
                {
                    "predictions": datasets.Sequence(datasets.Value("float64")),
                    "references": datasets.Value("int64"),
                }
            ),
            reference_urls=["https://doi.org/10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2"],
        )

    def _compute(self, predictions: list[list[float]], references: list[int]) -> dict[str, float]:
        # One line of numpy: scikit-learn scores more than two classes only from 1.7 on, which the package does not ask.
        probabilities, labels = distributions("brier", predictions, references)
        truth = np.eye(probabilities.shape[1])[labels]
        return {"brier": float(((probabilities - truth) ** 2).sum(axis=1).mean())}
