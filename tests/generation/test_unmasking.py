"""Each strategy of unmasking, beside a slow loop over one text at a time."""

import numpy as np
import pytest
import torch

from lmcompare.core.errors import InputError
from lmcompare.core.example import IGNORE, Example, collate
from lmcompare.generation.sampling import Sampling
from lmcompare.generation.unmasking import STRATEGIES, continue_by_unmasking, unmask
from lmcompare.models.network import BatchTensors, build_network, evaluation_mode
from lmcompare.objectives import OBJECTIVES


@pytest.fixture(scope="module")
def network(small, special):
    network = build_network(small, "encoder", special, seed=1)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(3)
    return network


@pytest.fixture(scope="module")
def texts(special):
    """Texts with 5, 1, 12 and 3 masks among what they read."""
    rng = np.random.default_rng(0)
    rows = []
    for length, masks in ((9, 5), (4, 1), (20, 12), (8, 3)):
        inputs = rng.choice(special.ordinary, length)
        inputs[np.sort(rng.permutation(length)[:masks])] = special.mask
        rows.append(Example(inputs, np.full(length, IGNORE)))
    return rows


def fill(network, texts, special, *, temperature=0.0, batch=32, **settings):
    return unmask(
        network, texts, special, Sampling(temperature=temperature, **settings), batch=batch
    )


def unmasking(network, objective, prompts, special, *, lengths=None, **settings):
    sampling = Sampling(**settings)
    return continue_by_unmasking(network, objective, prompts, special, sampling, lengths=lengths)


def best(network, inputs, special):
    """The best ordinary token at each place, and its log p."""
    with evaluation_mode(network):
        batch = BatchTensors.of(
            collate([Example(inputs, np.full(len(inputs), IGNORE))], special.pad)
        )
        logits = network.logits(batch, torch.ones((1, len(inputs)), dtype=torch.bool))
    log_p = logits[:, special.ordinary].double().log_softmax(-1).numpy()
    return special.ordinary[log_p.argmax(-1)], log_p.max(-1)


def slow_confidence(network, inputs, special):
    inputs, score = inputs.copy(), 0.0
    while (inputs == special.mask).any():
        tokens, log_p = best(network, inputs, special)
        places = np.flatnonzero(inputs == special.mask)
        surest = places[log_p[places].argmax()]
        inputs[surest] = tokens[surest]
        score += log_p[surest]
    return inputs, score


def slow_left_to_right(network, inputs, special):
    inputs, score = inputs.copy(), 0.0
    for place in np.flatnonzero(inputs == special.mask):
        tokens, log_p = best(network, inputs, special)
        inputs[place] = tokens[place]
        score += log_p[place]
    return inputs, score


def slow_mask_predict(network, inputs, special):
    holes = np.flatnonzero(inputs == special.mask)
    inputs, sure = inputs.copy(), dict.fromkeys(holes, 0.0)
    rounds = min(10, len(holes))
    for t in range(rounds):
        count = len(holes) * (rounds - t) // rounds
        again = sorted(holes, key=lambda place: sure[place])[:count]
        inputs[again] = special.mask
        tokens, log_p = best(network, inputs, special)
        for place in again:
            inputs[place], sure[place] = tokens[place], log_p[place]
    return inputs, sum(sure.values())


def slow_gibbs(network, inputs, special, row):
    holes = np.flatnonzero(inputs == special.mask)
    inputs, sure, rng = inputs.copy(), {}, np.random.default_rng([0, row])
    for place in [*rng.permutation(holes), *rng.permutation(holes)]:
        inputs[place] = special.mask
        tokens, log_p = best(network, inputs, special)
        inputs[place], sure[place] = tokens[place], log_p[place]
    return inputs, sum(sure.values())


SLOW = {
    "confidence": slow_confidence,
    "left_to_right": slow_left_to_right,
    "mask_predict": slow_mask_predict,
    "gibbs": slow_gibbs,
}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_greedy_filling_equals_the_slow_loop(strategy, network, texts, special):
    filled = fill(network, texts, special, strategy=strategy, batch=3)
    for row, text in enumerate(texts):
        more = (row,) if strategy == "gibbs" else ()
        inputs, score = SLOW[strategy](network, text.inputs, special, *more)
        assert filled.tokens[row].tolist() == inputs[text.inputs == special.mask].tolist()
        assert filled.scores[row].sum() == pytest.approx(score, abs=1e-4)
    assert filled.calls == {"mask_predict": 10, "gibbs": 24}.get(strategy, 12)
    assert filled.exactness == (
        "chain" if strategy in ("confidence", "left_to_right") else "pseudo"
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_draws_are_text_follow_the_seed_and_not_the_batch(strategy, network, texts, special):
    def drawn(**settings):
        rows = fill(network, texts, special, strategy=strategy, temperature=1.0, **settings).tokens
        return [row.tolist() for row in rows]

    first = drawn()
    assert first == drawn() == drawn(batch=1)
    assert first != drawn(seed=1)
    assert [len(row) for row in first] == [5, 1, 12, 3]
    assert np.isin(np.concatenate(first), special.ordinary).all()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_fewer_steps_fill_all_the_same(strategy, network, texts, special):
    filled = fill(network, texts, special, strategy=strategy, steps=2)
    assert filled.calls == (3 if strategy == "gibbs" else 2)
    assert np.isin(np.concatenate(filled.tokens), special.ordinary).all()
    assert filled.exactness == "pseudo"


def test_the_score_of_left_to_right_is_the_chain_of_the_objective(network, special):
    """Over all ids, special ones too, the chain is lower: here the same distribution is
    renormalised over text.
    """
    objective = OBJECTIVES["masked"]()
    prompt = special.ordinary[:4]
    (row,), (score,) = (
        (
            one := unmasking(
                network, objective, [prompt], special, length=4, strategy="left_to_right"
            )
        ).tokens,
        one.scores,
    )
    for t, example in enumerate(objective.scoring_examples(prompt, row, special)):
        with evaluation_mode(network):
            logits = network.logits(
                BatchTensors.of(collate([example], 0)), torch.from_numpy(example.has_target)[None]
            )[0]
        log_p = logits[special.ordinary].double().log_softmax(-1)
        assert score[t] == pytest.approx(
            float(log_p[int(np.flatnonzero(special.ordinary == row[t])[0])]), abs=1e-5
        )


def test_a_length_is_chosen_by_the_mean_score(network, special):
    objective = OBJECTIVES["masked"]()
    rng = np.random.default_rng(3)
    prompts = [rng.choice(special.ordinary, n) for n in (5, 8, 3)]
    each = [
        unmasking(network, objective, prompts, special, length=n, temperature=0) for n in (1, 2, 4)
    ]
    chosen = unmasking(network, objective, prompts, special, lengths=[1, 2, 4], temperature=0)
    for i in range(3):
        top = max(each, key=lambda decoded: decoded.scores[i].mean())  # noqa: B023
        assert chosen.tokens[i].tolist() == top.tokens[i].tolist()
    assert chosen.calls == 7


def test_impossible_questions(network, texts, special, small):
    with pytest.raises(InputError, match="did you mean 'confidence'"):
        fill(network, texts, special, strategy="confidnce")
    with pytest.raises(InputError, match="steps: wanted at least 1"):
        fill(network, texts, special, steps=0)
    with pytest.raises(InputError, match="got an encoder-decoder"):
        fill(build_network(small, "encoder-decoder", special, seed=1), texts, special)
    with pytest.raises(InputError, match="length: wanted a number"):
        unmasking(network, OBJECTIVES["masked"](), [], special, lengths=[])
