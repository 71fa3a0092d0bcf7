import jiwer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmcompare.metrics import load

LINES = st.text(alphabet="ab 今天", max_size=8)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(LINES, LINES), min_size=1, max_size=5).filter(
        lambda pairs: any(b.strip() for _, b in pairs)
    )
)
def test_it_equals_the_library(pairs):
    predictions, references = (list(column) for column in zip(*pairs, strict=True))
    got = load("cer").compute(predictions=predictions, references=references, per_item=True)
    assert got["cer"] == pytest.approx(jiwer.cer(references, predictions), abs=1e-9)
    assert [size for _, size in got["items"]] == [
        len(reference.strip()) for reference in references
    ]
    assert (
        sum(errors for errors, _ in got["items"]) / sum(size for _, size in got["items"])
        == got["cer"]
    )


def test_chinese_without_spaces():
    assert load("cer").compute(predictions=["今天天汽好"], references=["今天天气好"]) == {
        "cer": 0.2
    }
