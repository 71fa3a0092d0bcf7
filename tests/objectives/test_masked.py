import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcompare.errors import InputError
from lmcompare.example import IGNORE
from lmcompare.objectives.masked import Masked

BLOCK = st.lists(st.integers(2, 95), min_size=1, max_size=60).map(np.array)


def test_docstring(special):
    tokens = np.array([35, 36, 37])
    found = [
        Masked(rate=0.3, masked=1.0, random=0.0).learn(tokens, special, np.random.default_rng(i)) for i in range(50)
    ]
    for example in found:
        (place,) = np.flatnonzero(example.targets != IGNORE)
        assert example.inputs[place] == special.mask
        assert example.targets[place] == tokens[place]
    assert len({int(np.flatnonzero(e.targets != IGNORE)[0]) for e in found}) == 3


@given(tokens=BLOCK, seed=st.integers(0, 99), whole_word=st.booleans())
def test_filling_the_masks_restores_the_text(special, tokens, seed, whole_word):
    example = Masked(rate=0.4, whole_word=whole_word).learn(tokens, special, np.random.default_rng(seed))
    assert np.where(example.asked, example.targets, example.inputs).tolist() == tokens.tolist()


@given(tokens=BLOCK, seed=st.integers(0, 99))
def test_special_ids_are_never_asked_for_nor_drawn(special, tokens, seed):
    example = Masked(rate=0.9, masked=0.0, random=1.0).learn(tokens, special, np.random.default_rng(seed))
    ordinary = set(special.ordinary.tolist())
    assert set(example.targets[example.asked].tolist()) <= ordinary
    assert set(example.inputs[example.asked].tolist()) <= ordinary
    if ordinary & set(tokens.tolist()):
        assert example.asked.any()


@pytest.mark.parametrize("whole_word", [False, True])
def test_shares(special, whole_word):
    rng = np.random.default_rng(0)
    rows = [rng.choice(special.ordinary, 128) for _ in range(400)]
    examples = [Masked(rate=0.15, whole_word=whole_word).learn(row, special, rng) for row in rows]
    asked = np.stack([e.asked for e in examples])
    inputs, tokens = np.stack([e.inputs for e in examples]), np.stack(rows)
    # A whole word overshoots by half a word on average.
    assert asked.mean() == pytest.approx(0.15, abs=0.01 if whole_word else 0.001)
    assert (inputs[asked] == special.mask).mean() == pytest.approx(0.8, abs=0.02)
    unchanged = (inputs[asked] == tokens[asked]).mean()
    assert unchanged == pytest.approx(0.1 + 0.1 / 64, abs=0.015)
    assert (inputs[~asked] == tokens[~asked]).all()


def test_whole_words_are_asked_for_whole(special):
    rng = np.random.default_rng(1)
    tokens = rng.choice(special.ordinary, 100)
    word = np.cumsum(special.word_starts[tokens])
    for _ in range(20):
        asked = Masked(rate=0.2, whole_word=True).learn(tokens, special, rng).asked
        for number in set(word.tolist()):
            assert len(set(asked[word == number].tolist())) == 1


def test_chain_masks_what_comes_later(special):
    examples = Masked().score(np.array([35]), np.array([36, 37]), special)
    assert [e.inputs.tolist() for e in examples] == [[35, 4, 4], [35, 36, 4]]
    assert [e.targets.tolist() for e in examples] == [[-100, 36, -100], [-100, -100, 37]]


def test_shares_above_one_are_refused():
    with pytest.raises(InputError, match=r"masked \+ random: wanted a sum of at most 1, got 1.2"):
        Masked(masked=0.8, random=0.4)
