"""Baselines without a network: majority class, TF-IDF classifier, nearest neighbor."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import normalize

from lmcompare.core.records import Trials

WORD = "(?u)[\u3040-\u9fff]|[^\\W\u3040-\u9fff]+|[^\\w\\s]"
"""One-letter words count, as many languages have them; each Han character or kana is a word."""


def majority_class(labels: Sequence[int], classes: int, items: int) -> NDArray[np.float64]:
    """Return the class frequencies of the training labels for each item. Shape (items, classes)."""
    frequencies = np.bincount(labels, minlength=classes) / len(labels)
    return np.tile(frequencies, (items, 1))


def tfidf_cosine(train: Sequence[str], pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
    """Return the TF-IDF cosine of the two texts of each pair, 0 to 1. Shape (pairs,).

    Features are words, and characters and pairs of them for scripts without spaces; weights are
    those of the training texts. A text without a feature of theirs has cosine 0.
    """
    vectorizer = make_union(
        TfidfVectorizer(sublinear_tf=True, token_pattern=WORD),
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\w"),
    )
    vectorizer.fit(train)
    first, second = (
        normalize(vectorizer.transform([pair[side] for pair in pairs])) for side in (0, 1)
    )
    cosine: NDArray[np.float64] = np.asarray(first.multiply(second).sum(axis=1), dtype=np.float64)
    return cosine.ravel()


def nearest_neighbors(known: Sequence[str], queries: Sequence[str]) -> NDArray[np.int64]:
    """Return the known text of highest TF-IDF cosine to each query, by index. Shape (queries,)."""
    vectorizer = TfidfVectorizer(sublinear_tf=True, token_pattern=WORD)
    vectors = vectorizer.fit_transform(known)
    cosines = vectorizer.transform(queries) @ vectors.T  # (queries, known)
    nearest: NDArray[np.int64] = np.asarray(cosines.argmax(axis=1), dtype=np.int64)
    return nearest.ravel()


def tfidf_classifier(
    train: tuple[Sequence[str], Sequence[int]],
    validation: tuple[Sequence[str], Sequence[int]],
    test: Sequence[str],
    inverse_penalties: Sequence[float] = (0.3, 1.0, 3.0, 10.0),
) -> tuple[NDArray[np.float64], NDArray[np.float64], Trials]:
    """Fit logistic regression on TF-IDF of words and word pairs; validation chooses its penalty.

    Returns:
        Probabilities of the test and of the validation items, (items, classes) each, and the
        trials.
    """
    trials, best = [], None
    for inverse_penalty in inverse_penalties:
        model = make_pipeline(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=WORD),
            LogisticRegression(C=inverse_penalty, max_iter=1000),
        )
        model.fit(*train)
        accuracy = float(model.score(*validation))
        trials.append({"C": inverse_penalty, "validation_accuracy": accuracy})
        if best is None or accuracy > best[0]:
            best = (accuracy, inverse_penalty, model)
    assert best is not None
    _, inverse_penalty, model = best
    probabilities = model.predict_proba(test), model.predict_proba(validation[0])
    return *probabilities, Trials(trials, {"C": inverse_penalty})
