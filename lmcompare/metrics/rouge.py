"""ROUGE-1, ROUGE-2 and ROUGE-L: words, pairs of words and the longest common subsequence of two texts."""

from typing import Any

import evaluate
from rouge_score import rouge_scorer

from lmcompare.core.errors import InputError, nearest
from lmcompare.metrics import _pairs
from lmcompare.metrics._checks import require_answers
from lmcompare.metrics._words import words

_DESCRIPTION = """\
ROUGE: F1 of the words (rouge1), the pairs of adjacent words (rouge2) and the longest common subsequence of words
(rougeL) that a text shares with the right one; of several right texts the one that gives the most counts; the mean over
items. From 0 to 1, higher is better.
"""
_INPUTS = """
Args:
    predictions: (n,) texts.
    references: (n,) the right text, or the list of all right texts.
    tokenizer: "latin" (default; rouge-score's own: runs of a-z and 0-9, all else divides) or "any" (words of any
        script, each Chinese character a word; on ASCII the same as "latin").
    stem: let Porter's stemmer take the endings off; "latin" only. Default False.
    per_item: also return each item's scores. Default False.
Returns:
    {"rouge1": float, "rouge2": float, "rougeL": float}; with per_item also {"items": (n, 3) in this order}
Raises:
    InputError: there is no prediction, the lengths differ, an item has no reference, there is no such tokenizer, or
        "latin" drops more than half of the words of a reference: Chinese would score 0.
Example:
    >>> load("rouge").compute(predictions=["the cat sat on a mat"], references=["the cat sat on the mat"])
    {'rouge1': 0.8333333333333334, 'rouge2': 0.6, 'rougeL': 0.8333333333333334}
"""
_CITATION = """\
Lin (2004). ROUGE: a package for automatic evaluation of summaries. Text Summarization Branches Out. Computed by
rouge-score, Google's reimplementation.
"""
_TYPES = ("rouge1", "rouge2", "rougeL")
_TOKENIZERS = ("any", "latin")


class _AnyScript:
    """A tokenizer in rouge-score's shape."""

    def tokenize(self, text: str) -> list[str]:
        """Return the words of a text in any script."""
        return words(text)


class Rouge(_pairs.TextMetric):
    """Mean ROUGE F1 (rouge-score's ``RougeScorer``)."""

    def _info(self) -> Any:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=_pairs.TEXTS,
            reference_urls=[
                "https://aclanthology.org/W04-1013",
                "https://pypi.org/project/rouge-score",
            ],
        )

    def _compute(
        self,
        predictions: list[str],
        references: list[list[str]],
        tokenizer: str = "latin",
        stem: bool = False,
        per_item: bool = False,
    ) -> dict[str, Any]:
        require_answers("rouge", predictions)
        if tokenizer not in _TOKENIZERS:
            wanted = f"wanted one of {', '.join(_TOKENIZERS)}, got {tokenizer!r}"
            raise InputError(f"rouge: tokenizer: {wanted}{nearest(tokenizer, _TOKENIZERS)}")
        if stem and tokenizer != "latin":
            raise InputError(
                f"rouge: stem: wanted tokenizer 'latin', whose words it knows, got {tokenizer!r}"
            )
        if tokenizer == "latin":
            _require_latin(references)
        scorer = rouge_scorer.RougeScorer(
            _TYPES, use_stemmer=stem, tokenizer=_AnyScript() if tokenizer == "any" else None
        )
        items = []
        for text, right in zip(predictions, references, strict=True):
            best = scorer.score_multi(right, text)
            items.append([float(best[kind].fmeasure) for kind in _TYPES])
        means = [sum(column) / len(items) for column in zip(*items, strict=True)]
        return dict(zip(_TYPES, means, strict=True)) | ({"items": items} if per_item else {})


def _require_latin(references: list[list[str]]) -> None:
    for item, texts in enumerate(references):
        for text in texts:
            all_words = words(text)
            if 2 * sum(not word.isascii() for word in all_words) > len(all_words):
                got = f"{text[:20]!r}, of which tokenizer 'latin' drops more than half"
                raise InputError(
                    f"rouge: item {item}: wanted a reference in Latin letters, got {got}; give 'any'"
                )
