import numpy as np
import pytest
from scipy import stats

from lmcompare.core.errors import InputError
from lmcompare.metrics import load

THEIRS = {"pearson": stats.pearsonr, "spearman": stats.spearmanr}


@pytest.mark.parametrize("name", THEIRS)
def test_it_equals_the_library_with_ties(name):
    rng = np.random.default_rng(0)
    ratings = rng.integers(0, 6, 50).astype(float)
    cosines = ratings + rng.normal(size=50)
    got = load(name).compute(predictions=cosines, references=ratings)
    assert got == {name: pytest.approx(THEIRS[name](cosines, ratings).statistic, abs=1e-9)}
    assert 0.5 < got[name] < 1


def test_only_spearman_ignores_the_scale():
    x = [1.0, 2.0, 3.0, 4.0]
    given = {"predictions": [10.0**v for v in x], "references": x}
    assert load("spearman").compute(**given) == {"spearman": pytest.approx(1, abs=1e-12)}
    assert load("pearson").compute(**given)["pearson"] < 0.9


@pytest.mark.parametrize("name", THEIRS)
@pytest.mark.parametrize("constant", [[0.1, 0.1, 0.1], [1e9, 1e9, 1e9]])
def test_a_constant_answer_is_no_correlation_and_no_warning(name, constant):
    assert load(name).compute(predictions=constant, references=[1.0, 2.0, 3.0]) == {name: 0.0}
    assert load(name).compute(predictions=[1.0, 2.0, 3.0], references=constant) == {name: 0.0}


def test_constant_but_for_rounding():
    rounded = [1.0, 1.0, float(np.nextafter(1, 2))]
    assert load("pearson").compute(predictions=rounded, references=[1.0, 2.0, 3.0]) == {
        "pearson": 0.0
    }


@pytest.mark.parametrize("name", THEIRS)
def test_what_cannot_be(name):
    metric = load(name)
    with pytest.raises(InputError, match=f"{name}: wanted two pairs or more, got one"):
        metric.compute(predictions=[1.0], references=[1.0])
    with pytest.raises(InputError, match=f"{name}: item 1: wanted a finite reference, got nan"):
        metric.compute(predictions=[1.0, 2.0], references=[1.0, float("nan")])
    with pytest.raises(InputError, match=f"{name}: item 0: wanted a finite prediction, got inf"):
        metric.compute(predictions=[float("inf"), 2.0], references=[1.0, 2.0])
