"""F1 of each class, or their macro, micro or weighted average."""

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import f1_score

from lmcompare.core.errors import InputError, nearest
from lmcompare.metrics._metric import LABEL, metric

_AVERAGES = ("macro", "micro", "weighted", "per_class")


@metric(
    predictions=LABEL,
    references=LABEL,
    citation="van Rijsbergen (1979). Information Retrieval, chapter 7. Computed by scikit-learn.",
    url="https://scikit-learn.org/stable/modules/generated/sklearn.metrics.f1_score.html",
)
def f1(
    predictions: list[int],
    references: list[int],
    average: str = "macro",
    labels: Sequence[int] | None = None,
) -> dict[str, float]:
    """F1: the harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN), from 0 to 1.

    Args:
        predictions: (n,) predicted labels, int.
        references: (n,) true labels, int.
        average: "macro" (the mean over classes), "micro" (over all decisions; with one label an
            item it equals accuracy), "weighted" (the mean over classes, weighted by their true
            frequency) or "per_class".
        labels: the classes that count; None: those that occur among predictions or references. Name
            them where a class may be absent from the test set: an absent class that is never
            predicted has F1 0, and lowers the macro average.

    Returns:
        {"f1_macro": float} (or f1_micro, f1_weighted); for "per_class" {"f1_0": float, "f1_1":
        float, ...}

    >>> f1().compute(predictions=[0, 2, 1, 0, 0, 1], references=[0, 1, 2, 0, 1, 2])
    {'f1_macro': 0.26666666666666666}
    """
    if average not in _AVERAGES:
        wanted = f"wanted one of {', '.join(_AVERAGES)}, got {average!r}"
        raise InputError(f"average: {wanted}{nearest(average, _AVERAGES)}")
    classes = np.unique([*predictions, *references]) if labels is None else np.asarray(labels)
    kind = None if average == "per_class" else average
    scores = f1_score(references, predictions, labels=classes, average=kind, zero_division=0)
    if kind is not None:
        return {f"f1_{average}": float(scores)}
    return {f"f1_{label}": float(score) for label, score in zip(classes, scores, strict=True)}
