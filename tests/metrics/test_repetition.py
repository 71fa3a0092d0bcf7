import math

import pytest

from lmcompare.core.errors import InputError
from lmcompare.metrics import load


def test_counts_by_hand():
    texts = [
        "a b c d a b c d",
        "a b c d",
    ]  # 4-grams: abcd bcda cdab dabc abcd, and abcd: 6, one repeats
    assert load("repetition").compute(predictions=texts) == {
        "repetition_4": pytest.approx(1 / 6, abs=1e-12)
    }


def test_another_text_is_no_repetition():
    assert load("repetition").compute(predictions=["a b c d"] * 3) == {"repetition_4": 0.0}


def test_turning_in_circles():
    assert load("repetition").compute(predictions=["so " * 103]) == {
        "repetition_4": pytest.approx(0.99, abs=1e-12)
    }


def test_texts_shorter_than_n_have_none():
    assert math.isnan(load("repetition").compute(predictions=["", "a b c"])["repetition_4"])


def test_n_below_one_is_an_error():
    with pytest.raises(InputError, match="repetition: n: wanted 1 or more, got 0"):
        load("repetition").compute(predictions=["a"], n=0)
