import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcompare.objectives.prefix import Prefix

BLOCK = st.lists(st.sampled_from([2, *range(32, 96)]), min_size=1, max_size=60).map(np.array)
TOKENS = np.array([5, 6, 7])


def drawn(objective, special, tokens=TOKENS, times=50):
    return [
        objective.training_example(tokens, special, np.random.default_rng(i)) for i in range(times)
    ]


@given(tokens=BLOCK, seed=st.integers(0, 99))
def test_prefix_and_targets_make_up_the_text(special, tokens, seed):
    rng = np.random.default_rng
    one = Prefix().training_example(tokens, special, rng(seed))
    two = Prefix(architecture="encoder-decoder").training_example(tokens, special, rng(seed))
    assert np.where(one.has_target, one.targets, tokens).tolist() == tokens.tolist()
    assert one.inputs.tolist() == [special.bos, *tokens[:-1].tolist()]
    assert (
        not one.has_target[: one.attention - 1].any() and one.has_target[one.attention - 1 :].all()
    )
    assert [*two.inputs[1:], *two.targets] == tokens.tolist()
    assert two.decoder_inputs.tolist() == [special.bos, *two.targets[:-1].tolist()]
    assert len(two.targets) == one.has_target.sum() >= 1


def test_share(special):
    tokens = np.full(128, 40)
    assert np.mean(
        [e.has_target.mean() for e in drawn(Prefix(), special, tokens, 2000)]
    ) == pytest.approx(0.5, abs=0.02)
    assert (Prefix().family, Prefix().exactness) == ("autoregressive", "exact")
    assert (Prefix().role, Prefix("encoder-decoder").role) == ("decoder", "encoder-decoder")


def test_score_begin_and_read(special):
    (example,) = Prefix().scoring_examples(np.array([5, 6]), np.array([7, 8]), special)
    assert (example.inputs.tolist(), example.targets.tolist()) == ([1, 5, 6, 7], [-100, -100, 7, 8])
    assert example.attention == 3
    (example,) = Prefix("encoder-decoder").scoring_examples(
        np.array([5, 6]), np.array([7, 8]), special
    )
    assert (example.inputs.tolist(), example.decoder_inputs.tolist()) == ([1, 5, 6], [1, 7])
    assert example.targets.tolist() == [7, 8]
    begun = Prefix().generation_prompt(TOKENS, 4, special)
    assert (begun.inputs.tolist(), begun.attention) == ([1, 5, 6, 7], 4)
    assert Prefix("encoder-decoder").generation_prompt(
        TOKENS, 4, special
    ).decoder_inputs.tolist() == [1]
    assert Prefix().encoding_example(TOKENS, special).inputs.tolist() == [1, 5, 6, 7, 2]
