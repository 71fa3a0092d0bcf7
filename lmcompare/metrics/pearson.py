"""Linear correlation of predicted and true numbers (Pearson)."""

from scipy.stats import pearsonr

from lmcompare.metrics._correlation import correlation
from lmcompare.metrics._metric import NUMBER, metric


@metric(
    predictions=NUMBER,
    references=NUMBER,
    citation="""\
    Pearson (1895). Note on regression and inheritance in the case of two parents. Proc R Soc 58:
    240-242.
    """,
    url="https://docs.scipy.org/doc/scipy/reference/generated/scipy.stats.pearsonr.html",
)
def pearson(predictions: list[float], references: list[float]) -> dict[str, float]:
    """Pearson correlation: how near the pairs lie to a rising straight line, from -1 to 1.

    0 is what guessing gives, and where one side is constant. One far-off item can decide it.

    Args:
        predictions: (n,) predicted numbers, such as cosines; on any scale.
        references: (n,) true numbers, such as people's ratings.

    >>> pearson().compute(predictions=[0, 1, 2, 3], references=[0, 3, 1, 2])
    {'pearson': 0.4}
    """
    return {"pearson": correlation(pearsonr, predictions, references)}
