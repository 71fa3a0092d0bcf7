import math

import pytest

from lmcompare.core.errors import InputError
from lmcompare.metrics import load


def test_counts_by_hand():
    texts = ["the cat sat on the mat", "the cat"]  # 8 words, 5 distinct; 6 pairs, 5 distinct
    assert load("distinct_n").compute(predictions=texts) == pytest.approx(
        {"distinct_1": 5 / 8, "distinct_2": 5 / 6}
    )


def test_no_ngram_spans_two_texts():
    assert load("distinct_n").compute(predictions=["a b", "a b"], n=2) == {"distinct_2": 0.5}


def test_texts_shorter_than_n_have_none():
    got = load("distinct_n").compute(predictions=["", "word"])
    assert got["distinct_1"] == 1.0
    assert math.isnan(got["distinct_2"])


def test_n_below_one_is_an_error():
    with pytest.raises(InputError, match="distinct_n: n: wanted 1 or more, got 0"):
        load("distinct_n").compute(predictions=["a"], n=0)
