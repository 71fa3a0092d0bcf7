"""Share of the n-grams of a generated text that repeat an earlier one of the same text."""

from typing import Any

import datasets
import evaluate

from lmcompare.core.errors import InputError
from lmcompare.metrics._checks import ngrams, require_answers

_DESCRIPTION = """\
Repetition: the share of n-grams that repeat an earlier one of the same text, over all texts together. From 0 to 1; high
where a text turns in circles. For texts of equal length it is the mean of seq-rep-n (Welleck et al. 2020).
"""
_INPUTS = """
Args:
    predictions: (n,) texts. Words are what white space divides; for other units give them divided by spaces.
    n: length of the n-grams. Default 4.
Returns:
    {"repetition_4": float}; nan if n is longer than every text.
Raises:
    InputError: there is no text, or n is less than 1.
Example:
    >>> load("repetition").compute(predictions=["a b a b a", "c d e"], n=2)
    {'repetition_2': 0.3333333333333333}
"""
_CITATION = """\
Welleck, Kulikov, Roller, Dinan, Cho & Weston (2020). Neural text generation with unlikelihood training. ICLR.
arXiv:1908.04319.
"""


class Repetition(evaluate.Metric):  # type: ignore[misc]
    """Share of n-grams that repeat an earlier one of the same text."""

    def _info(self) -> Any:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features({"predictions": datasets.Value("string")}),
            reference_urls=["https://arxiv.org/abs/1908.04319"],
        )

    def _compute(self, predictions: list[str], n: int = 4) -> dict[str, float]:
        require_answers("repetition", predictions)
        if n < 1:
            raise InputError(f"repetition: n: wanted 1 or more, got {n}")
        grams = [ngrams(text, n) for text in predictions]
        total = sum(len(text) for text in grams)
        repeated = total - sum(len(set(text)) for text in grams)
        return {f"repetition_{n}": repeated / total if total else float("nan")}
