import numpy as np
import pytest
from sklearn.metrics import matthews_corrcoef

from lmcompare.metrics import load


def test_twelve_pictures_of_cats_and_dogs():
    # 6 true positives, 2 false negatives, 1 false positive, 3 true negatives (the example of
    # Wikipedia's article).
    references = [1] * 8 + [0] * 4
    predictions = [1] * 6 + [0] * 2 + [1] + [0] * 3
    got = load("matthews").compute(predictions=predictions, references=references)
    assert got == {"matthews": pytest.approx((6 * 3 - 1 * 2) / (7 * 8 * 4 * 5) ** 0.5, abs=1e-12)}


def test_three_classes_equal_the_library():
    rng = np.random.default_rng(0)
    references = rng.integers(0, 3, 50)
    predictions = np.where(rng.random(50) < 0.6, references, rng.integers(0, 3, 50))
    got = load("matthews").compute(predictions=predictions, references=references)
    assert got["matthews"] == pytest.approx(matthews_corrcoef(references, predictions), abs=1e-12)
    assert got["matthews"] > 0.3


@pytest.mark.parametrize(
    ("predictions", "references"), [([1, 1], [1, 1]), ([1, 1], [0, 1]), ([0, 1], [1, 1])]
)
def test_one_class_alone_is_no_correlation_and_no_warning(predictions, references):
    assert load("matthews").compute(predictions=predictions, references=references) == {
        "matthews": 0.0
    }
