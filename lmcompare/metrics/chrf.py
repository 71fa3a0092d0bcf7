"""chrF or chrF++ of a whole corpus, as sacreBLEU computes it, with its signature."""

from typing import Any

from sacrebleu.metrics.chrf import CHRF

from lmcompare.core.errors import InputError
from lmcompare.metrics._metric import TEXT, TEXTS, metric
from lmcompare.metrics._sacrebleu import CITATION, URL, corpus_score, sentence_scores


@metric(
    predictions=TEXT,
    references=TEXTS,
    citation=f"""\
    Popović (2015). chrF: character n-gram F-score for automatic MT evaluation. WMT.
    Popović (2017). chrF++: words helping character n-grams. WMT.
    {CITATION}
    """,
    url=URL,
)
def chrf(
    predictions: list[str],
    references: list[list[str]],
    word_order: int = 0,
    lowercase: bool = False,
    per_item: bool = False,
) -> dict[str, Any]:
    """chrF: the F-score of character 1- to 6-grams over the corpus, from 0 to 100.

    Recall weighs twice. It needs no tokenizer, so Chinese needs no option. Comparable only where
    the signature is the same.

    Args:
        predictions: (n,) texts.
        references: (n,) the right text, or the list of all right texts; items may differ in how
            many they have.
        word_order: longest word n-gram that counts besides: 0 is chrF, 2 is chrF++.
        lowercase: ignore case.
        per_item: also return "items": (n,) sentence chrF. Their mean is not the chrF of the corpus.

    Returns:
        {"chrf": float, "signature": str}

    >>> chrf().compute(predictions=["今天天气好"], references=["今天天气好"])["chrf"]
    100.0
    """
    if word_order < 0:
        raise InputError(f"word_order: wanted 0 or more, got {word_order}")
    corpus = CHRF(word_order=word_order, lowercase=lowercase)
    scores = corpus_score("chrf", corpus, predictions, references)
    if per_item:
        items = sentence_scores(corpus, predictions, references)
        scores["items"] = [float(item.score) for item in items]
    return scores
