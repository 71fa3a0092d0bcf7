import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcompare.core.errors import InputError
from lmcompare.statistics import (
    expected_maximum,
    holm,
    interquartile_mean,
    mcnemar,
    probability_of_improvement,
    wilson,
)


@pytest.mark.parametrize(  # Newcombe 1998, table I, method 3
    ("successes", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_is_as_published(successes, n, low, high):
    assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2), (-1, 2)])
def test_wilson_of_nothing(successes, n):
    with pytest.raises(InputError, match="wilson: wanted"):
        wilson(successes, n)


def test_mcnemar():
    assert mcnemar(0, 0) == 1
    assert mcnemar(7, 2) == mcnemar(2, 7) == pytest.approx(2 * (1 + 9 + 36) / 512, abs=1e-12)
    with pytest.raises(InputError, match="wanted counts"):
        mcnemar(-1, 2)


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_never_lowers_a_p_value_nor_changes_their_order(ps):
    adjusted = holm(ps)
    assert all(p <= q <= min(1, p * len(ps)) + 1e-12 for p, q in zip(ps, adjusted, strict=True))
    ordered = [q for _, q in sorted(zip(ps, adjusted, strict=True))]
    assert ordered == sorted(ordered)


def test_holm_of_what_is_no_p_value():
    with pytest.raises(InputError, match="from 0 to 1"):
        holm([0.5, 1.5])


def test_summaries_of_runs():
    assert interquartile_mean(range(8)) == 3.5
    assert probability_of_improvement([1, 1], [1, 1]) == 0.5
    assert probability_of_improvement([2, 3, 4], [1]) == 1


def test_the_best_of_n_trials_is_what_drawing_gives():
    values = np.random.default_rng(0).random(7)
    drawn = np.random.default_rng(1).choice(values, (200_000, 3)).max(axis=1).mean()
    assert expected_maximum(values, 3) == pytest.approx(drawn, abs=2e-3)
    assert expected_maximum(values, 1) == pytest.approx(values.mean())
    assert expected_maximum(values, 10_000) == pytest.approx(values.max())


@pytest.mark.parametrize(("values", "n"), [([], 1), ([1.0], 0)])
def test_no_trial_has_no_best(values, n):
    with pytest.raises(InputError, match="wanted values and n of at least 1"):
        expected_maximum(values, n)
