"""Expected calibration error: how far confidence is from accuracy."""

from typing import Any

import datasets
import evaluate
import numpy as np

from lmcompare.core.errors import InputError
from lmcompare.metrics._checks import distributions

_DESCRIPTION = """\
Expected calibration error: answers are put into bins of equal width by their confidence (the probability of the answer
that is given, the most probable class); in each bin the mean confidence is compared with the share of right answers;
the gaps are averaged, weighted by the number of answers. From 0 to 1, lower is better.
"""
_INPUTS = """
Args:
    predictions: (n, classes) probabilities, each row summing to 1.
    references: (n,) true labels, from 0 to classes - 1.
    bins: number of bins, (0, 1/bins], (1/bins, 2/bins], ... Default 15 (Guo et al. 2017, section 2).
Returns:
    {"ece": float}
Raises:
    InputError: there is no row, a row is not a distribution, a label has no column, or there is no bin.
Example:
    >>> load("ece").compute(predictions=[[1.0, 0.0], [0.75, 0.25], [0.25, 0.75], [0.5, 0.5]], references=[0, 1, 1, 0])
    {'ece': 0.25}
"""
_CITATION = """\
Naeini, Cooper & Hauskrecht (2015). Obtaining well calibrated probabilities using Bayesian binning. AAAI.
Guo, Pleiss, Sun & Weinberger (2017). On calibration of modern neural networks. ICML. arXiv:1706.04599, equation 3.
"""


class Ece(evaluate.Metric):  # type: ignore[misc]
    """Expected calibration error of the most probable class."""

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
            reference_urls=["https://arxiv.org/abs/1706.04599"],
        )

    def _compute(
        self, predictions: list[list[float]], references: list[int], bins: int = 15
    ) -> dict[str, float]:
        if bins < 1:
            raise InputError(f"ece: bins: wanted 1 or more, got {bins}")
        probabilities, labels = distributions("ece", predictions, references)
        confidence = probabilities.max(axis=1)
        right = probabilities.argmax(axis=1) == labels
        which = np.digitize(confidence, np.linspace(0, 1, bins + 1)[1:-1], right=True)
        gaps = np.bincount(
            which, weights=confidence - right, minlength=bins
        )  # (bins,) count x (confidence - accuracy)
        return {"ece": float(np.abs(gaps).sum() / len(labels))}
