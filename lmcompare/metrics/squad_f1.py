"""Overlap of the words of an answer with those of a right one (SQuAD's F1)."""

from collections import Counter
from typing import Any

import evaluate

from lmcompare.metrics import _pairs
from lmcompare.metrics._checks import require_answers
from lmcompare.metrics._words import answer_words

_DESCRIPTION = """\
SQuAD F1: the harmonic mean of precision and recall of the words of an answer, taken as bags; of several right answers
the one that gives the most counts; the mean over items. Case, punctuation and the articles a, an, the are ignored; each
Chinese character is a word. From 0 to 1, higher is better.
"""
_INPUTS = """
Args:
    predictions: (n,) answers.
    references: (n,) the right answer, or the list of all right answers; [""] where there is none to be found.
    per_item: also return each item's score. Default False.
Returns:
    {"squad_f1": float}; with per_item also {"items": (n,) from 0.0 to 1.0}. An answer without a word scores 1 beside a
    reference without a word, else 0 (SQuAD 2.0's script).
Raises:
    InputError: there is no prediction, the lengths differ, or an item has no reference.
Example:
    >>> load("squad_f1").compute(predictions=["the river Rhine", "Oslo"], references=[["Rhine", "Main"], ["Bergen"]])
    {'squad_f1': 0.3333333333333333}
"""
_CITATION = """\
Rajpurkar, Zhang, Lopyrev & Liang (2016). SQuAD: 100,000+ questions for machine comprehension of text. EMNLP.
arXiv:1606.05250, section 6.1. Chinese as in Lewis et al. (2020). MLQA. ACL. arXiv:1910.07475.
"""


class SquadF1(_pairs.TextMetric):
    """Mean over items of the best F1 of the words of an answer."""

    def _info(self) -> Any:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=_pairs.TEXTS,
            reference_urls=["https://arxiv.org/abs/1606.05250", "https://arxiv.org/abs/1910.07475"],
        )

    def _compute(
        self, predictions: list[str], references: list[list[str]], per_item: bool = False
    ) -> dict[str, Any]:
        require_answers("squad_f1", predictions)
        items = [
            max(_f1(answer_words(answer), answer_words(right)) for right in rights)
            for answer, rights in zip(predictions, references, strict=True)
        ]
        return {"squad_f1": sum(items) / len(items)} | ({"items": items} if per_item else {})


def _f1(answer: list[str], right: list[str]) -> float:
    if not answer or not right:
        return float(answer == right)
    return 2 * (Counter(answer) & Counter(right)).total() / (len(answer) + len(right))
