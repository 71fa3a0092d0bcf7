"""Metrics of pairs: answers beside what was wanted, equally many, checked before they are kept."""

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from lmcompare.core.errors import InputError

# The metrics import this module, not its classes: `evaluate.load` takes the first metric that a script holds.

TEXTS = datasets.Features(
    {
        "predictions": datasets.Value("string"),
        "references": datasets.Sequence(datasets.Value("string")),
    }
)
"""A text an item, and one or several texts that would have been right."""


class PairMetric(evaluate.Metric):  # type: ignore[misc]
    """A metric that refuses predictions and references that are not equally many, as an InputError."""

    def add(self, *, prediction: Any = None, reference: Any = None, **others: Any) -> None:
        """Keep one pair."""
        self.add_batch(predictions=[prediction], references=[reference], **others)

    def add_batch(self, *, predictions: Any = None, references: Any = None, **others: Any) -> None:
        """Keep pairs.

        Raises:
            InputError: predictions and references are not equally many, or one is missing.
        """
        if predictions is None or references is None:
            raise InputError(
                f"{self.name}: wanted predictions and references, got only one of them"
            )
        if len(predictions) != len(references):
            got = f"{len(predictions)} predictions and {len(references)} references"
            raise InputError(f"{self.name}: wanted as many references as predictions, got {got}")
        super().add_batch(predictions=predictions, references=references, **others)


class TextMetric(PairMetric):
    """A metric of texts: a reference is one text, or a list of texts of which each would have been right."""

    def add_batch(self, *, predictions: Any = None, references: Any = None, **others: Any) -> None:
        """Keep pairs.

        Raises:
            InputError: as for any pairs; an item has no reference; a prediction or a reference is no text.
        """
        for item, text in enumerate(() if predictions is None else predictions):
            if not isinstance(text, str):
                raise InputError(
                    f"{self.name}: item {item}: wanted a text, got {type(text).__name__}"
                )
        if references is not None:
            references = [[texts] if isinstance(texts, str) else texts for texts in references]
            for item, texts in enumerate(references):
                if (
                    texts is None
                    or len(texts) == 0
                    or not all(isinstance(text, str) for text in texts)
                ):
                    raise InputError(
                        f"{self.name}: item {item}: references: wanted one text or more, got {texts!r}"
                    )
        super().add_batch(predictions=predictions, references=references, **others)


def streams(references: Sequence[Sequence[str]]) -> list[Any]:
    """Return the first reference of every item, then the second of every item, ...: sacreBLEU's shape.

    Where an item has none, None stands, which sacreBLEU reads but does not say in its types.

    >>> streams([["a"], ["b", "c"]])
    [['a', 'b'], [None, 'c']]
    """
    most = max(map(len, references))
    return [[texts[i] if i < len(texts) else None for texts in references] for i in range(most)]


def only(metric: str, references: Sequence[Sequence[str]]) -> list[str]:
    """Return each item's one reference.

    Raises:
        InputError: an item has several.
    """
    several = next((item for item, texts in enumerate(references) if len(texts) != 1), None)
    if several is not None:
        raise InputError(
            f"{metric}: item {several}: wanted one reference, got {len(references[several])}"
        )
    return [texts[0] for texts in references]
