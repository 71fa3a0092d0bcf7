"""Correlation of the ranks of predicted and true numbers (Spearman)."""

from scipy.stats import spearmanr

from lmcompare.metrics._correlation import correlation
from lmcompare.metrics._metric import NUMBER, metric


@metric(
    predictions=NUMBER,
    references=NUMBER,
    citation="""\
    Spearman (1904). The proof and measurement of association between two things. Am J Psychol 15:
    72-101.
    """,
    url="https://docs.scipy.org/doc/scipy/reference/generated/scipy.stats.spearmanr.html",
)
def spearman(predictions: list[float], references: list[float]) -> dict[str, float]:
    """Spearman correlation: the Pearson correlation of the ranks, from -1 to 1.

    Only the order counts. Equal numbers share the mean of their ranks. 0 is what guessing gives,
    and where one side is constant.

    Args:
        predictions: (n,) predicted numbers, such as cosines; on any scale.
        references: (n,) true numbers, such as people's ratings.

    >>> spearman().compute(predictions=[0.1, 0.2, 0.9], references=[1, 5, 3])
    {'spearman': 0.5}
    """
    return {"spearman": correlation(spearmanr, predictions, references)}
