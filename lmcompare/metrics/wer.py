"""Word error rate: words substituted, deleted or inserted, over the words of the references."""

from typing import Any

import evaluate
import jiwer

from lmcompare.metrics import _pairs
from lmcompare.metrics._checks import require_answers
from lmcompare.metrics._edits import error_rate

_DESCRIPTION = """\
Word error rate: the least number of words to substitute, delete or insert to make the references of the predictions,
over the words of all references. 0 at best, lower is better, above 1 where much is inserted. Case and punctuation
count. A Chinese text without spaces is one word: use cer for it.
"""
_INPUTS = """
Args:
    predictions: (n,) texts, such as a recogniser's. Words are what white space divides.
    references: (n,) what was said; one text an item.
    per_item: also return each item's errors and words. Default False.
Returns:
    {"wer": float}: sum of errors / sum of words; with per_item also {"items": (n, 2) errors and words of the
    reference}. An empty reference adds its insertions and no word.
Raises:
    InputError: there is no prediction, the lengths differ, an item has several references, or no reference has a word.
Example:
    >>> load("wer").compute(predictions=["hello duck", "so"], references=["hello world", "so be it"], per_item=True)
    {'wer': 0.6, 'items': [[1, 2], [2, 3]]}
"""
_CITATION = """\
Morris, Maier & Green (2004). From WER and RIL to MER and WIL: improved evaluation measures for connected speech
recognition. Interspeech. Computed by jiwer.
"""


class Wer(_pairs.TextMetric):
    """Word error rate (jiwer's ``process_words``)."""

    def _info(self) -> Any:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=_pairs.TEXTS,
            reference_urls=["https://jitsi.github.io/jiwer/"],
        )

    def _compute(
        self, predictions: list[str], references: list[list[str]], per_item: bool = False
    ) -> dict[str, Any]:
        require_answers("wer", predictions)
        # jiwer divides at the space alone: a line break or a tab would join two words.
        said = [" ".join(text.split()) for text in predictions]
        wanted = [" ".join(text.split()) for text in _pairs.only("wer", references)]
        return error_rate("wer", "word", jiwer.process_words(wanted, said), per_item)
