import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcompare.core.errors import InputError
from lmcompare.core.example import IGNORE
from lmcompare.objectives.masked import Masked

BLOCK = st.lists(st.integers(2, 95), min_size=1, max_size=60).map(np.array)


def test_one_of_three_tokens_is_masked_and_each_may_be(special):
    tokens = np.array([35, 36, 37])
    found = [
        Masked(mask_rate=0.3, mask_token_share=1.0, random_token_share=0.0).training_example(
            tokens, special, np.random.default_rng(i)
        )
        for i in range(50)
    ]
    for example in found:
        (place,) = np.flatnonzero(example.targets != IGNORE)
        assert example.inputs[place] == special.mask
        assert example.targets[place] == tokens[place]
    assert len({int(np.flatnonzero(e.targets != IGNORE)[0]) for e in found}) == 3


@given(tokens=BLOCK, seed=st.integers(0, 99), whole_word=st.booleans())
def test_filling_the_masks_restores_the_text(special, tokens, seed, whole_word):
    example = Masked(mask_rate=0.4, whole_word=whole_word).training_example(
        tokens, special, np.random.default_rng(seed)
    )
    assert np.where(example.has_target, example.targets, example.inputs).tolist() == tokens.tolist()


@given(tokens=BLOCK, seed=st.integers(0, 99))
def test_special_ids_are_never_asked_for_nor_drawn(special, tokens, seed):
    example = Masked(mask_rate=0.9, mask_token_share=0.0, random_token_share=1.0).training_example(
        tokens, special, np.random.default_rng(seed)
    )
    ordinary = set(special.ordinary.tolist())
    assert set(example.targets[example.has_target].tolist()) <= ordinary
    assert set(example.inputs[example.has_target].tolist()) <= ordinary
    if ordinary & set(tokens.tolist()):
        assert example.has_target.any()


@pytest.mark.parametrize("whole_word", [False, True])
def test_shares(special, whole_word):
    rng = np.random.default_rng(0)
    rows = [rng.choice(special.ordinary, 128) for _ in range(400)]
    examples = [
        Masked(mask_rate=0.15, whole_word=whole_word).training_example(row, special, rng)
        for row in rows
    ]
    asked = np.stack([e.has_target for e in examples])
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
        asked = (
            Masked(mask_rate=0.2, whole_word=True).training_example(tokens, special, rng).has_target
        )
        for number in set(word.tolist()):
            assert len(set(asked[word == number].tolist())) == 1


def test_chain_masks_what_comes_later(special):
    examples = Masked().scoring_examples(np.array([35]), np.array([36, 37]), special)
    assert [e.inputs.tolist() for e in examples] == [[35, 4, 4], [35, 36, 4]]
    assert [e.targets.tolist() for e in examples] == [[-100, 36, -100], [-100, -100, 37]]


def test_shares_above_one_are_refused():
    with pytest.raises(
        InputError,
        match=r"mask_token_share \+ random_token_share: wanted a sum of at most 1, got 1.2",
    ):
        Masked(mask_token_share=0.8, random_token_share=0.4)


# mask_rate: uniform


@given(tokens=BLOCK, seed=st.integers(0, 99))
def test_weights_of_a_block_add_up_to_its_tokens(special, tokens, seed):
    example = Masked(mask_rate="uniform").training_example(
        tokens, special, np.random.default_rng(seed)
    )
    asked = example.has_target
    assert np.where(asked, example.targets, example.inputs).tolist() == tokens.tolist()
    assert (example.inputs[asked] == special.mask).all()
    assert (example.weights[~asked] == 0).all()
    text = int((~special.is_special(tokens)).sum())
    assert example.weights.sum() == pytest.approx(text)
    assert np.unique(example.weights[asked]).tolist() == ([text / asked.sum()] if text else [])


def test_every_number_of_masks_is_equally_likely(special):
    rng = np.random.default_rng(0)
    counts = [
        Masked("uniform").training_example(np.arange(40, 50), special, rng).has_target.sum()
        for _ in range(5000)
    ]
    share = np.bincount(counts, minlength=11) / 5000
    assert share[0] == 0 and share[1:] == pytest.approx(np.full(10, 0.1), abs=0.02)


def test_weighted_loss_is_the_mean_over_all_orders(special):
    """With an arbitrary log p(token | mask), the mean over masks equals the mean over orders."""
    from itertools import combinations, permutations

    tokens, rng = np.array([40, 41, 42]), np.random.default_rng(0)
    nats = {(i, m): rng.random() for k in (1, 2, 3) for m in combinations(range(3), k) for i in m}
    orders = [
        sum(nats[o[t], tuple(sorted(o[t:]))] for t in range(3)) for o in permutations(range(3))
    ]
    examples = [Masked("uniform").training_example(tokens, special, rng) for _ in range(8000)]
    sums = []
    for example in examples:
        masked = tuple(np.flatnonzero(example.has_target).tolist())
        sums.append(sum(example.weights[i] * nats[i, masked] for i in masked))
    assert np.mean(sums) == pytest.approx(np.mean(orders), abs=0.04)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"mask_token_share": 0.8}, "mask_token_share: wanted 1, and random_token_share: 0"),
        ({"random_token_share": 0.1}, "mask_token_share: wanted 1, and random_token_share: 0"),
    ]
    + [({"whole_word": True}, "whole_word: wanted false where mask_rate is uniform")],
)
def test_what_would_not_be_a_bound_is_refused(fields, said):
    with pytest.raises(InputError, match=said):
        Masked("uniform", **fields)


# shifted


@given(tokens=BLOCK, seed=st.integers(0, 99))
def test_shifted_asks_one_place_to_the_left(special, tokens, seed):
    plain = Masked(0.4).training_example(tokens, special, np.random.default_rng(seed))
    shifted = Masked(0.4, shifted=True).training_example(
        tokens, special, np.random.default_rng(seed)
    )
    assert shifted.targets.tolist() == plain.targets.tolist()
    assert shifted.inputs.tolist() == [special.bos, *plain.inputs[:-1].tolist()]


def test_shifted_scores_reads_and_does_not_decode(special):
    shifted = Masked(shifted=True)
    examples = shifted.scoring_examples(np.array([35]), np.array([36, 37]), special)
    assert [e.inputs.tolist() for e in examples] == [[1, 35, 4], [1, 35, 36]]
    assert [e.targets.tolist() for e in examples] == [[-100, 36, -100], [-100, -100, 37]]
    assert shifted.encoding_example(np.array([35]), special).inputs.tolist() == [1, 35, 2]
    with pytest.raises(InputError, match="shifted: wanted false to generate by unmasking"):
        shifted.generation_prompt(np.array([35]), 2, special)
