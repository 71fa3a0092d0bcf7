"""Character error rate: characters substituted, deleted or inserted, over the characters of the references."""

from typing import Any

import evaluate
import jiwer

from lmcompare.metrics import _pairs
from lmcompare.metrics._checks import require_answers
from lmcompare.metrics._edits import error_rate

_DESCRIPTION = """\
Character error rate: the least number of characters to substitute, delete or insert to make the references of the
predictions, over the characters of all references. 0 at best, lower is better, above 1 where much is inserted. The
usual rate for Chinese. Case, punctuation and white space within a text count; white space at its ends does not.
"""
_INPUTS = """
Args:
    predictions: (n,) texts, such as a recogniser's.
    references: (n,) what was said; one text an item.
    per_item: also return each item's errors and characters. Default False.
Returns:
    {"cer": float}: sum of errors / sum of characters (Unicode code points); with per_item also {"items": (n, 2) errors
    and characters of the reference}. An empty reference adds its insertions and no character.
Raises:
    InputError: there is no prediction, the lengths differ, an item has several references, or all references are empty.
Example:
    >>> load("cer").compute(predictions=["今天天汽好", "ab"], references=["今天天气很好", "ab"], per_item=True)
    {'cer': 0.25, 'items': [[2, 6], [0, 2]]}
"""
_CITATION = """\
Morris, Maier & Green (2004). From WER and RIL to MER and WIL: improved evaluation measures for connected speech
recognition. Interspeech. Computed by jiwer.
"""


class Cer(_pairs.TextMetric):
    """Character error rate (jiwer's ``process_characters``)."""

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
        require_answers("cer", predictions)
        aligned = jiwer.process_characters(_pairs.only("cer", references), predictions)
        return error_rate("cer", "character", aligned, per_item)
