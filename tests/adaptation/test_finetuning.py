import numpy as np
import pytest
import torch
from torch import nn

from lmcompare.adaptation.finetuning import FinetuningProblem, fit, group_by_length, seeded
from lmcompare.core.errors import LmcompareError
from lmcompare.core.settings import Adaptation

SIZES = [1, 2, 3, 4]


def trial(scores, patience=None, epochs=5):
    """Fit a weight towards 1 with these scores; return it, the result, and it after each epoch."""
    layer = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(layer.weight)
    seen = []

    def score(module):
        seen.append(float(module.weight.detach()))
        return scores[len(seen) - 1]

    def loss(module, batch, epoch):
        return ((module(torch.ones(len(batch), 1)) - 1) ** 2).mean()

    problem = FinetuningProblem(lambda: layer, loss, score, SIZES)
    adaptation = Adaptation(epochs=epochs, patience=patience, batch_size=2)
    fitted = fit(layer, problem, adaptation, learning_rate=0.01, seed=1)
    return float(layer.weight.detach()), fitted, seen


def test_the_best_epoch_is_kept():
    weight, fitted, seen = trial([1, 3, 2, 3, 0])
    assert (fitted.score, fitted.epoch, fitted.epochs) == (3, 2, 5)
    assert weight == seen[1]
    assert 0 < seen[0] < seen[1] < seen[-1]


def test_it_stops_when_patience_is_out():
    _, fitted, seen = trial([1, 3, 2, 2, 9], patience=2)
    assert (fitted.score, fitted.epoch, fitted.epochs) == (3, 2, 4)
    assert len(seen) == 4


def test_no_finite_score_is_an_error():
    with pytest.raises(LmcompareError, match="no epoch had a finite score at learning rate 0.01"):
        trial([float("nan")] * 5)


def test_every_item_is_in_one_batch_beside_its_like():
    sizes = list(range(100, 0, -1))
    groups = group_by_length(sizes, 10, np.random.default_rng(0))
    assert sorted(i for group in groups for i in group) == list(range(100))
    assert all(max(group) - min(group) == 9 for group in groups)
    assert [group[0] for group in groups] != sorted(group[0] for group in groups)


def test_a_seed_leaves_the_generator_of_others_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)[1]
    torch.manual_seed(3)
    torch.rand(1)
    with seeded(7, torch.device("cpu")):
        first = torch.rand(1)
    assert torch.rand(1) == expected
    with seeded(7, torch.device("cpu")):
        assert torch.rand(1) == first
