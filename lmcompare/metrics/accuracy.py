"""Share of answers that are right."""

from sklearn.metrics import accuracy_score

from lmcompare.metrics._metric import LABEL, metric


@metric(
    predictions=LABEL,
    references=LABEL,
    citation="Computed by scikit-learn (Pedregosa et al. 2011. JMLR 12: 2825-2830).",
    url="https://scikit-learn.org/stable/modules/generated/sklearn.metrics.accuracy_score.html",
)
def accuracy(predictions: list[int], references: list[int]) -> dict[str, float]:
    """Accuracy: the share of predicted labels that equal the true ones, from 0 to 1.

    Args:
        predictions: (n,) predicted labels, int.
        references: (n,) true labels, int.

    >>> accuracy().compute(predictions=[0, 1, 1, 0], references=[0, 1, 0, 0])
    {'accuracy': 0.75}
    """
    return {"accuracy": float(accuracy_score(references, predictions))}
