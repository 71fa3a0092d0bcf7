"""Share of the n-grams of a generated text that repeat an earlier one of the same text."""

from lmcompare.core.errors import InputError
from lmcompare.metrics._metric import TEXT, metric
from lmcompare.metrics._words import ngrams


@metric(
    predictions=TEXT,
    higher_is_better=None,
    citation="""\
    Welleck, Kulikov, Roller, Dinan, Cho & Weston (2020). Neural text generation with unlikelihood
    training. ICLR. arXiv:1908.04319.
    """,
    url="https://arxiv.org/abs/1908.04319",
)
def repetition(predictions: list[str], n: int = 4) -> dict[str, float]:
    """Repetition: the share of n-grams that repeat an earlier one of the same text, from 0 to 1.

    Over all texts together; high where a text turns in circles. For texts of equal length it is the
    mean of seq-rep-n (Welleck et al. 2020).

    Args:
        predictions: (n,) texts. Words are what white space divides; for other units give them
            divided by spaces.
        n: length of the n-grams.

    Returns:
        {"repetition_4": float}; nan if n is longer than every text.

    >>> repetition().compute(predictions=["a b a b a", "c d e"], n=2)
    {'repetition_2': 0.3333333333333333}
    """
    if n < 1:
        raise InputError(f"n: wanted 1 or more, got {n}")
    grams = [ngrams(text, n) for text in predictions]
    total = sum(len(text) for text in grams)
    repeated = total - sum(len(set(text)) for text in grams)
    return {f"repetition_{n}": repeated / total if total else float("nan")}
