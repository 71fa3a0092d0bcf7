import numpy as np
import pytest

from lmcompare.core.example import IGNORE, Example
from lmcompare.models.network import build_network
from lmcompare.models.visibility import measure_visibility
from lmcompare.objectives import OBJECTIVES

PAST = np.tril(np.ones((6, 6), dtype=bool))


@pytest.fixture(scope="module")
def stacks(small, special):
    return {
        role: build_network(small, role, special, seed=1)
        for role in ("decoder", "encoder", "encoder-decoder")
    }


@pytest.mark.parametrize("role", ["decoder", "encoder"])
@pytest.mark.parametrize(
    ("attention", "expected"),
    [("causal", PAST), ("full", PAST | True), (3, PAST | (np.arange(6) < 3)), (1, PAST)],
)
def test_what_the_example_says_is_what_is_seen(stacks, special, role, attention, expected):
    seen = measure_visibility(
        stacks[role], Example(np.arange(50, 56), np.full(6, IGNORE), attention=attention), special
    )
    assert (seen.own == expected).all()
    assert seen.decoder is None
    assert seen.cross is None


def test_documents_and_small_batches(stacks, special):
    segments = np.array([0, 0, 1, 1, 1, 2])
    example = Example(np.arange(50, 56), np.full(6, IGNORE), attention="causal", segments=segments)
    seen = measure_visibility(stacks["decoder"], example, special, batch_tokens=1)
    assert (seen.own == (PAST & (segments[:, None] == segments))).all()


def test_encoder_decoder(stacks, special):
    example = Example(
        np.array([50, 9, 52, 53]), np.full(6, IGNORE), np.array([1, 9, 60, 61, 62, 63])
    )
    seen = measure_visibility(stacks["encoder-decoder"], example, special)
    assert seen.own.shape == (4, 4)
    assert seen.own.all()
    assert (seen.decoder == PAST).all()
    assert seen.cross.shape == (6, 4)
    assert seen.cross.all()


def test_a_masked_token_sees_itself(stacks, special):
    example = OBJECTIVES["masked"](mask_rate=0.5).training_example(
        np.arange(50, 58), special, np.random.default_rng(0)
    )
    assert measure_visibility(stacks["encoder"], example, special).own.all()
