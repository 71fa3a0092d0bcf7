import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from sacrebleu.metrics import BLEU

from lmcompare.core.errors import InputError
from lmcompare.metrics import load

TEXTS = st.lists(
    st.lists(st.sampled_from("a b c".split()), max_size=9).map(" ".join), min_size=2, max_size=5
)


@pytest.mark.parametrize("n", [1, 4])
@settings(deadline=None, max_examples=50)
@given(texts=TEXTS)
def test_it_equals_the_library_text_by_text(n, texts):
    got = load("self_bleu").compute(predictions=texts, n=n, per_item=True)
    bleu = BLEU(tokenize="none", smooth_method="floor", effective_order=True, max_ngram_order=n)
    others = [texts[:i] + texts[i + 1 :] for i in range(len(texts))]
    theirs = [
        bleu.sentence_score(text, rest).score / 100
        for text, rest in zip(texts, others, strict=True)
    ]
    assert got["items"] == pytest.approx(theirs, abs=1e-9)
    assert got["self_bleu"] == pytest.approx(sum(theirs) / len(theirs), abs=1e-9)


def test_it_equals_texygens():
    # Its utils/metrics/SelfBleu.py: nltk's sentence_bleu with equal weights and method1.
    texts = [
        "the cat sat on the mat",
        "the cat lay on a mat today",
        "a dog sat on the log",
        "ten birds flew over hills",
    ]
    rows = [text.split() for text in texts]
    theirs = [
        sentence_bleu(rows[:i] + rows[i + 1 :], rows[i], (1 / 3,) * 3, SmoothingFunction().method1)
        for i in range(len(rows))
    ]
    got = load("self_bleu").compute(predictions=texts, n=3, per_item=True)
    assert got["items"] == pytest.approx(theirs, abs=1e-6)
    assert got["self_bleu"] == pytest.approx(sum(theirs) / 4, abs=1e-6)


def test_equal_texts_score_one_and_texts_that_share_nothing_zero():
    metric = load("self_bleu")
    assert metric.compute(predictions=["a b c d e"] * 3) == {"self_bleu": 1.0}
    assert metric.compute(predictions=["yes", "yes"]) == {"self_bleu": 1.0}
    assert metric.compute(predictions=["a b c d", "e f g h", ""]) == {"self_bleu": 0.0}


def test_it_rises_with_the_number_of_texts():
    texts = [
        " ".join(row) for row in np.random.default_rng(0).choice(list("abcdefgh"), size=(100, 12))
    ]
    few, many = (
        load("self_bleu").compute(predictions=texts[:size])["self_bleu"] for size in (5, 100)
    )
    assert few + 0.1 < many


def test_chinese_is_divided_by_the_caller():
    texts = ["今天天气好", "今天天气坏"]
    assert load("self_bleu").compute(predictions=texts) == {"self_bleu": 0.0}
    assert (
        load("self_bleu").compute(predictions=[" ".join(text) for text in texts])["self_bleu"] > 0.5
    )


def test_what_cannot_be():
    with pytest.raises(InputError, match="self_bleu: wanted two texts or more, got one"):
        load("self_bleu").compute(predictions=["a"])
    with pytest.raises(InputError, match="self_bleu: n: wanted 1 or more, got 0"):
        load("self_bleu").compute(predictions=["a", "b"], n=0)
