"""Each objective learns a toy transduction: two or three letters, reversed."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lmcompare.adaptation.finetuning import FinetuningRun
from lmcompare.adaptation.sft import (
    answer_log_p,
    generate,
    generate_answers,
    greedy,
    rank_answers,
    supervised_finetune,
)
from lmcompare.core.example import SpecialTokens
from lmcompare.core.settings import Adaptation
from lmcompare.evaluation import baselines
from lmcompare.language_model import FACES
from lmcompare.models.network import build_network
from lmcompare.objectives import OBJECTIVES

END, LETTERS = 32, np.arange(33, 44)
TEXT = np.arange(32, 44)
SPECIAL = SpecialTokens(0, 1, 2, 4, tuple(range(9, 32)), TEXT, np.arange(44) >= 32)
EPOCHS = {"masked": 28}
"""A masked LM learns from fewer targets a step."""
QUICK = Adaptation(learning_rates=(5e-3,), epochs=1, batch_size=32)


def model_of(kind, small, seed=1):
    objective = OBJECTIVES[kind]()
    network = build_network(small, objective.role, SPECIAL, seed)
    return FACES[objective.role](network, SimpleNamespace(special=SPECIAL), objective)


@pytest.fixture(scope="module")
def pairs():
    """Letters and an end, and the letters reversed; no prompt is in two parts."""
    rng = np.random.default_rng(0)
    rows = {tuple(rng.choice(LETTERS, rng.integers(2, 4)).tolist()) for _ in range(2400)}
    every = [(np.array([*row, END]), np.array(row[::-1])) for row in sorted(rows)]
    order = rng.permutation(len(every))
    every = [every[i] for i in order]
    return {"train": every[:-160], "validation": every[-160:-80], "test": every[-80:]}


def tune(model, train, validation, length, adaptation, **watchers):
    run = FinetuningRun(model, adaptation, seed=1, **watchers)
    return supervised_finetune(run, train, validation, length=length)


def answer(model, train, validation, test, adaptation, **watchers):
    tuned = tune(model, train, validation, 5, adaptation, **watchers)
    return generate_answers(model, test, greedy(5), tuned=tuned)


def right(answers, pairs):
    answered = zip(answers, pairs, strict=True)
    return float(np.mean([np.array_equal(answer, real) for answer, (_, real) in answered]))


@pytest.mark.parametrize("kind", ["causal", "prefix", "glm", "seq2seq", "bart", "masked"])
def test_each_objective_learns_to_reverse(kind, small, pairs):
    model = model_of(kind, small)
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    events = []
    adaptation = Adaptation(learning_rates=(1e-2,), epochs=EPOCHS.get(kind, 8), batch_size=32)
    result = answer(model, **pairs, adaptation=adaptation, progress=events.append)

    # Far above chance (one in 121) and above the answer of the nearest training prompt.
    texts = {
        name: [" ".join(map(str, prompt)) for prompt, _ in part] for name, part in pairs.items()
    }
    near = [
        pairs["train"][i][1] for i in baselines.nearest_neighbors(texts["train"], texts["test"])
    ]
    assert right(result.answers, pairs["test"]) > 0.5 > 0.2 > right(near, pairs["test"])
    untrained = generate(model, [prompt for prompt, _ in pairs["test"]], greedy(5))
    assert right(untrained.tokens, pairs["test"]) < 0.05
    assert result.calls <= 5

    assert [len(row) for row in result.nats] == [len(real) + 1 for _, real in pairs["test"]]
    assert -np.mean([row.sum() for row in result.nats]) < 3 < 3 * np.log(11)
    assert events[0]["stage"] == "fine-tuning"
    for name, tensor in model.network.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_the_trial_of_lowest_validation_loss_is_chosen(small, pairs):
    few = {name: part[:64] for name, part in pairs.items()}
    adaptation = Adaptation(learning_rates=(1e-6, 5e-3, 2e-6), epochs=2, batch_size=32)
    result = tune(model_of("causal", small), few["train"], few["validation"], 5, adaptation)
    assert [trial["learning_rate"] for trial in result.trials] == [1e-6, 5e-3, 2e-6]
    assert result.chosen is result.trials[1]
    assert result.loss == min(trial["validation_loss"] for trial in result.trials)
    nats = np.concatenate(answer_log_p(result.model, few["validation"], length=5))
    assert result.loss == pytest.approx(-nats.mean())


def test_same_seed_same_answers_and_test_pairs_decide_nothing(small, pairs):
    few = {name: part[:40] for name, part in pairs.items()}
    other = few | {"test": [(prompt[::-1].copy(), prompt) for prompt, _ in few["test"]]}
    for kind in ("causal", "masked"):
        model = model_of(kind, small)
        runs = [answer(model, **parts, adaptation=QUICK) for parts in (few, few, other)]
        assert [row.tolist() for row in runs[0].answers] == [
            row.tolist() for row in runs[1].answers
        ]
        assert runs[0].tuned.trials == runs[1].tuned.trials == runs[2].tuned.trials


def test_the_causal_prompt_may_see_itself_whole(small, pairs):
    few = pairs["train"][:64]
    causal, prefix = model_of("causal", small), model_of("prefix", small)
    both = Adaptation(learning_rates=(5e-3,), epochs=1, batch_size=32, attention="bidirectional")
    ours = tune(causal, few, few, 5, both).model
    theirs = tune(prefix, few, few, 5, QUICK).model
    own = tune(causal, few, few, 5, QUICK).model
    nats = [np.concatenate(answer_log_p(model, few, length=5)) for model in (ours, theirs, own)]
    assert nats[0] == pytest.approx(nats[1], abs=1e-5)
    assert np.abs(nats[0] - nats[2]).max() > 1e-3
    prompts = [prompt for prompt, _ in few]
    written = [generate(model, prompts, greedy(5)).tokens for model in (ours, theirs)]
    assert [row.tolist() for row in written[0]] == [row.tolist() for row in written[1]]


@pytest.mark.parametrize("kind", ["causal", "masked", "seq2seq"])
def test_low_rank_additions_learn_and_generate(kind, small, pairs):
    pytest.importorskip("peft")
    few = {name: part[:64] for name, part in pairs.items()}
    adaptation = Adaptation(protocol="lora", learning_rates=(1e-2,), epochs=2, batch_size=32)
    model = model_of(kind, small)
    result = answer(model, **few, adaptation=adaptation)
    untrained = np.concatenate(answer_log_p(model, few["test"], length=5))
    assert np.concatenate(result.nats).mean() > untrained.mean()
    assert len(result.answers) == 64


def test_a_masked_answer_has_a_proper_likelihood_its_length_included(small):
    """Over all answers of at most one letter, cut after one: the probabilities of letters and of
    the end add up to 1.

    The softmax is over all ids, so special ids are answers, too.
    """
    model = model_of("masked", small)
    prompt = np.array([35, END])
    every = [np.array([i], dtype=np.int64) for i in range(44) if i != SPECIAL.eos] + [
        np.array([], dtype=np.int64)
    ]
    nats = answer_log_p(model, [(prompt, one) for one in every], length=1)
    assert sum(np.exp(row.sum()) for row in nats) == pytest.approx(1, abs=1e-5)


def test_a_masked_answer_is_cut_at_its_first_end(small, monkeypatch):
    model = model_of("masked", small)
    filled = SimpleNamespace(
        tokens=[np.array([35, 2, 36, 2]), np.array([2, 35]), np.array([35, 36])]
    )
    monkeypatch.setattr("lmcompare.adaptation.sft.unmask", lambda *args, **settings: filled)
    monkeypatch.setattr(
        "lmcompare.adaptation.sft.replace", lambda one, **new: SimpleNamespace(**new)
    )
    assert [row.tolist() for row in generate(model, [], greedy(4)).tokens] == [[35], [], [35, 36]]


@pytest.mark.parametrize("kind", ["causal", "masked", "seq2seq"])
def test_choosing_among_answers(kind, small):
    """The answer says which of two letters comes first."""
    rng = np.random.default_rng(0)
    options = [np.array([33]), np.array([34, 35])]
    pairs = []
    for _ in range(400):
        letters = np.append(rng.choice([33, 40]), rng.choice(LETTERS))
        pairs.append((np.append(letters, END), options[int(letters[0] == 40)]))
    parts = {"train": pairs[:280], "validation": pairs[280:340], "test": pairs[340:]}
    adaptation = Adaptation(learning_rates=(1e-2,), epochs=24, batch_size=32)
    tuned = tune(model_of(kind, small), parts["train"], parts["validation"], 3, adaptation)
    result = rank_answers(tuned, parts, options)
    best = [len(real) - 1 for _, real in parts["test"]]
    assert result.probabilities.sum(1) == pytest.approx(1)
    assert (result.probabilities.argmax(1) == best).mean() > 0.9
    assert result.validation_accuracy > 0.9


@pytest.mark.parametrize("kind", ["causal", "seq2seq", "masked"])
def test_a_model_as_it_is_answers_and_is_left_as_it_was(kind, small, pairs):
    model = model_of(kind, small)
    few = [*pairs["test"][:5], (pairs["test"][5][0], np.array([], dtype=np.int64))]
    result = generate_answers(model, few, greedy(2))
    assert result.tuned is None
    expected = generate(model, [prompt for prompt, _ in few], greedy(2)).tokens
    assert [row.tolist() for row in result.answers] == [row.tolist() for row in expected]
    assert [len(row) for row in result.nats] == [2, 2, 2, 2, 2, 0]
    scores = model.score_tokens([(prompt, real[:2]) for prompt, real in few[:5]])
    assert np.concatenate(result.nats) == pytest.approx(np.concatenate(scores))
