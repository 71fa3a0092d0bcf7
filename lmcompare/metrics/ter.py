"""Translation edit rate of a whole corpus, as sacreBLEU computes it, with its signature."""

from typing import Any

from sacrebleu.metrics.ter import TER

from lmcompare.metrics._metric import TEXT, TEXTS, metric
from lmcompare.metrics._sacrebleu import CITATION, URL, corpus_score, sentence_scores


@metric(
    predictions=TEXT,
    references=TEXTS,
    higher_is_better=False,
    citation=f"""\
    Snover, Dorr, Schwartz, Micciulla & Makhoul (2006). A study of translation edit rate with
    targeted human annotation. AMTA. {CITATION}
    """,
    url=URL,
)
def ter(
    predictions: list[str],
    references: list[list[str]],
    chinese: bool = False,
    case_sensitive: bool = False,
    per_item: bool = False,
) -> dict[str, Any]:
    """Translation edit rate: edits over the words of the references, in hundreds.

    An edit substitutes, deletes or inserts a word, or moves a phrase. 0 at best, above 100 where
    much is inserted. Where no reference has a word: 0 if nothing was predicted, else 100.
    Comparable only where the signature is the same.

    Args:
        predictions: (n,) texts.
        references: (n,) the right text, or the list of all right texts: the fewest edits over the
            mean length count.
        chinese: divide Chinese characters, and punctuation, into words (sacreBLEU's normalized and
            asian_support); without it words are what white space divides, and a Chinese sentence is
            one word.
        case_sensitive: whether case counts.
        per_item: also return "items": (n, 2) edits, and mean words of the references.

    Returns:
        {"ter": float, "signature": str}

    >>> predictions, references = ["on the mat sat the cat"], ["the cat sat on the mat"]
    >>> ter().compute(predictions=predictions, references=references)["ter"]
    33.33333333333333
    """
    corpus = TER(normalized=chinese, asian_support=chinese, case_sensitive=case_sensitive)
    scores = corpus_score("ter", corpus, predictions, references)
    if per_item:
        items = sentence_scores(corpus, predictions, references)
        scores["items"] = [[item.num_edits, float(item.ref_length)] for item in items]
    return scores
