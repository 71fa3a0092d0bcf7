"""Share of the n-grams in generated texts that are distinct."""

from collections.abc import Sequence

from lmcompare.core.errors import InputError
from lmcompare.metrics._metric import TEXT, metric
from lmcompare.metrics._words import ngrams


@metric(
    predictions=TEXT,
    higher_is_better=None,
    citation="""\
    Li, Galley, Brockett, Gao & Dolan (2016). A diversity-promoting objective function for neural
    conversation models. NAACL. arXiv:1510.03055 (which divides by the number of words instead).
    """,
    url="https://arxiv.org/abs/1510.03055",
)
def distinct_n(predictions: list[str], n: int | Sequence[int] = (1, 2)) -> dict[str, float]:
    """Distinct-n: distinct n-grams over all n-grams of the texts together, from 0 to 1.

    Low where texts resemble one another. It falls as texts grow in number and length, so compare
    only equally many texts of about equal length.

    Args:
        predictions: (n,) texts. Words are what white space divides; for other units give them
            divided by spaces.
        n: length of the n-grams, or several lengths.

    Returns:
        {"distinct_1": float, "distinct_2": float}; nan for an n that is longer than every text.

    >>> distinct_n().compute(predictions=["a b a b", "a c"])
    {'distinct_1': 0.5, 'distinct_2': 0.75}
    """
    shares = {}
    for length in [n] if isinstance(n, int) else n:
        if length < 1:
            raise InputError(f"n: wanted 1 or more, got {length}")
        grams = [gram for text in predictions for gram in ngrams(text, length)]
        shares[f"distinct_{length}"] = len(set(grams)) / len(grams) if grams else float("nan")
    return shares
