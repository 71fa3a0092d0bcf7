"""Matthews correlation of predicted and true labels (MCC)."""

from sklearn.metrics import matthews_corrcoef

from lmcompare.metrics._metric import LABEL, metric


@metric(
    predictions=LABEL,
    references=LABEL,
    citation="""\
    Matthews (1975). Comparison of the predicted and observed secondary structure of T4 phage
    lysozyme. BBA 405. Gorodkin (2004). Comparing two K-category assignments by a K-category
    correlation coefficient. Comput Biol Chem 28. Computed by scikit-learn.
    """,
    url="https://scikit-learn.org/stable/modules/generated/sklearn.metrics.matthews_corrcoef.html",
)
def matthews(predictions: list[int], references: list[int]) -> dict[str, float]:
    """Matthews correlation coefficient of predicted and true labels, from -1 to 1.

    For two classes or more; 0 is what guessing gives, whatever the class frequencies, and where the
    correlation is not defined, because one class alone was predicted or is true.

    Args:
        predictions: (n,) predicted labels, int.
        references: (n,) true labels, int.

    >>> matthews().compute(predictions=[1, 0, 1, 1], references=[1, 1, 1, 0])
    {'matthews': -0.3333333333333333}
    """
    if len(set(predictions)) == 1 or len(set(references)) == 1:  # scikit-learn may warn
        return {"matthews": 0.0}
    return {"matthews": float(matthews_corrcoef(references, predictions))}
