"""F1 of each class, or their macro, micro or weighted average."""

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate
import numpy as np
from sklearn.metrics import f1_score

from lmcompare.core.errors import InputError, nearest
from lmcompare.metrics._checks import require_answers

_DESCRIPTION = "F1: the harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN). From 0 to 1, higher is better."
_INPUTS = """
Args:
    predictions: (n,) predicted labels, int.
    references: (n,) true labels, int.
    average: "macro" (the mean over classes; default), "micro" (over all decisions; with one label an item it equals
        accuracy), "weighted" (the mean over classes, weighted by their true frequency) or "per_class".
    labels: the classes that count. Default: those that occur among predictions or references. Name them where a class
        may be absent from the test set: an absent class that is never predicted has F1 0, and lowers the macro average.
Returns:
    {"f1_macro": float} (or f1_micro, f1_weighted); for "per_class" {"f1_0": float, "f1_1": float, ...}
Raises:
    InputError: there is no prediction, or no such average.
Example:
    >>> load("f1").compute(predictions=[0, 2, 1, 0, 0, 1], references=[0, 1, 2, 0, 1, 2])
    {'f1_macro': 0.26666666666666666}
"""
_CITATION = "van Rijsbergen (1979). Information Retrieval, chapter 7. Computed by scikit-learn (Pedregosa et al. 2011)."
_AVERAGES = ("macro", "micro", "weighted", "per_class")


class F1(evaluate.Metric):  # type: ignore[misc]
    """F1 of each class or their average (scikit-learn's ``f1_score``)."""

    def _info(self) -> Any:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features(
                {"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}
            ),
            reference_urls=[
                "https://scikit-learn.org/stable/modules/generated/sklearn.metrics.f1_score.html"
            ],
        )

    def _compute(
        self,
        predictions: list[int],
        references: list[int],
        average: str = "macro",
        labels: Sequence[int] | None = None,
    ) -> dict[str, float]:
        require_answers("f1", predictions)
        if average not in _AVERAGES:
            raise InputError(
                f"f1: average: wanted one of {', '.join(_AVERAGES)}, got {average!r}{nearest(average, _AVERAGES)}"
            )
        classes = np.unique([*predictions, *references]) if labels is None else np.asarray(labels)
        each = None if average == "per_class" else average
        scores = f1_score(references, predictions, labels=classes, average=each, zero_division=0)
        if each is not None:
            return {f"f1_{average}": float(scores)}
        return {f"f1_{label}": float(score) for label, score in zip(classes, scores, strict=True)}
