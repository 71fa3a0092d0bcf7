import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from lmcompare.metrics import load


def test_two_classes_are_twice_the_librarys_binary_score():
    rng = np.random.default_rng(0)
    rain = rng.random(60)
    labels = rng.integers(0, 2, 60)
    got = load("brier").compute(predictions=np.stack([1 - rain, rain], axis=1), references=labels)
    assert got == {"brier": pytest.approx(2 * brier_score_loss(labels, rain), abs=1e-9)}


def test_three_classes_by_hand():
    got = load("brier").compute(predictions=[[0.5, 0.3, 0.2], [0.0, 1.0, 0.0]], references=[0, 2])
    assert got == {"brier": pytest.approx((0.25 + 0.09 + 0.04 + 2) / 2, abs=1e-12)}


def test_a_single_class_in_the_references():
    assert load("brier").compute(predictions=[[0.0, 1.0], [0.0, 1.0]], references=[1, 1]) == {
        "brier": 0.0
    }
