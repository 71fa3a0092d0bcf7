"""Negative log-likelihood of the true labels, in nats per item."""

from typing import Any

import datasets
import evaluate
import numpy as np
from sklearn.metrics import log_loss

from lmcompare.metrics._checks import distributions

_DESCRIPTION = """\
Negative log-likelihood: the mean over items of -ln p(true class), in nats. A proper score, 0 at best, lower is better;
ln(classes) is what equal probabilities give.
"""
_INPUTS = """
Args:
    predictions: (n, classes) probabilities, each row summing to 1. A zero counts as 2.2e-16 (scikit-learn's clipping):
        a control that excludes a class has a finite, and terrible, score, 36.04 nats.
    references: (n,) true labels, from 0 to classes - 1.
Returns:
    {"nll": float}
Raises:
    InputError: there is no row, a row is not a distribution, or a label has no column.
Example:
    >>> load("nll").compute(predictions=[[0.5, 0.5], [0.25, 0.75]], references=[0, 0])
    {'nll': 1.0397207708399179}
"""
_CITATION = "Good (1952). Rational decisions. JRSS B 14: 107-114. Computed by scikit-learn (Pedregosa et al. 2011)."


class Nll(evaluate.Metric):  # type: ignore[misc]
    """Negative log-likelihood of the true labels (scikit-learn's ``log_loss``)."""

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
            reference_urls=[
                "https://scikit-learn.org/stable/modules/generated/sklearn.metrics.log_loss.html"
            ],
        )

    def _compute(self, predictions: list[list[float]], references: list[int]) -> dict[str, float]:
        probabilities, labels = distributions("nll", predictions, references)
        return {
            "nll": float(log_loss(labels, probabilities, labels=np.arange(probabilities.shape[1])))
        }
