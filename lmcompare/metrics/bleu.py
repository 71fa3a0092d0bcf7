"""BLEU of a whole corpus, as sacreBLEU computes it, with its signature."""

from typing import Any

import evaluate
from sacrebleu.metrics.bleu import BLEU

from lmcompare.core.errors import InputError, nearest
from lmcompare.metrics import _pairs
from lmcompare.metrics._checks import require_answers

_DESCRIPTION = """\
BLEU: the geometric mean of the precisions of 1- to 4-grams over the corpus, lowered where the predictions are shorter
than the references. From 0 to 100, higher is better. Comparable only where the signature is the same.
"""
_INPUTS = """
Args:
    predictions: (n,) texts, not tokenized.
    references: (n,) the right text, or the list of all right texts; items may differ in how many they have.
    tokenize: "13a" (default, WMT's), "intl", "zh" (each Chinese character a word: Chinese needs it, or is one word a
        sentence), "char" or "none".
    lowercase: ignore case. Default False.
    per_item: also return each item's sentence BLEU. Default False.
Returns:
    {"bleu": float, "signature": str}; with per_item also {"items": (n,) sentence BLEU, smoothed and over the orders
    that the sentence has (sacreBLEU's effective order), from 0 to 100}. Their mean is not the BLEU of the corpus.
Raises:
    InputError: there is no prediction, the lengths differ, an item has no reference, or there is no such tokenizer.
Example:
    >>> load("bleu").compute(predictions=["the cat sat on the mat"], references=["the cat sat on a mat"])["bleu"]
    53.7284965911771
"""
_CITATION = """\
Papineni, Roukos, Ward & Zhu (2002). BLEU: a method for automatic evaluation of machine translation. ACL.
Post (2018). A call for clarity in reporting BLEU scores. WMT. arXiv:1804.08771.
"""
_TOKENIZERS = (
    "13a",
    "intl",
    "zh",
    "char",
    "none",
)  # sacreBLEU's others download a model or need another package


class Bleu(_pairs.TextMetric):
    """Corpus BLEU (sacreBLEU's ``BLEU``)."""

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
        tokenize: str = "13a",
        lowercase: bool = False,
        per_item: bool = False,
    ) -> dict[str, Any]:
        require_answers("bleu", predictions)
        if tokenize not in _TOKENIZERS:
            wanted = f"wanted one of {', '.join(_TOKENIZERS)}, got {tokenize!r}"
            raise InputError(f"bleu: tokenize: {wanted}{nearest(tokenize, _TOKENIZERS)}")
        corpus = BLEU(tokenize=tokenize, lowercase=lowercase)
        score = float(corpus.corpus_score(predictions, _pairs.streams(references)).score)
        found = {"bleu": score, "signature": str(corpus.get_signature())}
        if not per_item:
            return found
        sentence = BLEU(tokenize=tokenize, lowercase=lowercase, effective_order=True)
        pairs = zip(predictions, references, strict=True)
        return found | {
            "items": [float(sentence.sentence_score(text, right).score) for text, right in pairs]
        }
