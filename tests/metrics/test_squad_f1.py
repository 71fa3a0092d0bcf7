from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmcompare.metrics import load

ANSWERS = st.text(alphabet="ab the.", max_size=12)


def official(prediction, gold):
    """SQuAD 2.0's evaluate-v2.0.py, ``compute_f1``, where only case and articles differ."""
    pred_toks, gold_toks = (
        [word for word in text.replace(".", "").split() if word not in {"a", "the"}]
        for text in (prediction, gold)
    )
    num_same = sum((Counter(gold_toks) & Counter(pred_toks)).values())
    if len(gold_toks) == 0 or len(pred_toks) == 0:
        return int(gold_toks == pred_toks)
    if num_same == 0:
        return 0
    precision = num_same / len(pred_toks)
    recall = num_same / len(gold_toks)
    return (2 * precision * recall) / (precision + recall)


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.tuples(ANSWERS, st.lists(ANSWERS, min_size=1, max_size=3)), min_size=1, max_size=4)
)
def test_it_equals_squads_script(pairs):
    predictions, references = (list(column) for column in zip(*pairs, strict=True))
    got = load("squad_f1").compute(predictions=predictions, references=references, per_item=True)
    expected = [max(official(text, right) for right in rights) for text, rights in pairs]
    assert got["items"] == pytest.approx(expected, abs=1e-9)
    assert got["squad_f1"] == pytest.approx(sum(expected) / len(expected), abs=1e-9)


def test_chinese_characters_are_words():
    # 中国北京 beside 北京市: two of four, two of three.
    got = load("squad_f1").compute(predictions=["中国北京"], references=["北京市"])
    assert got == {"squad_f1": pytest.approx(4 / 7, abs=1e-12)}


def test_no_answer_is_right_where_there_is_none():
    got = load("squad_f1").compute(
        predictions=["", "Oslo", "the"], references=[[""], [""], ["Oslo"]], per_item=True
    )
    assert got["items"] == [1.0, 0.0, 0.0]
