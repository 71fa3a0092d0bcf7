"""Word error rate: edits of words over the words of the references."""

from typing import Any

from lmcompare.metrics._edits import CITATION, URL, error_rate
from lmcompare.metrics._metric import TEXT, TEXTS, metric


@metric(predictions=TEXT, references=TEXTS, higher_is_better=False, citation=CITATION, url=URL)
def wer(
    predictions: list[str], references: list[list[str]], per_item: bool = False
) -> dict[str, Any]:
    """Word error rate: edits over the words of the references.

    An edit substitutes, deletes or inserts a word to make the reference of the prediction. 0 at
    best, above 1 where much is inserted. Words are what white space divides; case and punctuation
    count. A Chinese text without spaces is one word: use cer for it. An empty reference adds its
    insertions and no word.

    Args:
        predictions: (n,) texts, such as a speech recognizer's.
        references: (n,) the right text; one an item.
        per_item: also return "items": (n, 2) edits, and words of the reference.

    >>> predictions, references = ["hello duck", "so"], ["hello world", "so be it"]
    >>> wer().compute(predictions=predictions, references=references, per_item=True)
    {'wer': 0.6, 'items': [[1, 2], [2, 3]]}
    """
    return error_rate("wer", "word", str.split, predictions, references, per_item)
