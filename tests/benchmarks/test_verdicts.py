import numpy as np
import pytest

from lmcompare.benchmarks.verdicts import (
    METRICS,
    SimulatedStudy,
    simulate,
    simulate_detectable,
    table,
)


@pytest.mark.parametrize("metric", METRICS)
def test_equal_models_get_a_directional_verdict_in_at_most_5_percent(metric):
    """Over 1,000 experiments of six seeds; and their intervals cover at 95% +- 2."""
    rates = simulate(SimulatedStudy(metric, seeds=6, items=80), experiments=1000, resamples=300)
    assert rates.directional <= 0.05
    assert 0.93 <= rates.coverage <= 0.97


def test_two_seeds_err_on_the_side_of_silence():
    rates = simulate(SimulatedStudy("accuracy", seeds=2, items=80), experiments=1000, resamples=300)
    assert rates.directional <= 0.05 and rates.coverage >= 0.95


@pytest.mark.parametrize("metric", METRICS)
def test_planted_effects_are_found_as_often_as_promised(metric):
    study = SimulatedStudy(metric, seeds=6, items=80)
    rates = simulate_detectable(study, experiments=400, resamples=300)
    assert 0.7 <= rates.power <= 0.9 and 0.92 <= rates.coverage <= 0.98
    assert rates.true_difference == pytest.approx(rates.detectable, rel=0.2)


def test_one_seed_would_be_fooled_by_seeds():
    """What the rule of several seeds is for: items alone take seed variance for a difference."""
    study = SimulatedStudy("bits_per_byte", seeds=1, items=500, seed_sd=0.2)
    rates = simulate(study, experiments=200, resamples=200)
    assert rates.coverage < 0.7 and rates.directional == 0


def test_a_study_is_what_it_says():
    a, b, size = SimulatedStudy("accuracy", seeds=50, items=400, seed_sd=0.0, noise=0.0).draw(
        0.0, np.random.default_rng(0)
    )
    assert (a == b).all() and set(np.unique(a)) == {0, 1} and (size == 1).all()
    a, b, size = SimulatedStudy("bits_per_byte", seeds=3, items=4).draw(
        1.0, np.random.default_rng(0)
    )
    assert a.shape == b.shape == size.shape == (3, 4) and (size == size[0]).all()
    assert (a / size).mean() - (b / size).mean() == pytest.approx(0.2, abs=0.15)


def test_the_table_has_a_row_for_each_study():
    frame = table([SimulatedStudy(seeds=2, items=20)], experiments=20)
    same = simulate(SimulatedStudy(seeds=2, items=20), experiments=20)
    assert frame["seeds"].tolist() == [2] and frame["coverage, no effect"].tolist() == [
        same.coverage
    ]
