import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcompare.core.example import IGNORE
from lmcompare.objectives.glm import GLM

BLOCK = st.lists(st.sampled_from([2, *range(32, 96)]), min_size=1, max_size=60).map(np.array)


def fill(example, special):
    """Put what Part B asks for in the place of each sentinel of Part A."""
    spans, hole = {}, None
    for read, wanted in zip(
        example.inputs[example.attention :], example.targets[example.attention :], strict=True
    ):
        if read in special.sentinels:
            hole = int(read)
            spans[hole] = []
        if wanted != special.eos:
            spans[hole].append(int(wanted))
    part_a = example.inputs[: example.attention]
    return [
        t for token in part_a for t in (spans[int(token)] if int(token) in spans else [int(token)])
    ]


@given(tokens=BLOCK, seed=st.integers(0, 99), rate=st.floats(0.05, 0.5), mean_span=st.floats(2, 6))
def test_filling_the_holes_restores_the_text(special, tokens, seed, rate, mean_span):
    example = GLM(rate, mean_span).training_example(tokens, special, np.random.default_rng(seed))
    assert fill(example, special) == tokens.tolist()
    assert (
        not example.has_target[: example.attention].any()
        and example.has_target[example.attention :].all()
    )
    asked = example.targets[example.has_target]
    assert set(asked.tolist()) <= {special.eos, *special.ordinary.tolist()}
    sentinels = np.isin(example.inputs, special.sentinels)
    assert (
        (asked == special.eos).sum()
        == sentinels[example.attention :].sum()
        == sentinels[: example.attention].sum()
    )


def test_shares_and_order(special):
    rng = np.random.default_rng(0)
    examples = [
        GLM(0.15, 3).training_example(rng.choice(special.ordinary, 128), special, rng)
        for _ in range(400)
    ]
    cut = np.array([e.has_target.sum() - (e.targets == special.eos).sum() for e in examples])
    assert cut.mean() / 128 == pytest.approx(0.15, abs=0.002)
    orders = [[t for t in e.inputs[e.attention :] if t in special.sentinels] for e in examples]
    assert sum(order == sorted(order) for order in orders) < 10, "the spans come in any order"
    assert (GLM().role, GLM().family, GLM().exactness) == ("decoder", "denoising", "exact")


def test_score_begin_and_read(special):
    (example,) = GLM().scoring_examples(np.array([35, 36]), np.array([37, 38]), special)
    assert example.inputs.tolist() == [35, 36, 9, 9, 37]
    assert example.targets.tolist() == [IGNORE, IGNORE, IGNORE, 37, 38]
    assert example.attention == 3
    begun = GLM().generation_prompt(np.array([35, 36]), 4, special)
    assert (begun.inputs.tolist(), begun.attention) == ([35, 36, 9, 9], 3)
    assert GLM().encoding_example(np.array([35, 36]), special).inputs.tolist() == [35, 36, 2]
