import numpy as np
import pytest
import torch

from lmcompare.core.errors import InputError
from lmcompare.core.example import collate
from lmcompare.generation.autoregressive import SamplingProcessor, decode_autoregressively
from lmcompare.generation.sampling import Sampling, cut_at_stop
from lmcompare.models.network import BatchTensors, build_network, evaluation_mode
from lmcompare.objectives import OBJECTIVES

KINDS = ["causal", "seq2seq", "prefix", "glm", "bart"]


@pytest.fixture(scope="module", params=KINDS)
def model(request, small, special):
    objective = OBJECTIVES[request.param]()
    network = build_network(small, objective.role, special, seed=1)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(3)
    return network, objective


@pytest.fixture
def prompts(special):
    rng = np.random.default_rng(0)
    return [rng.choice(special.ordinary, n) for n in (7, 3, 12, 5)]


def decode_prompts(network, objective, prompts, special, *, length, **settings):
    """Decode from prompts of ids; settings of sampling and of the decoder side by side."""
    own = {key: settings.pop(key) for key in ("batch", "cache", "decode") if key in settings}
    sampling = Sampling(length=length, **settings)
    starts = [objective.generation_prompt(prompt, length, special) for prompt in prompts]
    return decode_autoregressively(network, starts, special, sampling, **own)


def next_log_p(network, objective, prompt, found, special):
    """log p of each id as the next token, from one question without cache or batch."""
    example = objective.scoring_examples(
        prompt, np.append(found, special.ordinary[0]).astype(np.int64), special
    )[0]
    where = np.zeros(len(example.targets), dtype=bool)
    where[-1] = True
    with evaluation_mode(network):
        batch = BatchTensors.of(collate([example], special.pad))
        return (
            network.logits(batch, torch.from_numpy(where)[None])[0].double().log_softmax(-1).numpy()
        )


def greedy(network, objective, prompt, special, length, free):
    found = np.array([], dtype=np.int64)
    for _ in range(length):
        log_p = next_log_p(network, objective, prompt, found, special)
        best = free[int(log_p[free].argmax())]
        if best == special.eos:
            break
        found = np.append(found, best)
    return found.tolist()


@pytest.mark.parametrize("cache", [True, False])
def test_greedy_equals_asking_again_for_each_token(model, special, prompts, cache):
    decoded = decode_prompts(
        *model, prompts, special, length=5, temperature=0, batch=3, cache=cache
    )
    assert decoded.calls == 5
    for prompt, row in zip(prompts, decoded.tokens, strict=True):
        assert row.tolist() == greedy(*model, prompt, special, 5, special.ordinary)


def test_a_draw_depends_on_seed_and_row_but_not_on_batch_or_cache(model, special, prompts):
    def drawn(**settings):
        return [
            row.tolist()
            for row in decode_prompts(*model, prompts, special, length=5, **settings).tokens
        ]

    first = drawn()
    assert first == drawn(batch=1) == drawn(cache=False)
    assert first != drawn(seed=1)
    assert np.isin(np.concatenate(first), special.ordinary).all()
    assert drawn(top_k=1) == drawn(temperature=0)


def test_a_text_may_end(small, special, prompts):
    objective = OBJECTIVES["causal"]()
    network = build_network(small, "decoder", special, seed=1)
    free = np.append(special.ordinary, special.eos)
    with torch.no_grad():  # make eos likely
        table = network.transformer.get_output_embeddings().weight
        table[special.eos] = table[special.ordinary].mean(0) * 2
    ended = decode_prompts(network, objective, prompts, special, length=30, may_end=True, seed=2)
    assert min(len(row) for row in ended.tokens) < 30
    assert all(np.isin(row, special.ordinary).all() for row in ended.tokens)
    best = decode_prompts(
        network, objective, prompts, special, length=6, may_end=True, temperature=0
    )
    assert [row.tolist() for row in best.tokens] == [
        greedy(network, objective, prompt, special, 6, free) for prompt in prompts
    ]


def test_stop_strings(model, special, prompts):
    def decode(row):
        return "".join(chr(97 + token % 26) for token in row if token in special.ordinary)

    free = decode_prompts(*model, prompts, special, length=8).tokens
    word = decode(free[1][3:5])
    stopped = decode_prompts(*model, prompts, special, length=8, stop=[word], decode=decode).tokens
    for row, whole in zip(stopped, free, strict=True):
        text = decode(whole)
        size = text.find(word) + 2 if word in text else 8
        assert row.tolist() == whole[:size].tolist()
    assert len(stopped[1]) <= 5


