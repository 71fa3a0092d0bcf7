"""Expected calibration error: how far confidence is from accuracy."""

import numpy as np

from lmcompare.core.errors import InputError
from lmcompare.metrics._distributions import distributions
from lmcompare.metrics._metric import LABEL, PROBABILITIES, metric


@metric(
    predictions=PROBABILITIES,
    references=LABEL,
    higher_is_better=False,
    citation="""\
    Naeini, Cooper & Hauskrecht (2015). Obtaining well calibrated probabilities using Bayesian
    binning. AAAI. Guo, Pleiss, Sun & Weinberger (2017). On calibration of modern neural networks.
    ICML. arXiv:1706.04599, equation 3.
    """,
    url="https://arxiv.org/abs/1706.04599",
)
def ece(predictions: list[list[float]], references: list[int], bins: int = 15) -> dict[str, float]:
    """Expected calibration error: the mean difference of confidence and accuracy, from 0 to 1.

    Answers are binned by their confidence, the probability of the most probable class, in bins of
    equal width; bins weigh by their number of answers.

    Args:
        predictions: (n, classes) probabilities, each row summing to 1.
        references: (n,) true labels, from 0 to classes - 1.
        bins: how many, (0, 1/bins], (1/bins, 2/bins], ...; 15 as in Guo et al. 2017, section 2.

    >>> rows = [[1.0, 0.0], [0.75, 0.25], [0.25, 0.75], [0.5, 0.5]]
    >>> ece().compute(predictions=rows, references=[0, 1, 1, 0])
    {'ece': 0.25}
    """
    if bins < 1:
        raise InputError(f"bins: wanted 1 or more, got {bins}")
    probabilities, labels = distributions(predictions, references)
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    bin_of = np.digitize(confidence, np.linspace(0, 1, bins + 1)[1:-1], right=True)
    # (bins,) count x (confidence - accuracy)
    differences = np.bincount(bin_of, weights=confidence - right, minlength=bins)
    return {"ece": float(np.abs(differences).sum() / len(labels))}
