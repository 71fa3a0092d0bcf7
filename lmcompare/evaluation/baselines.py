"""Controls that need no network: what a reader should compare every model with."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import normalize

from lmcompare.core.records import Trials


def majority(labels: Sequence[int], classes: int, items: int) -> NDArray[np.float64]:
    """Return for every item the shares of the classes among the training labels. Shape (items, classes)."""
    shares = np.bincount(labels, minlength=classes) / len(labels)
    return np.tile(shares, (items, 1))


WORD = "(?u)[\u3040-\u9fff]|[^\\W\u3040-\u9fff]+|[^\\w\\s]"
"""One-letter words count: many languages have them. Each Han character or kana is one: no spaces part their words."""


def tfidf_cosine(train: Sequence[str], pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
    """Return the cosine of the TF-IDF vectors of the two texts of each pair, from 0 to 1. Shape (pairs,).

    Features are words, and characters and pairs of them, so that texts without spaces share something, too.
    Weights are those of the training texts; a text without a feature known from there has cosine 0.
    """
    model = make_union(
        TfidfVectorizer(sublinear_tf=True, token_pattern=WORD),
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\w"),
    )
    model.fit(train)
    first, second = (normalize(model.transform([pair[side] for pair in pairs])) for side in (0, 1))
    found: NDArray[np.float64] = np.asarray(
        first.multiply(second).sum(axis=1), dtype=np.float64
    ).ravel()
    return found


def nearest(known: Sequence[str], asked: Sequence[str]) -> NDArray[np.int64]:
    """Return the number of the known text that is most like each asked one. Shape (asked,).

    Likeness is the cosine of TF-IDF vectors of words, each Han character or kana being one; of equals, the first.
    """
    vectorizer = TfidfVectorizer(sublinear_tf=True, token_pattern=WORD)
    vectors = vectorizer.fit_transform(known)
    likeness = vectorizer.transform(asked) @ vectors.T
    found: NDArray[np.int64] = np.asarray(likeness.argmax(axis=1), dtype=np.int64).ravel()
    return found


def tfidf(
    train: tuple[Sequence[str], Sequence[int]],
    validation: tuple[Sequence[str], Sequence[int]],
    test: Sequence[str],
    strengths: Sequence[float] = (0.3, 1.0, 3.0, 10.0),
) -> tuple[NDArray[np.float64], NDArray[np.float64], Trials]:
    """Fit TF-IDF of words and word pairs + logistic regression; the inverse of its penalty is chosen on validation.

    Returns:
        probabilities of the test items and of the validation items, (items, classes) each, and what was chosen.
    """
    fitted = {}
    for strength in strengths:
        model = make_pipeline(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=WORD),
            LogisticRegression(C=strength, max_iter=1000),
        )
        model.fit(*train)
        fitted[strength] = model
    accuracy = {strength: float(model.score(*validation)) for strength, model in fitted.items()}
    best = max(accuracy, key=lambda strength: accuracy[strength])
    tried = [{"C": strength, "validation_accuracy": value} for strength, value in accuracy.items()]
    chosen = fitted[best]
    return (
        chosen.predict_proba(test),
        chosen.predict_proba(validation[0]),
        Trials(tried, {"C": best}),
    )
