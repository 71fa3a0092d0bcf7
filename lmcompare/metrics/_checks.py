"""What every metric asks of its answers before it counts them."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmcompare.core.errors import InputError

TOLERANCE = 1e-3
"""How far a row of probabilities may be from summing to 1: what half precision loses, not what a logit would show."""


def require_answers(metric: str, predictions: Sequence[Any]) -> None:
    """Raise InputError if there is nothing to score."""
    if len(predictions) == 0:
        raise InputError(f"{metric}: wanted at least one prediction, got none")


def amounts(metric: str, noun: str, values: Sequence[float]) -> NDArray[np.float64]:
    """Return the values as an array (n,).

    Raises:
        InputError: one is negative, infinite or not a number.
    """
    array = np.asarray(values, dtype=np.float64)
    bad = ~np.isfinite(array) | (array < 0)
    if bad.any():
        row = int(bad.argmax())
        raise InputError(
            f"{metric}: item {row}: wanted {noun}, finite and not negative, got {array[row]}"
        )
    return array


def distributions(
    metric: str, predictions: Sequence[Sequence[float]], references: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return rows of probabilities (n, classes), rescaled to sum to exactly 1, and the true labels (n,).

    Raises:
        InputError: there is no row; rows differ in length, hold a number outside [0, 1] or do not sum to 1 (to 1e-3);
            a label is not the number of a column.
    """
    require_answers(metric, predictions)
    classes = len(predictions[0])
    uneven = next((i for i, row in enumerate(predictions) if len(row) != classes), None)
    if uneven is not None or classes < 2:
        row = uneven or 0
        wanted = (
            f"{classes} probabilities, as in row 0"
            if uneven
            else "the probabilities of two classes or more"
        )
        raise InputError(f"{metric}: row {row}: wanted {wanted}, got {len(predictions[row])}")
    probabilities = np.asarray(predictions, dtype=np.float64)
    labels = np.asarray(references, dtype=np.int64)
    sums = probabilities.sum(axis=1)
    bad = ~(np.abs(sums - 1) <= TOLERANCE) | (probabilities < 0).any(axis=1)
    if bad.any():
        row = int(bad.argmax())
        got = f"a sum of {sums[row]:.6g}, the least {probabilities[row].min():.6g}"
        raise InputError(
            f"{metric}: row {row}: wanted probabilities that sum to 1, got {got}; take the softmax of logits"
        )
    outside = (labels < 0) | (labels >= classes)
    if outside.any():
        row = int(outside.argmax())
        raise InputError(
            f"{metric}: row {row}: wanted a label from 0 to {classes - 1}, got {labels[row]}"
        )
    return probabilities / sums[:, None], labels


def checkpoint(metric: str, model: str | None) -> Path:
    """Return the folder of the model that a metric asks.

    Raises:
        InputError: none was named, or there is none.
    """
    if model is None:
        raise InputError(f"{metric}: model: missing; wanted the folder of a checkpoint")
    folder = Path(model).expanduser()
    if not (folder / "config.json").is_file():
        raise InputError(
            f"{metric}: model: wanted a folder with config.json and model.safetensors, got {model!r}"
        )
    return folder


def judge(metric: str, model: str | None) -> Any:
    """Return the ``LanguageModel`` that a metric asks; see ``checkpoint``."""
    folder = checkpoint(metric, model)
    from lmcompare.language_model import load  # torch: only where a model is asked

    return load(folder)


def package(metric: str, name: str) -> Any:
    """Import the library that computes a metric.

    Raises:
        InputError: it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise InputError(
            f"{metric}: {error}; `pip install 'lmcompare[judges]'` installs it"
        ) from None


def ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    """Return the n-grams of a text's words (what white space divides), in order.

    >>> ngrams("a b a b", 2)
    [('a', 'b'), ('b', 'a'), ('a', 'b')]
    """
    words = text.split()
    return list(zip(*(words[i:] for i in range(n)), strict=False))
