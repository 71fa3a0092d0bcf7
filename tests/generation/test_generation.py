import numpy as np
import pytest
import torch

from lmcompare.core.example import IGNORE, Example, collate
from lmcompare.generation.autoregressive import decode_autoregressively
from lmcompare.generation.sampling import Sampling, gumbel
from lmcompare.generation.unmasking import continue_by_unmasking
from lmcompare.models.network import BatchTensors, build_network, evaluation_mode
from lmcompare.objectives import OBJECTIVES


@pytest.fixture
def prompts(special):
    rng = np.random.default_rng(0)
    return [rng.choice(special.ordinary, n) for n in (7, 3, 12, 5)]


def build(kind, small, special):
    objective = OBJECTIVES[kind]()
    return build_network(small, objective.role, special, seed=1), objective


def left_to_right(network, objective, prompts, special, *, batch=32, **settings):
    sampling = Sampling(**settings)
    starts = [objective.generation_prompt(prompt, sampling.length, special) for prompt in prompts]
    return decode_autoregressively(network, starts, special, sampling, batch=batch)


def unmasking(network, objective, prompts, special, *, batch=32, **settings):
    sampling = Sampling(**settings)
    return continue_by_unmasking(network, objective, prompts, special, sampling, batch=batch)


def best(network, objective, prompt, special, length):
    """Greedy decoding without cache or batch: ask again for each token."""
    found = np.array([], dtype=np.int64)
    for _ in range(length):
        (example,) = objective.scoring_examples(
            prompt, np.append(found, special.ordinary[0]), special
        )
        where = np.zeros(len(example.targets), dtype=bool)
        where[-1] = True
        with evaluation_mode(network):
            logits = network.logits(
                BatchTensors.of(collate([example], special.pad)), torch.from_numpy(where)[None]
            )[0]
        found = np.append(found, special.ordinary[int(logits[special.ordinary].argmax())])
    return found.tolist()


@pytest.mark.parametrize("kind", ["causal", "seq2seq"])
def test_greedy_with_cache_in_a_batch_equals_asking_again_for_each_token(
    kind, small, special, prompts
):
    network, objective = build(kind, small, special)
    decoded = left_to_right(network, objective, prompts, special, length=6, temperature=0, batch=3)
    assert decoded.calls == 6
    for prompt, row in zip(prompts, decoded.tokens, strict=True):
        assert row.tolist() == best(network, objective, prompt, special, 6)


@pytest.mark.parametrize("kind", ["causal", "seq2seq", "masked"])
def test_drawn_tokens_are_text_and_follow_the_seed(kind, small, special, prompts):
    network, objective = build(kind, small, special)
    decode = unmasking if kind == "masked" else left_to_right
    drawn = [
        np.stack(decode(network, objective, prompts, special, length=9, seed=seed).tokens)
        for seed in (0, 0, 1)
    ]
    assert drawn[0].shape == (4, 9)
    assert np.isin(drawn[0], special.ordinary).all()
    assert (drawn[0] == drawn[1]).all()
    assert (drawn[0] != drawn[2]).any()


@pytest.mark.parametrize(("steps", "calls"), [(1, 1), (4, 4), (None, 9), (50, 9)])
def test_unmasking_takes_as_many_calls_as_said(steps, calls, small, special, prompts):
    network, objective = build("masked", small, special)
    decoded = unmasking(network, objective, prompts, special, length=9, steps=steps, temperature=0)
    assert decoded.calls == calls
    assert all(len(row) == 9 for row in decoded.tokens)


def test_unmasking_keeps_the_surest_token_first(small, special, prompts):
    network, objective = build("masked", small, special)
    (row,) = unmasking(network, objective, prompts[:1], special, length=3, temperature=0).tokens
    begun = objective.generation_prompt(prompts[0], 3, special)
    inputs = begun.inputs.copy()
    for _ in range(3):
        where = inputs == special.mask
        with evaluation_mode(network):
            example = Example(inputs, np.full(len(inputs), IGNORE))
            logits = network.logits(
                BatchTensors.of(collate([example], 0)), torch.from_numpy(where)[None]
            )
        log_p = logits[:, special.ordinary].log_softmax(-1)
        surest = int(log_p.max(-1).values.argmax())
        inputs[np.flatnonzero(where)[surest]] = special.ordinary[int(log_p[surest].argmax())]
    assert row.tolist() == inputs[len(prompts[0]) :].tolist()


def test_one_step_of_unmasking_draws_from_the_distribution_of_the_network(small, special):
    network, objective = build("masked", small, special)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(4)
    prompt = special.ordinary[:5]
    rows = unmasking(network, objective, [prompt] * 4000, special, length=1, batch=1000).tokens
    example = objective.generation_prompt(prompt, 1, special)
    where = torch.tensor([[False] * 5 + [True]])
    with evaluation_mode(network):
        logits = network.logits(BatchTensors.of(collate([example], 0)), where)[0]
    expected = logits[special.ordinary].double().softmax(-1).numpy()
    drawn = np.bincount(np.concatenate(rows), minlength=96)[special.ordinary] / 4000
    assert np.abs(drawn - expected).max() < 4 * np.sqrt(expected.max() / 4000)


def test_gumbel_noise_is_float64_with_its_mean():
    noise = gumbel((200_000,), np.random.default_rng(0))
    assert noise.dtype == np.float64
    assert noise.mean() == pytest.approx(0.5772, abs=0.01)
