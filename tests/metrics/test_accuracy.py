import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmcompare.metrics import load


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1))
def test_it_is_the_share_of_equal_pairs(pairs):
    predictions, references = zip(*pairs, strict=True)
    got = load("accuracy").compute(predictions=list(predictions), references=list(references))
    assert got["accuracy"] == pytest.approx(sum(a == b for a, b in pairs) / len(pairs), abs=1e-12)


def test_a_single_class():
    assert load("accuracy").compute(predictions=[1, 1], references=[1, 1]) == {"accuracy": 1.0}
