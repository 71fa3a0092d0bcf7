"""Share of answers that equal a right one, after SQuAD's normalisation."""

from typing import Any

import evaluate

from lmcompare.metrics import _pairs
from lmcompare.metrics._checks import require_answers
from lmcompare.metrics._words import answer_words

_DESCRIPTION = """\
Exact match: the share of answers that equal one of the right answers. Case, punctuation, the articles a, an, the and
white space are ignored, as in SQuAD's script; between Chinese characters white space counts for nothing. From 0 to 1,
higher is better.
"""
_INPUTS = """
Args:
    predictions: (n,) answers.
    references: (n,) the right answer, or the list of all right answers; [""] where there is none to be found.
    normalise: False compares the texts as they are. Default True.
    per_item: also return each item's score. Default False.
Returns:
    {"exact_match": float}; with per_item also {"items": (n,) 0.0 or 1.0}
Raises:
    InputError: there is no prediction, the lengths differ, or an item has no reference.
Example:
    >>> load("exact_match").compute(predictions=["The Rhine!", "Oslo"], references=[["Rhine", "the river"], ["Bergen"]])
    {'exact_match': 0.5}
"""
_CITATION = """\
Rajpurkar, Zhang, Lopyrev & Liang (2016). SQuAD: 100,000+ questions for machine comprehension of text. EMNLP.
arXiv:1606.05250, section 6.1.
"""


class ExactMatch(_pairs.TextMetric):
    """Share of answers that equal a right one."""

    def _info(self) -> Any:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=_pairs.TEXTS,
            reference_urls=["https://arxiv.org/abs/1606.05250"],
        )

    def _compute(
        self,
        predictions: list[str],
        references: list[list[str]],
        normalise: bool = True,
        per_item: bool = False,
    ) -> dict[str, Any]:
        require_answers("exact_match", predictions)
        form: Any = answer_words if normalise else str
        items = [
            float(any(form(answer) == form(right) for right in rights))
            for answer, rights in zip(predictions, references, strict=True)
        ]
        return {"exact_match": sum(items) / len(items)} | ({"items": items} if per_item else {})
