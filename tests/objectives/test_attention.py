"""What each objective lets a network see, found by changing one input and watching all outputs."""

import numpy as np
import pytest
import torch

from lmcompare.core.example import collate
from lmcompare.models.network import BatchTensors, build_network, evaluation_mode
from lmcompare.objectives import parse_objective

TOKENS = np.arange(40, 52)
ONE_STACK = [
    "causal",
    "masked",
    "prefix",
    "glm",
    {"kind": "mixture", "parts": [{"objective": "causal"}, {"objective": "masked"}]},
    {
        "kind": "mixture",
        "parts": [{"objective": "masked"}, {"objective": "prefix"}, {"objective": "glm"}],
    },
]
TWO_STACKS = [
    "seq2seq",
    {"kind": "bart", "permute_sentences": False},
    {"kind": "prefix", "architecture": "encoder-decoder"},
]


@pytest.fixture(scope="module")
def built(small, special):
    return {
        role: build_network(small, role, special, seed=1)
        for role in ("decoder", "encoder", "encoder-decoder")
    }


def seen(network, example, field="inputs"):
    """Which output (row) changes with which input (column)."""
    inputs = getattr(example, field)
    changed = []
    with evaluation_mode(network):
        for place in [None, *range(len(inputs))]:
            batch = collate([example], 0)
            if place is not None:
                getattr(batch, field)[0, place] += 1
            where = torch.ones(batch.targets.shape, dtype=torch.bool)
            changed.append(network.logits(BatchTensors.of(batch), where))
    return np.stack(
        [((logits - changed[0]).abs().amax(-1) > 1e-6).numpy() for logits in changed[1:]], axis=1
    )


@pytest.mark.parametrize("objective", ONE_STACK, ids=str)
def test_one_stack_sees_what_the_example_says(objective, built, special):
    objective = parse_objective(objective)
    for seed in range(3):
        example = objective.training_example(TOKENS, special, np.random.default_rng(seed))
        n = len(example.inputs)
        reach = {"causal": 0, "full": n}.get(example.attention, example.attention)
        place = np.arange(n)
        wanted = (place <= place[:, None]) | (place < reach)
        for role in ("decoder", "encoder"):  # one network serves both masks
            assert (seen(built[role], example) == wanted).all()


def test_parts_of_glm_see_one_another_one_way(built, special):
    example = parse_objective(
        {"kind": "glm", "corruption_rate": 0.3, "mean_span_length": 2}
    ).training_example(TOKENS, special, np.random.default_rng(0))
    matrix, a = seen(built["decoder"], example), example.attention
    assert matrix[:a, :a].all(), "Part A sees itself whole"
    assert not matrix[:a, a:].any(), "Part A sees nothing of Part B"
    assert matrix[a:, :a].all(), "Part B sees all of Part A"
    assert (matrix[a:, a:] == np.tri(len(example.inputs) - a, dtype=bool)).all()


@pytest.mark.parametrize("objective", TWO_STACKS, ids=str)
def test_two_stacks_see_the_encoder_whole_and_the_past_of_the_decoder(objective, built, special):
    example = parse_objective(objective).training_example(TOKENS, special, np.random.default_rng(0))
    network, m = built["encoder-decoder"], len(example.targets)
    assert seen(network, example).all()
    assert (seen(network, example, "decoder_inputs") == np.tri(m, dtype=bool)).all()


@pytest.mark.parametrize("objective", [*ONE_STACK, *TWO_STACKS], ids=str)
def test_score_is_a_distribution_over_what_comes_next(objective, built, special):
    """The likelihoods of all next tokens sum to 1, those of all continuations of one to its own."""
    objective = parse_objective(objective)
    network, prompt = built[objective.role], TOKENS[:4]

    def likelihoods(completions):
        several = [objective.scoring_examples(prompt, np.array(c), special) for c in completions]
        with evaluation_mode(network):
            batch = collate([example for examples in several for example in examples], 0)
            losses = network(BatchTensors.of(batch)).double()
        return torch.exp(-losses.reshape(len(completions), -1).sum(1))

    one = likelihoods([[token] for token in range(96)])
    assert float(one.sum()) == pytest.approx(1, abs=1e-5)
    two = likelihoods([[45, token] for token in range(96)])
    if (
        objective.exactness == "exact"
    ):  # a chain over masks knows the length, so its first factor is another
        assert float(two.sum()) == pytest.approx(float(one[45]), rel=1e-4)
