import numpy as np

from lmcompare.core.errors import nearest, not_whole


def test_a_numpy_integer_is_an_integer():
    assert not_whole("beams", np.int64(4), 1) == []


def test_what_is_no_name_is_near_to_none():
    assert nearest(None, ["rate"]) == "; known: rate"
