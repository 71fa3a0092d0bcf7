"""How much generated texts resemble one another: the BLEU of each beside all others."""

from collections import Counter
from typing import Any

from sacrebleu.metrics.bleu import BLEU

from lmcompare.core.errors import InputError
from lmcompare.metrics._metric import TEXT, metric
from lmcompare.metrics._words import ngrams


@metric(
    predictions=TEXT,
    higher_is_better=None,
    citation="""\
    Zhu, Lu, Zheng, Guo, Zhang, Wang & Yu (2018). Texygen: a benchmarking platform for text
    generation models. SIGIR. arXiv:1802.01886, section 2.2. Computed by sacreBLEU from the counts.
    """,
    url="https://arxiv.org/abs/1802.01886",
)
def self_bleu(predictions: list[str], n: int = 4, per_item: bool = False) -> dict[str, Any]:
    """Self-BLEU: the mean sentence BLEU of a text beside all the others, from 0 to 1.

    High where the texts resemble one another, low where they are diverse, and low for noise too:
    read it beside a measure of quality. It rises with the number of texts, for each has then more
    references: compare only equally many texts. Smoothed as by Zhu et al. (where no n-gram is
    shared, 0.1 of one counts as shared); a text shorter than n counts the n-grams it has; an empty
    text scores 0.

    Args:
        predictions: (n,) texts. Words are what white space divides; for other units give them
            divided by spaces.
        n: longest n-gram that counts.
        per_item: also return "items": (n,) each item's score.

    >>> self_bleu().compute(predictions=["a b c d", "a b c d", "e f g h"], per_item=True)
    {'self_bleu': 0.6666666666666666, 'items': [1.0, 1.0, 0.0]}
    """
    if n < 1:
        raise InputError(f"n: wanted 1 or more, got {n}")
    if len(predictions) < 2:
        raise InputError("wanted two texts or more, got one")
    sizes = [len(text.split()) for text in predictions]
    lengths = Counter(sizes)
    shared = [
        _shared([Counter(ngrams(text, order)) for text in predictions]) for order in range(1, n + 1)
    ]
    items = []
    for item, size in enumerate(sizes):
        score = BLEU.compute_bleu(
            correct=[counts[item] for counts in shared],
            total=[max(size - order, 0) for order in range(n)],
            sys_len=size,
            ref_len=_closest(size, lengths),
            smooth_method="floor",
            effective_order=True,
            max_ngram_order=n,
        ).score
        items.append(min(score / 100, 1.0))  # the geometric mean may round to just above
    return {"self_bleu": sum(items) / len(items)} | ({"items": items} if per_item else {})


def _shared(texts: list[Counter[tuple[str, ...]]]) -> list[int]:
    """Return how many n-grams of each text occur in another text.

    Each counts as often as in the text that has it most often. The two largest counts of an n-gram
    decide that for every text, so the time is linear in the texts.
    """
    largest: dict[tuple[str, ...], tuple[int, int]] = {}
    for text in texts:
        for gram, count in text.items():
            first, second = largest.get(gram, (0, 0))
            largest[gram] = (max(first, count), max(second, min(first, count)))
    return [
        sum(min(count, largest[gram][count == largest[gram][0]]) for gram, count in text.items())
        for text in texts
    ]


def _closest(size: int, lengths: Counter[int]) -> int:
    """Return the length nearest to a text's own among those of the others; of two the shorter."""
    others = (length for length, texts in lengths.items() if length != size or texts > 1)
    return min(others, key=lambda length: (abs(length - size), length))
