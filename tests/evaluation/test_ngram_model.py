import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcompare.evaluation.ngram_model import TrigramModel


@given(
    stream=st.lists(st.integers(0, 5), min_size=3, max_size=40),
    context=st.lists(st.integers(0, 6), max_size=2),
)
def test_every_conditional_sums_to_one(stream, context):
    model = TrigramModel(np.array(stream), vocab_size=7)
    p = np.exp([model.log_p(np.array([*context, word]))[-1] for word in range(7)])
    assert p.sum() == pytest.approx(1)
    assert (p > 0).all()


def test_by_hand():
    # Trigrams 010, 101, 010: 01|0 twice, 10|1 once; lower orders count contexts: one each.
    model = TrigramModel(np.array([0, 1, 0, 1, 0]), vocab_size=2, discount=0.5)
    one = (1 - 0.5) / 2 + 0.5 * 2 / 2 / 2
    two = (1 - 0.5) / 1 + 0.5 * 1 / 1 * one
    three = (2 - 0.5) / 2 + 0.5 * 1 / 2 * two
    assert np.exp(model.log_p(np.array([0, 1, 0]))).tolist() == pytest.approx([one, two, three])


def test_knows_its_own_text_better():
    rng = np.random.default_rng(0)
    stream = np.cumsum(rng.integers(1, 3, 3000)) % 40
    model = TrigramModel(stream, vocab_size=40)
    assert (
        model.log_p(stream[:500]).mean() > -1.5 > model.log_p(rng.permutation(stream)[:500]).mean()
    )


def test_reads_at_most_so_many_tokens():
    from datasets import Dataset

    rows = Dataset.from_dict({"tokens": [[1, 2, 3, 4], [5, 6, 7, 8], [9, 9, 9, 9]]})
    few = TrigramModel.of_rows(rows, 10, tokens=8)
    assert few.log_p(np.array([9]))[0] == pytest.approx(
        TrigramModel(np.arange(1, 9), 10).log_p(np.array([9]))[0]
    )
