import math

import numpy as np
import pytest

from lmcompare.core.errors import InputError
from lmcompare.statistics import crossing, power_law, shares

SCALES = np.repeat([1e6, 3e6, 1e7, 3e7], 3)


def planted(rng, exponent, level=8.0, noise=0.01):
    """Three seeds at each of four scales."""
    return level * SCALES**exponent * np.exp(noise * rng.standard_normal(len(SCALES)))


def test_a_planted_exponent_lies_in_its_interval_as_often_as_it_should():
    hits = 0
    for number in range(400):
        value, low, high = power_law(
            [SCALES], planted(np.random.default_rng(number), -0.08)
        ).exponent()
        assert low < value < high
        hits += low < -0.08 < high
    assert 0.92 <= hits / 400 <= 0.98


def test_two_exponents_are_told_apart():
    rng = np.random.default_rng(0)
    sizes, tokens = (grid.ravel() for grid in np.meshgrid([1e5, 1e6, 1e7], [1e7, 1e8, 1e9]))
    law = power_law(
        [sizes, tokens], 9 * sizes**-0.07 * tokens**-0.1 * np.exp(0.001 * rng.standard_normal(9))
    )
    assert law.exponent(0)[0] == pytest.approx(-0.07, abs=0.002)
    assert law.exponent(1)[0] == pytest.approx(-0.1, abs=0.002)
    assert float(law.at(1e6, 1e8)) == pytest.approx(9 * 1e6**-0.07 * 1e8**-0.1, rel=0.01)


def test_the_crossing_lies_in_its_interval_as_often_as_it_should():
    hits = told = 0
    true = (8.0 / 4.0) ** (1 / (0.15 - 0.1))
    for number in range(300):
        rng = np.random.default_rng(number)
        first = power_law([SCALES], planted(rng, -0.15, 8.0))
        at, low, high = crossing(first, power_law([SCALES], planted(rng, -0.1, 4.0)))
        told += math.isfinite(low)
        hits += bool(low < true < high)
        assert not math.isfinite(low) or low <= at <= high
    assert told == 300 and 0.91 <= hits / told <= 0.99


def test_laws_of_one_exponent_cross_nowhere_that_can_be_told():
    told = 0
    for number in range(200):
        rng = np.random.default_rng(number)
        told += math.isfinite(
            crossing(*(power_law([SCALES], planted(rng, -0.1, level)) for level in (8.0, 7.0)))[1]
        )
    assert told / 200 <= 0.09


def test_shares_are_those_that_were_planted():
    rng = np.random.default_rng(0)
    scale, objective = np.repeat(np.arange(4), 40), np.tile(np.repeat(np.arange(2), 20), 4)
    got = shares(
        np.array([0.0, 1, 2, 3])[scale] + objective + 0.5 * rng.standard_normal(160),
        scale,
        objective,
    )
    assert sum(got.values()) == pytest.approx(1)
    assert got["scale"] == pytest.approx(1.25 / 1.75, abs=0.05) and got[
        "objective"
    ] == pytest.approx(0.25 / 1.75, abs=0.05)
    assert got["scale x objective"] < 0.03 and got["seed"] == pytest.approx(0.25 / 1.75, abs=0.05)
    assert math.isnan(shares([1.0, 1.0], [1, 2], ["a", "b"])["scale"])


def test_what_has_no_law_is_refused():
    with pytest.raises(InputError, match="positive"):
        power_law([[1, 2, 3]], [1, 0, 1])
    with pytest.raises(InputError, match="points of different scales"):
        power_law([[1, 2]], [2, 1])
    with pytest.raises(InputError, match="points of different scales"):
        power_law([[5, 5, 5]], [3, 2, 1])
