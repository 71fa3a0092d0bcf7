"""Correlation of the ranks of predicted and true numbers (Spearman)."""

from typing import Any

import evaluate
from scipy.stats import spearmanr

from lmcompare.metrics import _pairs
from lmcompare.metrics._correlation import NUMBERS, correlation

_DESCRIPTION = """\
Spearman correlation: the Pearson correlation of the ranks; equal numbers share the mean of their ranks. From -1 to 1, 0
is what guessing gives, higher is better. Only the order counts.
"""
_INPUTS = """
Args:
    predictions: (n,) predicted numbers, such as cosines; on any scale.
    references: (n,) true numbers, such as people's ratings.
Returns:
    {"spearman": float}; 0 where the correlation is not defined, because one side is constant.
Raises:
    InputError: there is no pair or only one, the lengths differ, or a number is not finite.
Example:
    >>> load("spearman").compute(predictions=[0.1, 0.2, 0.9], references=[1, 5, 3])
    {'spearman': 0.5}
"""
_CITATION = "Spearman (1904). The proof and measurement of association between two things. Am J Psychol 15: 72-101."


class Spearman(_pairs.PairMetric):
    """Spearman correlation (scipy's ``spearmanr``)."""

    def _info(self) -> Any:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=NUMBERS,
            reference_urls=[
                "https://docs.scipy.org/doc/scipy/reference/generated/scipy.stats.spearmanr.html"
            ],
        )

    def _compute(self, predictions: list[float], references: list[float]) -> dict[str, float]:
        return correlation("spearman", spearmanr, predictions, references)
