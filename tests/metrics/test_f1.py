import pytest

from lmcompare.core.errors import InputError
from lmcompare.metrics import load

# The example of scikit-learn's documentation of f1_score.
TRUE, PREDICTED = [0, 1, 2, 0, 1, 2], [0, 2, 1, 0, 0, 1]


@pytest.mark.parametrize(
    ("average", "expected"), [("macro", 0.8 / 3), ("micro", 1 / 3), ("weighted", 0.8 / 3)]
)
def test_averages(average, expected):
    got = load("f1").compute(predictions=PREDICTED, references=TRUE, average=average)
    assert got == {f"f1_{average}": pytest.approx(expected, abs=1e-12)}


def test_per_class():
    got = load("f1").compute(predictions=PREDICTED, references=TRUE, average="per_class")
    assert got == pytest.approx({"f1_0": 0.8, "f1_1": 0.0, "f1_2": 0.0}, abs=1e-12)


def test_a_class_that_is_absent_counts_only_if_named():
    metric = load("f1")
    assert metric.compute(predictions=[0, 1], references=[0, 1]) == {"f1_macro": 1.0}
    got = metric.compute(predictions=[0, 1], references=[0, 1], labels=[0, 1, 2])
    assert got == {"f1_macro": pytest.approx(2 / 3, abs=1e-12)}


def test_a_class_that_is_never_predicted_scores_zero_without_a_warning():
    got = load("f1").compute(predictions=[0, 0, 0, 0], references=[0, 0, 0, 1])
    assert got == {"f1_macro": pytest.approx((6 / 7 + 0) / 2, abs=1e-12)}


def test_a_single_class():
    assert load("f1").compute(predictions=[1, 1], references=[1, 1]) == {"f1_macro": 1.0}


def test_an_unknown_average_gives_the_nearest():
    with pytest.raises(InputError, match="got 'makro'; did you mean 'macro'"):
        load("f1").compute(predictions=[0], references=[0], average="makro")
