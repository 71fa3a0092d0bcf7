"""Scores of a whole corpus by sacreBLEU, with their signature."""

from collections.abc import Sequence
from typing import Any

URL = "https://github.com/mjpost/sacrebleu"
CITATION = "Computed by sacreBLEU (Post 2018, arXiv:1804.08771)."


def streams(references: Sequence[Sequence[str]]) -> list[Any]:
    """Return the first reference of every item, then the second of every item, ...

    That is sacreBLEU's shape; where an item has no further reference, None stands.

    >>> streams([["a"], ["b", "c"]])
    [['a', 'b'], [None, 'c']]
    """
    most = max(map(len, references))
    return [[texts[i] if i < len(texts) else None for texts in references] for i in range(most)]


def corpus_score(
    name: str, scorer: Any, predictions: Sequence[str], references: Sequence[Sequence[str]]
) -> dict[str, Any]:
    """Return {name: score, "signature": what it depends on} of one of sacreBLEU's scorers."""
    score = float(scorer.corpus_score(predictions, streams(references)).score)
    return {name: score, "signature": str(scorer.get_signature())}


def sentence_scores(
    scorer: Any, predictions: Sequence[str], references: Sequence[Sequence[str]]
) -> list[Any]:
    """Return sacreBLEU's score of each item."""
    pairs = zip(predictions, references, strict=True)
    return [scorer.sentence_score(text, right) for text, right in pairs]
