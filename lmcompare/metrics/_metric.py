"""Makes an `evaluate.Metric` of a function: what all metrics share is written here once."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import datasets
import evaluate

from lmcompare.core.errors import InputError

TEXT, NUMBER, LABEL = (datasets.Value(kind) for kind in ("string", "float64", "int64"))
PROBABILITIES = datasets.Sequence(NUMBER)
TEXTS = datasets.Sequence(TEXT)
"""The references of an item: one or several texts that would have been right."""


class _FunctionMetric(evaluate.Metric):  # type: ignore[misc]
    """A metric of a function; input of the wrong form is refused before it is kept.

    Raises:
        InputError: predictions and references differ in number, or one of them is missing; a
            prediction or a reference is no text; there is nothing to score. Each message begins
            with the metric's name.
    """

    function: Callable[..., dict[str, Any]]

    def __init__(self, *args: Any, **options: Any) -> None:
        options = {"keep_in_memory": options.get("num_process", 1) == 1, **options}
        super().__init__(*args, **options)

    def add(self, *, prediction: Any = None, reference: Any = None, **others: Any) -> None:
        """Keep one item."""
        references = {} if reference is None else {"references": [reference]}
        self.add_batch(predictions=[prediction], **references, **others)

    def add_batch(self, *, predictions: Any = None, references: Any = None, **others: Any) -> None:
        """Keep items: equally many predictions and references, where the metric has references."""
        features = self.info.features
        if features["predictions"] == TEXT and features.get("references") == TEXTS:
            for item, text in enumerate(() if predictions is None else predictions):
                if not isinstance(text, str):
                    raise self._error(f"item {item}: wanted a text, got {type(text).__name__}")
            if references is not None:
                references = [self._texts(item, texts) for item, texts in enumerate(references)]
        if "references" not in features:
            super().add_batch(predictions=predictions, **others)
            return
        if predictions is None or references is None:
            raise self._error("wanted predictions and references, got only one of them")
        if len(predictions) != len(references):
            got = f"{len(predictions)} predictions and {len(references)} references"
            raise self._error(f"wanted as many references as predictions, got {got}")
        super().add_batch(predictions=predictions, references=references, **others)

    def _texts(self, item: int, given: Any) -> Any:
        texts = [given] if isinstance(given, str) else given
        if texts is None or not len(texts) or not all(isinstance(text, str) for text in texts):
            raise self._error(f"item {item}: references: wanted one text or more, got {texts!r}")
        return texts

    def _compute(self, predictions: Sequence[Any], **inputs: Any) -> dict[str, Any]:
        try:
            if not len(predictions):
                raise InputError("wanted at least one prediction, got none")
            return self.function(predictions, **inputs)
        except InputError as error:
            raise self._error(*error.problems) from None

    def _error(self, *problems: str) -> InputError:
        return InputError(*(f"{self.name}: {problem}" for problem in problems))


def metric(
    *,
    predictions: Any,
    references: Any = None,
    higher_is_better: bool | None = True,
    citation: str,
    url: str,
) -> Callable[[Callable[..., dict[str, Any]]], Any]:
    """Return the decorator that makes a function's name a subclass of `evaluate.Metric`.

    The function gets the predictions, the references (if the metric has any) and its options, and
    returns the values by name. Its docstring up to ``Args:`` is the metric's description, the rest
    says what the inputs are.

    Args:
        predictions: type of a prediction, as a feature of `datasets`.
        references: type of a reference; None: the metric has predictions alone.
        higher_is_better: None where neither end of the scale is better.
        citation: where the metric comes from, and what computes it.
        url: of a page that explains it.
    """
    features = {"predictions": predictions} | ({"references": references} if references else {})
    direction = {True: " Higher is better.", False: " Lower is better.", None: ""}[higher_is_better]

    def make(function: Callable[..., dict[str, Any]]) -> Any:
        description, _, inputs = inspect.cleandoc(function.__doc__ or "").partition("\nArgs:\n")

        def info(_: Any) -> Any:
            return evaluate.MetricInfo(
                description=description.strip() + direction,
                citation=inspect.cleandoc(citation),
                inputs_description=f"\nArgs:\n{inputs}\n",
                features=datasets.Features(features),
                reference_urls=[url],
            )

        members = {
            "__doc__": function.__doc__,
            "__module__": function.__module__,
            "function": staticmethod(function),
            "higher_is_better": higher_is_better,
            "_info": info,
        }
        return type(function.__name__, (_FunctionMetric,), members)

    return make
