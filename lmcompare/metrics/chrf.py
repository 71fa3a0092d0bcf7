"""chrF or chrF++ of a whole corpus, as sacreBLEU computes it, with its signature."""

from typing import Any

import evaluate
from sacrebleu.metrics.chrf import CHRF

from lmcompare.core.errors import InputError
from lmcompare.metrics import _pairs
from lmcompare.metrics._checks import require_answers

_DESCRIPTION = """\
chrF: the F-score (recall weighs twice) of character 1- to 6-grams, over the corpus. From 0 to 100, higher is better. It
asks for no tokenizer, so Chinese needs no option. Comparable only where the signature is the same.
"""
_INPUTS = """
Args:
    predictions: (n,) texts.
    references: (n,) the right text, or the list of all right texts; items may differ in how many they have.
    word_order: longest word n-gram that counts besides: 0 (default) is chrF, 2 is chrF++.
    lowercase: ignore case. Default False.
    per_item: also return each item's sentence chrF. Default False.
Returns:
    {"chrf": float, "signature": str}; with per_item also {"items": (n,) sentence chrF, from 0 to 100}. Their mean
    is not the chrF of the corpus.
Raises:
    InputError: there is no prediction, the lengths differ, an item has no reference, or the order is below 0.
Example:
    >>> load("chrf").compute(predictions=["今天天气好"], references=["今天天气好"])["chrf"]
    100.0
"""
_CITATION = """\
Popović (2015). chrF: character n-gram F-score for automatic MT evaluation. WMT.
Popović (2017). chrF++: words helping character n-grams. WMT. Computed by sacreBLEU (Post 2018, arXiv:1804.08771).
"""


class Chrf(_pairs.TextMetric):
    """Corpus chrF (sacreBLEU's ``CHRF``)."""

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
        word_order: int = 0,
        lowercase: bool = False,
        per_item: bool = False,
    ) -> dict[str, Any]:
        require_answers("chrf", predictions)
        if word_order < 0:
            raise InputError(f"chrf: word_order: wanted 0 or more, got {word_order}")
        corpus = CHRF(word_order=word_order, lowercase=lowercase)
        score = float(corpus.corpus_score(predictions, _pairs.streams(references)).score)
        found = {"chrf": score, "signature": str(corpus.get_signature())}
        if not per_item:
            return found
        pairs = zip(predictions, references, strict=True)
        return found | {
            "items": [float(corpus.sentence_score(text, right).score) for text, right in pairs]
        }
