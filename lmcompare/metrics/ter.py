"""Translation edit rate of a whole corpus, as sacreBLEU computes it, with its signature."""

from typing import Any

import evaluate
from sacrebleu.metrics.ter import TER

from lmcompare.metrics import _pairs
from lmcompare.metrics._checks import require_answers

_DESCRIPTION = """\
Translation edit rate: the least number of words to substitute, delete, insert, or of phrases to move, to make a
reference of the prediction, over the words of the references, in hundreds. 0 at best, lower is better, above 100 where
much is to be done. Comparable only where the signature is the same.
"""
_INPUTS = """
Args:
    predictions: (n,) texts.
    references: (n,) the right text, or the list of all right texts: the fewest edits over the mean length count.
    chinese: divide Chinese characters, and punctuation, into words (sacreBLEU's normalized and asian_support). Default
        False: words are what white space divides, and a Chinese sentence is one word.
    case_sensitive: default False.
    per_item: also return each item's edits and length. Default False.
Returns:
    {"ter": float, "signature": str}; with per_item also {"items": (n, 2) edits, and mean words of the references}.
    100 x sum of edits / sum of words. Where no reference has a word: 0 if nothing was predicted, else 100.
Raises:
    InputError: there is no prediction, the lengths differ, or an item has no reference.
Example:
    >>> load("ter").compute(predictions=["on the mat sat the cat"], references=["the cat sat on the mat"])["ter"]
    33.33333333333333
"""
_CITATION = """\
Snover, Dorr, Schwartz, Micciulla & Makhoul (2006). A study of translation edit rate with targeted human annotation.
AMTA. Computed by sacreBLEU (Post 2018, arXiv:1804.08771).
"""


class Ter(_pairs.TextMetric):
    """Corpus TER (sacreBLEU's ``TER``)."""

    def _info(self) -> Any:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=_pairs.TEXTS,
            reference_urls=["https://github.com/mjpost/sacrebleu"],
        )

    def _compute(
        self,
        predictions: list[str],
        references: list[list[str]],
        chinese: bool = False,
        case_sensitive: bool = False,
        per_item: bool = False,
    ) -> dict[str, Any]:
        require_answers("ter", predictions)
        corpus = TER(normalized=chinese, asian_support=chinese, case_sensitive=case_sensitive)
        score = float(corpus.corpus_score(predictions, _pairs.streams(references)).score)
        found = {"ter": score, "signature": str(corpus.get_signature())}
        if not per_item:
            return found
        each = (
            corpus.sentence_score(text, right)
            for text, right in zip(predictions, references, strict=True)
        )
        return found | {"items": [[one.num_edits, float(one.ref_length)] for one in each]}
