import math

import pytest

from lmcompare.core.errors import InputError
from lmcompare.metrics import load


def test_random_bytes_take_eight_bits():
    text = "naïve 中文"
    size = len(text.encode())
    got = load("bits_per_byte").compute(predictions=[size * math.log(256)], references=[size])
    assert got == {"bits_per_byte": pytest.approx(8, abs=1e-12)}


def test_it_is_a_ratio_of_sums():
    nats = [8 * math.log(2), 24 * math.log(2)]
    got = load("bits_per_byte").compute(predictions=nats, references=[4, 6])
    assert got == {"bits_per_byte": pytest.approx(3.2, abs=1e-12)}


@pytest.mark.parametrize(
    ("nats", "sizes", "message"),
    [
        ([1.0, -2.0], [1, 1], "item 1: wanted nats, finite and not negative, got -2.0"),
        ([float("nan")], [1], "item 0: wanted nats"),
        ([float("inf")], [1], "item 0: wanted nats"),
        ([1.0], [-1], "item 0: wanted bytes"),
        ([0.0], [0], "wanted texts of one byte or more"),
    ],
)
def test_what_cannot_be(nats, sizes, message):
    with pytest.raises(InputError, match=message):
        load("bits_per_byte").compute(predictions=nats, references=sizes)
