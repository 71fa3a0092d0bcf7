"""Linear probes on the states of a frozen network choose how states are pooled, on validation."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lmcompare.adaptation.batches import EncodedSplit, map_batches
from lmcompare.adaptation.finetuning import FinetuningRun
from lmcompare.adaptation.heads import Head, HeadBatch, Predictions, TokenClassificationHead
from lmcompare.core.example import Ids
from lmcompare.data.tokenized_split import TokenizedSplit
from lmcompare.language_model import LanguageModel
from lmcompare.models.pooling import Pooling

PROBE_UNITS = 10_000
"""Train words or pairs that a probe is fitted on, at most: it only has to rank poolings."""


@dataclass(frozen=True)
class LabeledTexts:
    """The tokens of texts, and their labels."""

    rows: list[Ids]
    labels: NDArray[np.int64]


def choose_pooling(
    model: LanguageModel, train: LabeledTexts, validation: LabeledTexts, poolings: Sequence[Pooling]
) -> tuple[Pooling, list[dict[str, Any]]]:
    """Return the pooling whose logistic regression on frozen states is best, and all scores."""
    if len(poolings) == 1:
        return poolings[0], []
    train_states = model.pool_rows(train.rows, poolings=poolings)
    validation_states = model.pool_rows(validation.rows, poolings=poolings)
    probes = []
    for pooling in poolings:
        probe = _fit(LogisticRegression(C=0.1, max_iter=200), train_states[pooling], train.labels)
        accuracy = float(probe.score(validation_states[pooling], validation.labels))
        probes.append(_probe_trial(pooling, "accuracy", accuracy))
    best = max(probes, key=lambda probe: probe["validation_accuracy"])
    return best["pooling"], probes


def choose_head(
    run: FinetuningRun,
    heads: Mapping[str | None, Head],
    splits: Mapping[str, TokenizedSplit],
    score: Callable[[Predictions], float],
    score_name: str,
) -> tuple[Head, list[dict[str, Any]]]:
    """Return the head whose linear probe predicts the validation items best, and all scores."""
    if len(heads) == 1:
        return next(iter(heads.values())), []
    attention = run.adaptation.attention
    train = EncodedSplit.of(run.model, _first_items(splits["train"]), attention)
    validation = EncodedSplit.of(run.model, splits["validation"], attention)
    probes = []
    for pooling, head in heads.items():
        train_features = _features(run.model, head, train)
        validation_features = _features(run.model, head, validation)
        targets = [np.atleast_1d(target) for target in train.items.targets]
        predict = _probe(head, np.concatenate(train_features), np.concatenate(targets))
        # Predictions for all words or pairs at once, cut into items again.
        ends = np.cumsum([len(features) for features in validation_features])[:-1]
        predictions = np.split(predict(np.concatenate(validation_features)), ends)
        probes.append(_probe_trial(pooling, score_name, score(predictions)))
    best = max(probes, key=lambda probe: probe[f"validation_{score_name}"])
    return heads[best["pooling"]], probes


def _probe_trial(pooling: str | None, score_name: str, score: float) -> dict[str, Any]:
    settings = {"pooling": pooling, "learning_rate": None, "epoch": None}
    return settings | {f"validation_{score_name}": score}


def _first_items(split: TokenizedSplit) -> TokenizedSplit:
    units = np.cumsum([np.size(target) for target in split.targets])
    count = int(np.searchsorted(units, PROBE_UNITS)) + 1
    return replace(
        split, rows=split.rows[:count], targets=split.targets[:count], marks=split.marks[:count]
    )


def _features(model: LanguageModel, head: Head, split: EncodedSplit) -> Predictions:
    """Return what the linear layer would read of each item. Shape (words or 1, input_size) each."""

    def features(batch: HeadBatch) -> Predictions:
        rows = head.features(model.network.states(batch.tensors), batch).double().cpu().numpy()
        if batch.marks is None:
            return list(rows[:, None])
        return np.split(rows, batch.word_ends.cpu().numpy()[:-1])

    return map_batches(model.network, split, features)


def _probe(
    head: Head, features: NDArray[np.float64], targets: NDArray[Any]
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Fit logistic regression of labels, or ridge regression of scores; return how it predicts."""
    if not isinstance(head, TokenClassificationHead):
        ridge = _fit(Ridge(alpha=len(features) / 10), features, targets)
        return lambda rows: np.asarray(ridge.predict(rows), dtype=np.float64)

    def predict(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        probabilities = np.zeros((len(rows), head.outputs))
        if classifier is None:
            probabilities[:, targets[0]] = 1.0
        else:
            probabilities[:, classifier.classes_] = classifier.predict_proba(rows)
        return probabilities

    # Scikit-learn refuses to classify into one class.
    several = len(np.unique(targets)) > 1
    logistic = LogisticRegression(C=0.1, max_iter=200)
    classifier = _fit(logistic, features, targets) if several else None
    return predict


def _fit(model: Any, features: NDArray[Any], targets: NDArray[Any]) -> Any:
    """Fit a linear model on standardized features."""
    pipeline = make_pipeline(StandardScaler(), model)
    with warnings.catch_warnings():
        # A probe that has not quite converged still ranks poolings.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return pipeline.fit(features, targets)