def test_cut_at_stop():
    assert cut_at_stop("one. two; three", ["; ", ". "]) == "one"
    assert cut_at_stop("one", [";"]) == "one"


def test_beams_find_what_is_at_least_as_likely(small, special, prompts):
    objective = OBJECTIVES["causal"]()
    network = build_network(small, "decoder", special, seed=1)

    def score(prompt, row):
        return sum(
            next_log_p(network, objective, prompt, row[:t], special)[row[t]]
            for t in range(len(row))
        )

    wide = decode_prompts(
        network, objective, prompts[:1], special, length=2, temperature=0, beams=64
    )
    every = next_log_p(network, objective, prompts[0], np.array([], dtype=np.int64), special)[
        special.ordinary
    ]
    best = max(
        float(
            first
            + next_log_p(network, objective, prompts[0], np.array([token]), special)[
                special.ordinary
            ].max()
        )
        for token, first in zip(special.ordinary, every, strict=True)
    )
    assert score(prompts[0], wide.tokens[0]) == pytest.approx(best, abs=1e-5)
    assert wide.calls == 2 * 64


def test_generation_settings_of_a_checkpoint_are_put_aside(small, special, prompts):
    objective = OBJECTIVES["causal"]()
    network = build_network(small, "decoder", special, seed=1)
    plain = decode_prompts(network, objective, prompts, special, length=6, temperature=0).tokens
    config = network.transformer.generation_config
    config.no_repeat_ngram_size, config.num_beams, config.forced_bos_token_id = 1, 3, 40
    again = decode_prompts(network, objective, prompts, special, length=6, temperature=0).tokens
    assert [row.tolist() for row in again] == [row.tolist() for row in plain]
    assert network.transformer.generation_config is config


def test_sampling_follows_the_distribution():
    scores = torch.log(torch.tensor([[0.5, 0.3, 0.2]])).expand(6000, 3)
    rngs = [np.random.default_rng([0, i]) for i in range(6000)]
    for temperature, power in ((1.0, 1.0), (0.5, 2.0)):
        noisy = SamplingProcessor(Sampling(temperature=temperature), rngs)(scores, scores)
        assert noisy.dtype == torch.float64
        share = np.bincount(noisy.argmax(-1).numpy(), minlength=3) / 6000
        expected = np.array([0.5, 0.3, 0.2]) ** power
        assert np.abs(share - expected / expected.sum()).max() < 0.03
    assert set(
        SamplingProcessor(Sampling(top_p=0.6), rngs)(scores, scores).argmax(-1).tolist()
    ) == {0, 1}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"length": 0}, "length: wanted at least 1, got 0"),
        ({"length": 1, "temperature": -1}, "temperature: wanted 0 or more, got -1"),
        ({"length": 1, "beams": 2}, "beams: wanted 1"),
        ({"length": 1, "stop": ["x"]}, "stop: wanted `decode`"),
        ({"length": 2.5}, r"length: wanted an integer, at least 1, got 2\.5"),
        ({"length": 1, "beams": 0}, "beams: wanted at least 1, got 0"),
        ({"length": 1, "top_k": -1}, "top_k: wanted at least 0, got -1"),
        ({"length": 1, "top_p": 0.0}, r"top_p: wanted more than 0 and at most 1, got 0\.0"),
        ({"length": 1, "top_p": 1.5}, r"top_p: wanted more than 0 and at most 1, got 1\.5"),
        ({"length": 1, "seed": -1}, "seed: wanted at least 0, got -1"),
        (
            {"length": 1, "stop": [""]},
            "stop: wanted texts that end a continuation, got an empty one",
        ),
        ({"length": 1, "temperature": "0"}, "temperature: wanted 0 or more, got 0"),
    ],
)
def test_contradictions(model, special, prompts, settings, message):
    with pytest.raises(InputError, match=message):
        decode_prompts(*model, prompts, special, **settings)


def test_all_that_cannot_be_is_said_at_once(model, special, prompts):
    with pytest.raises(InputError) as caught:
        decode_prompts(*model, prompts, special, length=0, beams=0, top_k=-1, top_p=2, seed=-1)
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "length",
        "beams",
        "top_k",
        "seed",
        "top_p",
    ]


def test_a_network_in_training_stays_so_and_decodes_without_dropout(model, special, prompts):
    network, objective = model
    plain = decode_prompts(*model, prompts, special, length=3, temperature=0).tokens
    network.train()
    try:
        again = decode_prompts(*model, prompts, special, length=3, temperature=0).tokens
        assert network.training and network.transformer.training
    finally:
        network.eval()
    assert [row.tolist() for row in again] == [row.tolist() for row in plain]
