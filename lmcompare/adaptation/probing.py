"""Which state stands for a text or a word: linear probes on a frozen network decide, on validation."""

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

from lmcompare.adaptation.batches import EncodedSplit, each
from lmcompare.adaptation.heads import Answers, Head, HeadBatch, TokenClassificationHead
from lmcompare.core.example import Ids
from lmcompare.data.tokenized_split import TokenizedSplit
from lmcompare.language_model import LanguageModel
from lmcompare.models.pooling import Pooling

UNITS = 10_000
"""Words or pairs of the train part that a probe is fitted on, at most: it only has to tell poolings apart."""


@dataclass(frozen=True)
class ProbeTexts:
    """Items of a classification task as token ids, with their labels."""

    rows: list[Ids]
    labels: NDArray[np.int64]


def choose_pooling(
    model: LanguageModel, train: ProbeTexts, validation: ProbeTexts, menu: Sequence[Pooling]
) -> tuple[Pooling, list[dict[str, Any]]]:
    """Return the pooling whose linear probe (logistic regression on frozen states) is best on validation."""
    if len(menu) == 1:
        return menu[0], []
    known = model.pool_rows(train.rows, poolings=menu)
    unknown = model.pool_rows(validation.rows, poolings=menu)
    accuracy: dict[Pooling, float] = {}
    for pooling in menu:
        probe = _fitted(LogisticRegression(C=0.1, max_iter=200), known[pooling], train.labels)
        accuracy[pooling] = float(probe.score(unknown[pooling], validation.labels))
    probes = [
        {"pooling": pooling, "learning_rate": None, "epoch": None, "validation_accuracy": value}
        for pooling, value in accuracy.items()
    ]
    return max(accuracy, key=lambda pooling: accuracy[pooling]), probes


def choose_head(
    model: LanguageModel,
    menu: Mapping[str | None, Head],
    train: TokenizedSplit,
    validation: TokenizedSplit,
    attention: str,
    score: Callable[[Answers], float],
    by: str,
) -> tuple[Head, list[dict[str, Any]]]:
    """Return the head whose probe on frozen states answers the validation items best, and what each scored.

    A probe is logistic regression of the labels of words, or ridge regression of scores.
    """
    if len(menu) == 1:
        return next(iter(menu.values())), []
    known, unknown = (
        EncodedSplit.of(model, _first(train), attention),
        EncodedSplit.of(model, validation, attention),
    )
    probes: list[dict[str, Any]] = []
    for pooling, head in menu.items():
        said = _probed(
            head, known.part.wanted, _features(model, head, known), _features(model, head, unknown)
        )
        scores = {
            "pooling": pooling,
            "learning_rate": None,
            "epoch": None,
            f"validation_{by}": score(said),
        }
        probes.append(scores)
    best = max(probes, key=lambda probe: probe[f"validation_{by}"])
    return menu[best["pooling"]], probes


def _first(part: TokenizedSplit) -> TokenizedSplit:
    """Return the first items of a part, with about ``UNITS`` words or scores."""
    count = int(np.searchsorted(np.cumsum([np.size(wanted) for wanted in part.wanted]), UNITS)) + 1
    return replace(
        part, rows=part.rows[:count], wanted=part.wanted[:count], marks=part.marks[:count]
    )


def _features(model: LanguageModel, head: Head, items: EncodedSplit) -> Answers:
    """Return what the linear layer would read of each item, of the frozen network. Shape (words or 1, size) each."""

    def ask(reading: HeadBatch) -> Answers:
        found = head.features(model.network.states(reading.tensors), reading).double().cpu().numpy()
        counts = (
            [1] * len(reading.wanted)
            if reading.marks is None
            else (reading.marks.amax(1) + 1).tolist()
        )
        return np.split(found, np.cumsum(counts)[:-1])

    return each(model.network, model.network, items, ask)


def _probed(head: Head, wanted: Sequence[Any], known: Answers, unknown: Answers) -> Answers:
    """Fit on ``known`` and answer ``unknown``, in the shape of the head's answers."""
    inputs, answers = np.concatenate(known), np.concatenate([np.atleast_1d(one) for one in wanted])
    ends = np.cumsum([len(one) for one in unknown])[:-1]
    if not isinstance(head, TokenClassificationHead):
        said = _fitted(Ridge(alpha=len(inputs) / 10), inputs, answers).predict(
            np.concatenate(unknown)
        )
        return np.split(said, ends)
    said = np.zeros((sum(map(len, unknown)), head.outputs))
    if len(set(answers.tolist())) == 1:
        said[:, answers[0]] = 1.0  # nothing to tell apart
    else:
        probe = _fitted(LogisticRegression(C=0.1, max_iter=200), inputs, answers)
        said[:, probe.classes_] = probe.predict_proba(np.concatenate(unknown))
    return np.split(said, ends)


def _fitted(model: Any, inputs: NDArray[Any], answers: NDArray[Any]) -> Any:
    """Fit a linear model on standardised inputs."""
    probe = make_pipeline(StandardScaler(), model)
    with warnings.catch_warnings():
        # A probe that has not quite converged still tells which pooling is better.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return probe.fit(inputs, answers)
