"""Character error rate: edits of characters over the characters of the references."""

from typing import Any

from lmcompare.metrics._edits import CITATION, URL, error_rate
from lmcompare.metrics._metric import TEXT, TEXTS, metric


@metric(predictions=TEXT, references=TEXTS, higher_is_better=False, citation=CITATION, url=URL)
def cer(
    predictions: list[str], references: list[list[str]], per_item: bool = False
) -> dict[str, Any]:
    """Character error rate: edits over the characters of the references.

    An edit substitutes, deletes or inserts a character to make the reference of the prediction. 0
    at best, above 1 where much is inserted. The usual rate for Chinese. Case, punctuation and white
    space within a text count; white space at its ends does not. An empty reference adds its
    insertions and no character.

    Args:
        predictions: (n,) texts, such as a speech recognizer's.
        references: (n,) the right text; one an item.
        per_item: also return "items": (n, 2) edits, and characters (Unicode code points) of the
            reference.

    >>> predictions, references = ["今天天汽好", "ab"], ["今天天气很好", "ab"]
    >>> cer().compute(predictions=predictions, references=references, per_item=True)
    {'cer': 0.25, 'items': [[2, 6], [0, 2]]}
    """
    return error_rate("cer", "character", str.strip, predictions, references, per_item)
