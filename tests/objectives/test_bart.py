import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcompare.core.errors import InputError
from lmcompare.objectives.bart import Bart, shuffle_sentences

BLOCK = st.lists(st.sampled_from([2, 50, 51, *range(32, 96)]), min_size=1, max_size=60).map(
    np.array
)


@pytest.fixture(scope="module")
def stops(special):
    """50 and 51 end a sentence."""
    ends = np.zeros(96, dtype=bool)
    ends[[50, 51]] = True
    return replace(special, sentence_ends=ends)


def test_sentences_are_shuffled_within_their_document(stops):
    tokens = np.array([5, 6, 50, 7, 50, 2, 8, 50, 9])
    found = {
        tuple(shuffle_sentences(tokens, stops, np.random.default_rng(i)).tolist())
        for i in range(60)
    }
    assert (7, 50, 5, 6, 50, 2, 9, 8, 50) in found
    assert len(found) == 4
    assert shuffle_sentences(np.array([2, 5, 2]), stops, np.random.default_rng(0)).tolist() == [
        2,
        5,
        2,
    ]


@given(
    tokens=BLOCK, seed=st.integers(0, 99), rate=st.floats(0.05, 0.95), mean_span=st.floats(0.5, 6)
)
def test_filling_the_holes_restores_the_text(special, tokens, seed, rate, mean_span):
    """Masks that stand for any number of tokens make the corrupted text match the text."""
    example = Bart(rate, mean_span, permute_sentences=False).training_example(
        tokens, special, np.random.default_rng(seed)
    )
    assert example.targets.tolist() == tokens.tolist()
    assert example.decoder_inputs.tolist() == [special.bos, *tokens[:-1].tolist()]
    pattern = "".join("(.*?)" if t == special.mask else re.escape(chr(t)) for t in example.inputs)
    assert re.fullmatch(pattern, "".join(map(chr, tokens)), re.DOTALL)
    masks = example.inputs == special.mask
    assert not (masks[1:] & masks[:-1]).any(), "two masks never touch"
    assert (example.inputs == special.eos).sum() == (tokens == special.eos).sum(), (
        "eos is never masked"
    )
    assert set(example.inputs[~masks].tolist()) <= set(tokens.tolist())


@given(tokens=BLOCK, seed=st.integers(0, 99))
def test_sentences_change_places_within_their_document(stops, tokens, seed):
    shuffled = shuffle_sentences(tokens, stops, np.random.default_rng(seed))
    before_and_after = ["".join(map(chr, ids)).split("\2") for ids in (tokens, shuffled)]
    for before, after in zip(*before_and_after, strict=True):
        assert sorted(before) == sorted(after)
        for sentence in re.findall(
            "[^23]*[23]|[^23]+$", before
        ):  # 50 and 51 are the characters 2 and 3
            assert sentence in after


def test_shares(special):
    rng = np.random.default_rng(0)
    examples = [
        Bart(permute_sentences=False).training_example(
            rng.choice(special.ordinary, 128), special, rng
        )
        for _ in range(400)
    ]
    masks = np.array([(e.inputs == special.mask).sum() for e in examples])
    gone = np.array([128 - (e.inputs != special.mask).sum() for e in examples])
    assert gone.mean() / 128 == pytest.approx(0.3, abs=0.002)
    assert gone.sum() / masks.sum() == pytest.approx(3, abs=0.2), (
        "Poisson(3), the last span of a block cut short"
    )
    assert any(len(e.inputs) == 128 - g + m for e, g, m in zip(examples, gone, masks, strict=True))
    assert (Bart().role, Bart().family, Bart().exactness) == (
        "encoder-decoder",
        "denoising",
        "exact",
    )


def test_score_begin_and_read(special):
    (example,) = Bart().scoring_examples(np.array([35, 36]), np.array([37, 38]), special)
    assert (example.inputs.tolist(), example.decoder_inputs.tolist()) == (
        [35, 36, 4],
        [1, 35, 36, 37],
    )
    assert example.targets.tolist() == [-100, -100, 37, 38]
    begun = Bart().generation_prompt(np.array([35, 36]), 4, special)
    assert (begun.inputs.tolist(), begun.decoder_inputs.tolist()) == ([35, 36, 4], [1, 35, 36])
    assert Bart().encoding_example(np.array([35, 36]), special).inputs.tolist() == [35, 36, 2]


def test_a_vocabulary_that_knows_no_sentences_is_refused(special):
    with pytest.raises(
        InputError,
        match="permute_sentences: wanted a tokenizer that says which tokens end a sentence",
    ):
        Bart().training_example(
            np.array([35, 36]), replace(special, sentence_ends=None), np.random.default_rng(0)
        )
