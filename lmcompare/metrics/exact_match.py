"""Share of answers that equal a right one, after SQuAD's normalization."""

from typing import Any

from lmcompare.metrics._metric import TEXT, TEXTS, metric
from lmcompare.metrics._words import answer_words


@metric(
    predictions=TEXT,
    references=TEXTS,
    citation="""\
    Rajpurkar, Zhang, Lopyrev & Liang (2016). SQuAD: 100,000+ questions for machine comprehension of
    text. EMNLP. arXiv:1606.05250, section 6.1.
    """,
    url="https://arxiv.org/abs/1606.05250",
)
def exact_match(
    predictions: list[str],
    references: list[list[str]],
    normalize: bool = True,
    per_item: bool = False,
) -> dict[str, Any]:
    """Exact match: the share of answers that equal one of the right answers, from 0 to 1.

    Case, punctuation, the articles a, an, the and white space are ignored, as in SQuAD's script;
    between Chinese characters white space counts for nothing.

    Args:
        predictions: (n,) answers.
        references: (n,) the right answer, or the list of all right answers; [""] where there is
            none.
        normalize: False compares the texts as they are.
        per_item: also return "items": (n,) 0.0 or 1.0.

    >>> predictions, references = ["The Rhine!", "Oslo"], [["Rhine", "Main"], ["Bergen"]]
    >>> exact_match().compute(predictions=predictions, references=references)
    {'exact_match': 0.5}
    """
    form: Any = answer_words if normalize else str
    items = [
        float(any(form(answer) == form(right) for right in rights))
        for answer, rights in zip(predictions, references, strict=True)
    ]
    return {"exact_match": sum(items) / len(items)} | ({"items": items} if per_item else {})
