"""Share of answers that are right."""

from typing import Any

import datasets
import evaluate
from sklearn.metrics import accuracy_score

from lmcompare.metrics._checks import require_answers

_DESCRIPTION = "Accuracy: the share of predicted labels that equal the true ones. From 0 to 1, higher is better."
_INPUTS = """
Args:
    predictions: (n,) predicted labels, int.
    references: (n,) true labels, int.
Returns:
    {"accuracy": float}
Raises:
    InputError: there is no prediction.
Example:
    >>> load("accuracy").compute(predictions=[0, 1, 1, 0], references=[0, 1, 0, 0])
    {'accuracy': 0.75}
"""
_CITATION = "Pedregosa et al. (2011). Scikit-learn: Machine Learning in Python. JMLR 12: 2825-2830."


class Accuracy(evaluate.Metric):  # type: ignore[misc]
    """Share of answers that are right (scikit-learn's ``accuracy_score``)."""

    def _info(self) -> Any:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features(
                {"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}
            ),
            reference_urls=[
                "https://scikit-learn.org/stable/modules/generated/sklearn.metrics.accuracy_score.html"
            ],
        )

    def _compute(self, predictions: list[int], references: list[int]) -> dict[str, float]:
        require_answers("accuracy", predictions)
        return {"accuracy": float(accuracy_score(references, predictions))}
