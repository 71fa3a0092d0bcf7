"""Share of the n-grams in generated texts that are distinct."""

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from lmcompare.core.errors import InputError
from lmcompare.metrics._checks import ngrams, require_answers

_DESCRIPTION = """\
Distinct-n: distinct n-grams over all n-grams of the texts together. From 0 to 1; low where texts resemble one another.
It falls as texts grow in number and length, so compare only equally many texts of about equal length.
"""
_INPUTS = """
Args:
    predictions: (n,) texts. Words are what white space divides; for other units give them divided by spaces.
    n: length of the n-grams, or several lengths. Default (1, 2).
Returns:
    {"distinct_1": float, "distinct_2": float}; nan for an n that is longer than every text.
Raises:
    InputError: there is no text, or n is less than 1.
Example:
    >>> load("distinct_n").compute(predictions=["a b a b", "a c"])
    {'distinct_1': 0.5, 'distinct_2': 0.75}
"""
_CITATION = """\
Li, Galley, Brockett, Gao & Dolan (2016). A diversity-promoting objective function for neural conversation models.
NAACL. arXiv:1510.03055 (which divides by the number of words instead).
"""


class DistinctN(evaluate.Metric):  # type: ignore[misc]
    """Distinct n-grams over all n-grams of the texts together."""

    def _info(self) -> Any:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features({"predictions": datasets.Value("string")}),
            reference_urls=["https://arxiv.org/abs/1510.03055"],
        )

    def _compute(self, predictions: list[str], n: int | Sequence[int] = (1, 2)) -> dict[str, float]:
        require_answers("distinct_n", predictions)
        shares = {}
        for length in [n] if isinstance(n, int) else n:
            if length < 1:
                raise InputError(f"distinct_n: n: wanted 1 or more, got {length}")
            grams = [gram for text in predictions for gram in ngrams(text, length)]
            shares[f"distinct_{length}"] = len(set(grams)) / len(grams) if grams else float("nan")
        return shares
