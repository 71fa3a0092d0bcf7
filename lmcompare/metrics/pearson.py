"""Linear correlation of predicted and true numbers (Pearson)."""

from typing import Any

import evaluate
from scipy.stats import pearsonr

from lmcompare.metrics import _pairs
from lmcompare.metrics._correlation import NUMBERS, correlation

_DESCRIPTION = """\
Pearson correlation: how near predicted and true numbers lie to a rising straight line. From -1 to 1, 0 is what
guessing gives, higher is better. One far-off item can decide it.
"""
_INPUTS = """
Args:
    predictions: (n,) predicted numbers, such as cosines; on any scale.
    references: (n,) true numbers, such as people's ratings.
Returns:
    {"pearson": float}; 0 where the correlation is not defined, because one side is constant.
Raises:
    InputError: there is no pair or only one, the lengths differ, or a number is not finite.
Example:
    >>> load("pearson").compute(predictions=[0, 1, 2, 3], references=[0, 3, 1, 2])
    {'pearson': 0.4}
"""
_CITATION = "Pearson (1895). Note on regression and inheritance in the case of two parents. Proc R Soc 58: 240-242."


class Pearson(_pairs.PairMetric):
    """Pearson correlation (scipy's ``pearsonr``)."""

    def _info(self) -> Any:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=NUMBERS,
            reference_urls=[
                "https://docs.scipy.org/doc/scipy/reference/generated/scipy.stats.pearsonr.html"
            ],
        )

    def _compute(self, predictions: list[float], references: list[float]) -> dict[str, float]:
        return correlation("pearson", pearsonr, predictions, references)
