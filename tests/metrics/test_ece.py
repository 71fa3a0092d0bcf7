import numpy as np
import pytest

from lmcompare.core.errors import InputError
from lmcompare.metrics import load


def by_hand(probabilities, labels, bins):
    """The sum of Guo et al. (2017), equation 3, bin by bin."""
    error = 0.0
    for m in range(bins):
        inside = [i for i, row in enumerate(probabilities) if m / bins < max(row) <= (m + 1) / bins]
        if inside:
            accuracy = np.mean([np.argmax(probabilities[i]) == labels[i] for i in inside])
            confidence = np.mean([max(probabilities[i]) for i in inside])
            error += len(inside) / len(labels) * abs(accuracy - confidence)
    return error


@pytest.mark.parametrize("bins", [1, 10, 15])
@pytest.mark.parametrize("classes", [2, 5])
def test_it_equals_the_sum_over_bins(bins, classes):
    rng = np.random.default_rng(classes)
    probabilities = rng.dirichlet(np.ones(classes), 200)
    labels = rng.integers(0, classes, 200)
    got = load("ece").compute(predictions=probabilities, references=labels, bins=bins)
    assert got == {"ece": pytest.approx(by_hand(probabilities.tolist(), labels, bins), abs=1e-9)}


def test_two_bins_by_hand():
    # (0, 0.5] is empty; (0.5, 1] holds confidences 0.9, 0.8, 0.7 and two right answers of three:
    # |0.8 - 2/3|.
    got = load("ece").compute(
        predictions=[[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]], references=[0, 1, 1], bins=2
    )
    assert got == {"ece": pytest.approx(0.8 - 2 / 3, abs=1e-12)}


def test_a_confidence_on_the_edge_belongs_to_the_lower_bin():
    # (0, 0.5] holds a right answer, (0.5, 1] a wrong one: (0.5 + 0.75) / 2. In one bin it would be
    # (1.25 - 1) / 2.
    got = load("ece").compute(predictions=[[0.5, 0.5], [0.75, 0.25]], references=[0, 1], bins=2)
    assert got == {"ece": 0.625}


def test_certain_and_right_is_zero_certain_and_wrong_is_one():
    assert load("ece").compute(predictions=[[1.0, 0.0]], references=[0]) == {"ece": 0.0}
    assert load("ece").compute(predictions=[[1.0, 0.0]], references=[1]) == {"ece": 1.0}


def test_single_precision_rows_pass():
    rows = np.random.default_rng(0).dirichlet(np.ones(3), 50).astype(np.float32)
    assert 0 < load("ece").compute(predictions=rows, references=rows.argmax(axis=1))["ece"] < 1


def test_no_bin_is_an_error():
    with pytest.raises(InputError, match="ece: bins: wanted 1 or more, got 0"):
        load("ece").compute(predictions=[[1.0, 0.0]], references=[0], bins=0)
