"""BLEU of a whole corpus, as sacreBLEU computes it, with its signature."""

from typing import Any

from sacrebleu.metrics.bleu import BLEU

from lmcompare.core.errors import InputError, nearest
from lmcompare.metrics._metric import TEXT, TEXTS, metric
from lmcompare.metrics._sacrebleu import CITATION, URL, corpus_score, sentence_scores

_TOKENIZERS = ("13a", "intl", "zh", "char", "none")  # others download a model or need a package


@metric(
    predictions=TEXT,
    references=TEXTS,
    citation=f"""\
    Papineni, Roukos, Ward & Zhu (2002). BLEU: a method for automatic evaluation of machine
    translation. ACL. {CITATION}
    """,
    url=URL,
)
def bleu(
    predictions: list[str],
    references: list[list[str]],
    tokenize: str = "13a",
    lowercase: bool = False,
    per_item: bool = False,
) -> dict[str, Any]:
    """BLEU: the geometric mean of the precisions of 1- to 4-grams over the corpus, from 0 to 100.

    Lowered where the predictions are shorter than the references. Comparable only where the
    signature is the same.

    Args:
        predictions: (n,) texts, not tokenized.
        references: (n,) the right text, or the list of all right texts; items may differ in how
            many they have.
        tokenize: "13a" (WMT's), "intl", "zh" (each Chinese character a word: without it a Chinese
            sentence is one word), "char" or "none".
        lowercase: ignore case.
        per_item: also return "items": (n,) sentence BLEU, smoothed and over the orders that the
            sentence has (sacreBLEU's effective order). Their mean is not the BLEU of the corpus.

    Returns:
        {"bleu": float, "signature": str}

    >>> predictions, references = ["the cat sat on the mat"], ["the cat sat on a mat"]
    >>> bleu().compute(predictions=predictions, references=references)["bleu"]
    53.7284965911771
    """
    if tokenize not in _TOKENIZERS:
        wanted = f"wanted one of {', '.join(_TOKENIZERS)}, got {tokenize!r}"
        raise InputError(f"tokenize: {wanted}{nearest(tokenize, _TOKENIZERS)}")
    corpus = BLEU(tokenize=tokenize, lowercase=lowercase)
    scores = corpus_score("bleu", corpus, predictions, references)
    if per_item:
        sentence = BLEU(tokenize=tokenize, lowercase=lowercase, effective_order=True)
        items = sentence_scores(sentence, predictions, references)
        scores["items"] = [float(item.score) for item in items]
    return scores
