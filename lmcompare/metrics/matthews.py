"""Matthews correlation of predicted and true labels (MCC)."""

from typing import Any

import datasets
import evaluate
from sklearn.metrics import matthews_corrcoef

from lmcompare.metrics._checks import require_answers

_DESCRIPTION = """\
Matthews correlation coefficient: the correlation of predicted and true labels, for two classes or more (Gorodkin 2004).
From -1 to 1; 0 is what guessing gives, whatever the class frequencies; higher is better.
"""
_INPUTS = """
Args:
    predictions: (n,) predicted labels, int.
    references: (n,) true labels, int.
Returns:
    {"matthews": float}; 0 where the correlation is not defined, because one class alone was predicted or is true.
Raises:
    InputError: there is no prediction.
Example:
    >>> load("matthews").compute(predictions=[1, 0, 1, 1], references=[1, 1, 1, 0])
    {'matthews': -0.3333333333333333}
"""
_CITATION = """\
Matthews (1975). Comparison of the predicted and observed secondary structure of T4 phage lysozyme. BBA 405: 442-451.
Gorodkin (2004). Comparing two K-category assignments by a K-category correlation coefficient. Comput Biol Chem 28.
"""


class Matthews(evaluate.Metric):  # type: ignore[misc]
    """Matthews correlation (scikit-learn's ``matthews_corrcoef``)."""

    def _info(self) -> Any:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features(
                {"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}
            ),
            reference_urls=[
                "https://scikit-learn.org/stable/modules/generated/sklearn.metrics.matthews_corrcoef.html"
            ],
        )

    def _compute(self, predictions: list[int], references: list[int]) -> dict[str, float]:
        require_answers("matthews", predictions)
        if (
            len(set(predictions)) == 1 or len(set(references)) == 1
        ):  # scikit-learn says 0 too, but may warn
            return {"matthews": 0.0}
        return {"matthews": float(matthews_corrcoef(references, predictions))}
