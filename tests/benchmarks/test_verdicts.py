import numpy as np
import pytest

from lmcompare.benchmarks.verdicts import METRICS, SimulatedStudy, calibrate, planted, table


@pytest.mark.parametrize("metric", METRICS)
def test_an_model_against_itself_gets_a_direction_at_most_5_times_of_100(metric):
    """Over 1,000 experiments of six seeds; and their intervals cover at 95% +- 2."""
    found = calibrate(SimulatedStudy(metric, seeds=6, items=80), experiments=1000, resamples=300)
    assert found.directional <= 0.05
    assert 0.93 <= found.covered <= 0.97


def test_two_seeds_err_on_the_side_of_silence():
    found = calibrate(
        SimulatedStudy("accuracy", seeds=2, items=80), experiments=1000, resamples=300
    )
    assert found.directional <= 0.05 and found.covered >= 0.95


@pytest.mark.parametrize("metric", METRICS)
def test_planted_effects_are_found_as_often_as_promised(metric):
    found = planted(SimulatedStudy(metric, seeds=6, items=80), experiments=400, resamples=300)
    assert 0.7 <= found.found <= 0.9 and 0.92 <= found.covered <= 0.98
    assert found.truth == pytest.approx(found.detectable, rel=0.2)


def test_one_seed_would_be_fooled_by_seeds():
    """What the rule of several seeds is for: items alone take the luck of a seed for a difference."""
    world = SimulatedStudy("bits_per_byte", seeds=1, items=500, seed_sd=0.2)
    found = calibrate(world, experiments=200, resamples=200)
    assert found.covered < 0.7 and found.directional == 0


def test_a_world_is_what_it_says():
    a, b, size = SimulatedStudy("accuracy", seeds=50, items=400, seed_sd=0.0, noise=0.0).draw(
        0.0, np.random.default_rng(0)
    )
    assert (a == b).all() and set(np.unique(a)) == {0, 1} and (size == 1).all()
    a, b, size = SimulatedStudy("bits_per_byte", seeds=3, items=4).draw(
        1.0, np.random.default_rng(0)
    )
    assert a.shape == b.shape == size.shape == (3, 4) and (size == size[0]).all()
    assert (a / size).mean() - (b / size).mean() == pytest.approx(0.2, abs=0.15)


def test_the_table_has_a_row_for_each_world():
    frame = table([SimulatedStudy(seeds=2, items=20)], experiments=20)
    same = calibrate(SimulatedStudy(seeds=2, items=20), experiments=20)
    assert frame["seeds"].tolist() == [2] and frame["coverage, no effect"].tolist() == [
        same.covered
    ]
