import jiwer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmcompare.metrics import load

LINES = st.lists(st.sampled_from("a b c d".split()), max_size=6).map(" ".join)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(LINES, LINES), min_size=1, max_size=5).filter(
        lambda pairs: any(ref for _, ref in pairs)
    )
)
def test_it_equals_the_library(pairs):
    predictions, references = (list(column) for column in zip(*pairs, strict=True))
    got = load("wer").compute(predictions=predictions, references=references, per_item=True)
    assert got["wer"] == pytest.approx(jiwer.wer(references, predictions), abs=1e-9)
    for (text, reference), (errors, words) in zip(pairs, got["items"], strict=True):
        one = jiwer.process_words([reference], [text])
        assert errors == one.substitutions + one.deletions + one.insertions
        assert words == len(reference.split())


def test_it_is_a_ratio_of_sums_and_an_empty_reference_stays_in():
    got = load("wer").compute(predictions=["x y", "a b"], references=["", "a b c"], per_item=True)
    assert got == {"wer": 1.0, "items": [[2, 0], [1, 3]]}


def test_more_than_there_was_to_say():
    assert load("wer").compute(predictions=["a b c"], references=["a"]) == {"wer": 2.0}


def test_tabs_and_line_breaks_divide_words():
    assert load("wer").compute(predictions=["a\tb\r\nc"], references=["a b c"]) == {"wer": 0.0}


def test_chinese_without_spaces_is_one_word():
    assert load("wer").compute(predictions=["今天天汽好"], references=["今天天气好"]) == {
        "wer": 1.0
    }
