import numpy as np
import pytest

from lmcompare.core.errors import InputError
from lmcompare.core.example import IGNORE, Example, collate, isolate


def test_examples_are_padded_to_the_longest():
    batch = collate(
        [
            Example(np.array([5, 4, 7]), np.array([-100, 6, -100])),
            Example(np.array([4]), np.array([8])),
        ],
        0,
    )
    assert batch.inputs.tolist() == [[5, 4, 7], [4, 0, 0]]
    assert batch.targets.tolist() == [[IGNORE, 6, IGNORE], [8, IGNORE, IGNORE]]
    assert batch.attention_mask.tolist() == [[True, True, True], [True, False, False]]
    assert batch.num_targets == 2


def test_prefix_lengths_follow_attention():
    inputs, targets = np.array([5, 6, 7]), np.full(3, IGNORE)
    rows = [Example(inputs, targets, attention=v) for v in ("full", "causal", 2)]
    assert collate(rows, 0).prefix_lengths.tolist() == [3, 0, 2]


def test_isolate_refuses_a_prefix():
    with pytest.raises(InputError, match=r"sequence\.packing"):
        isolate([Example(np.array([1]), np.array([5]), attention=1)])


def test_collate_refuses_two_objectives():
    decoder = Example(np.array([5]), np.array([6]), decoder_inputs=np.array([1]))
    with pytest.raises(ValueError, match="one objective"):
        collate([decoder, Example(np.array([5]), np.array([6]))], 0)


def test_weights_count_targets():
    one = Example(np.array([5, 4]), np.array([IGNORE, 6]), weights=np.array([0.0, 2.5]))
    other = Example(np.array([5, 4, 4]), np.array([7, 6, IGNORE]))
    batch = collate([one, other], 0)
    assert batch.weights.tolist() == [[0, 2.5, 0], [1, 1, 1]]
    assert (batch.target_weights.tolist(), batch.total_weight, batch.num_targets) == (
        [2.5, 1, 1],
        4.5,
        3,
    )
    assert isolate([one, other]).weights.tolist() == [0, 2.5, 1, 1, 1]
    plain = collate([other], 0)
    assert plain.weights is None and isolate([other]).weights is None
    assert (plain.target_weights.tolist(), plain.total_weight) == ([1, 1], 2.0)
