"""Controls that need no network: what a reader should compare every arm with."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline


def majority(labels: Sequence[int], classes: int, items: int) -> NDArray[np.float64]:
    """Return for every item the shares of the classes among the training labels. Shape (items, classes)."""
    shares = np.bincount(labels, minlength=classes) / len(labels)
    return np.tile(shares, (items, 1))


def tfidf(
    train: tuple[Sequence[str], Sequence[int]],
    validation: tuple[Sequence[str], Sequence[int]],
    test: Sequence[str],
    strengths: Sequence[float] = (0.3, 1.0, 3.0, 10.0),
) -> tuple[NDArray[np.float64], NDArray[np.float64], dict[str, Any]]:
    """Fit TF-IDF of words and word pairs + logistic regression; the inverse of its penalty is chosen on validation.

    Returns:
        probabilities of the test items and of the validation items, (items, classes) each, and what was chosen.
    """
    fitted = {}
    for strength in strengths:
        model = make_pipeline(
            # One-letter words count: many languages have them.
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\w+|[^\w\s]"),
            LogisticRegression(C=strength, max_iter=1000),
        )
        model.fit(*train)
        fitted[strength] = model
    accuracy = {strength: float(model.score(*validation)) for strength, model in fitted.items()}
    best = max(accuracy, key=lambda strength: accuracy[strength])
    notes = {"trials": [{"C": strength, "validation_accuracy": value} for strength, value in accuracy.items()]}
    chosen = fitted[best]
    return chosen.predict_proba(test), chosen.predict_proba(validation[0]), notes | {"chosen": {"C": best}}
