import numpy as np

from lmcompare.core.errors import nearest, not_whole


def test_docstrings():
    assert nearest("rte", ["rate", "mean_span"]) == "; did you mean 'rate'?"
    assert nearest("zzz", ["rate", "mean_span"]) == "; known: mean_span, rate"
    assert not_whole("beams", 0, 1) == ["beams: wanted at least 1, got 0"]
    assert not_whole("beams", 1.5, 1) == ["beams: wanted an integer, at least 1, got 1.5"]
    assert not_whole("beams", 4, 1) == not_whole("beams", np.int64(4), 1) == []


def test_what_is_no_name_is_near_to_none():
    assert nearest(None, ["rate"]) == "; known: rate"
