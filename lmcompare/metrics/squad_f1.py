"""Overlap of the words of an answer with those of a right one (SQuAD's F1)."""

from collections import Counter
from typing import Any

from lmcompare.metrics._metric import TEXT, TEXTS, metric
from lmcompare.metrics._words import answer_words


@metric(
    predictions=TEXT,
    references=TEXTS,
    citation="""\
    Rajpurkar, Zhang, Lopyrev & Liang (2016). SQuAD: 100,000+ questions for machine comprehension of
    text. EMNLP. arXiv:1606.05250, section 6.1. Chinese as in Lewis et al. (2020). MLQA. ACL.
    arXiv:1910.07475.
    """,
    url="https://arxiv.org/abs/1606.05250",
)
def squad_f1(
    predictions: list[str], references: list[list[str]], per_item: bool = False
) -> dict[str, Any]:
    """SQuAD F1: F1 of the words of an answer, taken as bags; the mean over items, from 0 to 1.

    Of several right answers the one that gives the most counts. Case, punctuation and the articles
    a, an, the are ignored; each Chinese character is a word. An answer without a word scores 1
    beside a reference without a word, else 0 (SQuAD 2.0's script).

    Args:
        predictions: (n,) answers.
        references: (n,) the right answer, or the list of all right answers; [""] where there is
            none.
        per_item: also return "items": (n,) each item's score.

    >>> predictions, references = ["the river Rhine", "Oslo"], [["Rhine", "Main"], ["Bergen"]]
    >>> squad_f1().compute(predictions=predictions, references=references)
    {'squad_f1': 0.3333333333333333}
    """
    items = [
        max(_f1(answer_words(answer), answer_words(right)) for right in rights)
        for answer, rights in zip(predictions, references, strict=True)
    ]
    return {"squad_f1": sum(items) / len(items)} | ({"items": items} if per_item else {})


def _f1(answer: list[str], right: list[str]) -> float:
    if not answer or not right:
        return float(answer == right)
    return 2 * (Counter(answer) & Counter(right)).total() / (len(answer) + len(right))
