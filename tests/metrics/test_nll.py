import numpy as np
import pytest
from sklearn.metrics import log_loss

from lmcompare.metrics import load


def test_it_equals_the_library_though_a_class_is_absent():
    rng = np.random.default_rng(0)
    rows = rng.dirichlet(np.ones(4), 40)
    labels = rng.integers(0, 3, 40)  # class 3 never occurs
    got = load("nll").compute(predictions=rows, references=labels)["nll"]
    assert got == pytest.approx(log_loss(labels, rows, labels=[0, 1, 2, 3]), abs=1e-9)
    assert got == pytest.approx(-np.log(rows[np.arange(40), labels]).mean(), abs=1e-9)


def test_a_single_class_in_the_references():
    assert load("nll").compute(predictions=[[0.25, 0.75]] * 2, references=[1, 1])[
        "nll"
    ] == pytest.approx(np.log(4 / 3))


def test_a_probability_of_zero_is_finite():
    assert load("nll").compute(predictions=[[1.0, 0.0]], references=[1])["nll"] == pytest.approx(
        36.0437, abs=1e-3
    )


def test_single_precision_rows_do_not_warn():
    rows = np.random.default_rng(0).dirichlet(np.ones(3), 50).astype(np.float32)
    assert load("nll").compute(predictions=rows, references=rows.argmax(axis=1))["nll"] > 0
