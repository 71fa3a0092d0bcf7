import numpy as np
import pytest
import torch

from lmcompare import networks
from lmcompare.adapt import Texts, choose_pooling, finetune
from lmcompare.model import LanguageModel
from lmcompare.objectives import OBJECTIVES
from lmcompare.settings import Adaptation


@pytest.fixture(params=["causal", "masked", "seq2seq"])
def model(request, vocabulary, small):
    objective = OBJECTIVES[request.param]()
    return LanguageModel(networks.build(small, objective.role, vocabulary.special, 1), vocabulary, objective)


@pytest.fixture(scope="module")
def parts(vocabulary):
    """Sentences whose label is whether 'good' or 'bad' stands in them, at a random place."""
    rng = np.random.default_rng(0)
    found = []
    for count in (300, 60, 60):
        labels = rng.integers(0, 2, count)
        texts = []
        for label in labels:
            words = rng.choice(["film", "the", "story", "an", "actor"], rng.integers(2, 7)).tolist()
            words.insert(rng.integers(len(words)), ["bad", "good"][label])
            texts.append(" ".join(words))
        found.append(Texts([np.array(row) for row in vocabulary.encode_batch(texts)], labels))
    return found


ADAPTATION = Adaptation(learning_rates=(1e-5, 5e-3), epochs=4, batch=16)


def test_learns_chooses_on_validation_and_leaves_the_model_as_it_was(model, parts):
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    told = []
    adapted = finetune(model, *parts, classes=2, adaptation=ADAPTATION, seed=1, progress=told.append)
    assert (adapted.probabilities.argmax(1) == parts[2].labels).mean() > 0.9
    assert adapted.probabilities.sum(1) == pytest.approx(1)
    trials = [trial for trial in adapted.trials if trial["learning_rate"]]
    assert [trial["learning_rate"] for trial in trials] == [1e-5, 5e-3]
    assert adapted.chosen == max(trials, key=lambda trial: trial["validation_accuracy"])
    assert told[-1]["done"] == told[-1]["total"]
    for name, tensor in model.network.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_same_seed_same_answer(model, parts):
    quick = Adaptation(learning_rates=(1e-3,), pooling=("mean",), epochs=1, batch=16)
    runs = [finetune(model, *parts, classes=2, adaptation=quick, seed=seed).probabilities for seed in (1, 1, 2)]
    assert (runs[0] == runs[1]).all()
    assert (runs[0] != runs[2]).any()


def test_test_items_decide_nothing(model, parts):
    """With the labels of the test split turned round and its texts changed, the trials are the same."""
    quick = Adaptation(learning_rates=(1e-3,), epochs=1, batch=16)
    train, validation, test = parts
    other = Texts([row[::-1].copy() for row in test.rows], 1 - test.labels)
    found = [finetune(model, train, validation, part, classes=2, adaptation=quick, seed=1) for part in (test, other)]
    assert found[0].trials == found[1].trials


@pytest.mark.parametrize("attention", ["bidirectional", "causal"])
def test_attention_while_fine_tuning_is_an_option(model, parts, attention):
    quick = Adaptation(learning_rates=(1e-3,), pooling=("mean",), epochs=1, batch=16)
    own = finetune(model, *parts, classes=2, adaptation=quick, seed=1).probabilities
    changed = Adaptation(learning_rates=(1e-3,), pooling=("mean",), epochs=1, batch=16, attention=attention)
    found = finetune(model, *parts, classes=2, adaptation=changed, seed=1).probabilities
    same = (model.objective.role == "decoder") == (attention == "causal")
    assert np.allclose(found, own, atol=1e-5) == same


def test_a_menu_of_one_needs_no_probe(model, parts):
    assert choose_pooling(model, parts[0], parts[1], ("first",)) == ("first", [])
