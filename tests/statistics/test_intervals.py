import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lmcompare.core.errors import InputError
from lmcompare.statistics import difference, estimate, mcnemar, resampling, wilson

VALUES = st.lists(st.lists(st.integers(-50, 50), min_size=4, max_size=4), min_size=1, max_size=4)


def world(rng, seeds, items, seed_spread):
    """Values whose mean is 0, of seeds x items: effects of seeds, of items, and of both.

    ``seed_spread`` is in standard errors of the items' mean.
    """
    by_seed = seed_spread * np.sqrt((1 + 0.25 / seeds) / items) * rng.standard_normal((seeds, 1))
    return by_seed + rng.standard_normal(items) + 0.5 * rng.standard_normal((seeds, items))


def multi_bootstrap(values, rng, resamples=300):
    """The ends of the plain percentile interval over seeds and items drawn with replacement."""
    seeds, items = values.shape
    means = [
        values[rng.integers(0, seeds, seeds)][:, rng.integers(0, items, items)].mean()
        for _ in range(resamples)
    ]
    return np.quantile(means, [0.025, 0.975])


# Estimates


def test_a_ratio_is_of_sums():
    got = estimate([[8, 24], [10, 22]], [[4, 6], [4, 6]])
    assert got.value == pytest.approx(3.2, abs=1e-12)
    assert (got.seeds, got.items) == (2, 2)
    assert got.seed_sd == pytest.approx(0, abs=1e-12)  # both seeds need 32 bits for 10 bytes


def test_equal_denominators_only_rescale():
    values = np.random.default_rng(0).random((3, 40)) + 0.1
    mean, ratio = estimate(values), estimate(values, np.full((3, 40), 4.0))
    assert [ratio.value, ratio.low, ratio.high, ratio.seed_sd, ratio.item_se] == pytest.approx(
        [x / 4 for x in (mean.value, mean.low, mean.high, mean.seed_sd, mean.item_se)], rel=1e-9
    )


def test_the_two_spreads_are_apart():
    values = np.array(
        [[0.0, 2.0, 4.0], [1.0, 3.0, 5.0]]
    )  # seeds differ by 1 everywhere, items by 2
    got = estimate(values)
    assert got.seed_sd == pytest.approx(math.sqrt(0.5), abs=1e-12)
    assert got.item_se == pytest.approx(2 / math.sqrt(3), abs=1e-12)


def test_one_seed_of_many_items_is_the_t_interval():
    values = np.random.default_rng(1).standard_normal(60)
    got = estimate(values, resamples=20_000)
    low, high = stats.t.interval(0.95, 59, values.mean(), stats.sem(values))
    assert (got.low, got.high) == pytest.approx((low, high), abs=0.03 * (high - low))
    assert math.isnan(got.seed_sd)


@pytest.mark.parametrize("seeds", [2, 3, 6])
def test_one_value_a_seed_is_the_t_interval(seeds):
    values = np.random.default_rng(seeds).standard_normal((seeds, 1))
    got = estimate(values)
    low, high = stats.t.interval(0.95, seeds - 1, values.mean(), stats.sem(values.ravel()))
    assert (got.low, got.high) == pytest.approx((low, high), abs=0.06 * (high - low))
    assert math.isnan(got.item_se)


def test_one_value_has_no_interval():
    got = estimate([[0.5]])
    assert got.value == 0.5
    assert math.isnan(got.low) and math.isnan(got.high)


def test_one_seed_of_right_and_wrong_is_wilsons_interval():
    right = [1] * 81 + [0] * 182
    got = estimate(right)
    assert (got.low, got.high) == wilson(81, 263)


def test_all_right_is_not_certain():
    for seeds in (1, 3):
        got = estimate(np.ones((seeds, 20)))
        assert (got.value, got.high) == (1.0, 1.0)
        assert got.low == pytest.approx(1 - 0.1611, abs=1e-4)  # Newcombe 1998, table I: 0 of 20


def test_a_share_stays_a_share_and_bits_stay_above_zero():
    rng = np.random.default_rng(0)
    got = estimate((rng.random((2, 50)) < [[0.99], [0.8]]).astype(float))
    assert 0 <= got.low and got.high <= 1
    assert estimate([[1.0, 2.0], [8.0, 9.0]], np.ones((2, 2))).low == 0


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(0).standard_normal((2, 30))
    assert estimate(values, seed=3) == estimate(values, seed=3)
    assert estimate(values, seed=3) != estimate(values, seed=4)


def test_items_in_small_portions_give_the_same_interval(monkeypatch):
    values = np.random.default_rng(0).standard_normal((1, 40))
    whole = estimate(values, resamples=5000)
    monkeypatch.setattr(resampling, "_CHUNK", 1000)
    parts = estimate(values, resamples=5000)
    assert (parts.low, parts.high) == pytest.approx(
        (whole.low, whole.high), abs=0.05 * (whole.high - whole.low)
    )


@settings(deadline=None, max_examples=30)
@given(VALUES, st.integers(-20, 20), st.sampled_from([0.5, 2.0, 4.0]))
def test_other_units_give_the_same_interval_in_other_units(rows, shift, scale):
    values = np.array(rows, dtype=float) - 100  # below 0, so that nothing is clipped
    one, other = (
        estimate(values, resamples=200),
        estimate(values * scale + shift - 200, resamples=200),
    )
    wanted = [x * scale + shift - 200 for x in (one.value, one.low, one.high)]
    assert [other.value, other.low, other.high] == pytest.approx(wanted, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("numerators", "denominators", "message"),
    [
        ([], None, "at least one, got shape"),
        (np.zeros((2, 2, 2)), None, "wanted values of shape"),
        ([[1.0, float("nan")]], None, "wanted finite numbers, got 1 that are not"),
        ([[1.0, 2.0]], [[1.0]], "wanted denominators of shape"),
        ([[1.0, 2.0]], [[1.0, -1.0]], "wanted denominators of 0 or more, got -1"),
        (
            [[1.0, 2.0], [1.0, 2.0]],
            [[1.0, 1.0], [0.0, 0.0]],
            "denominators that add up to more than 0 for each seed",
        ),
    ],
)
def test_what_cannot_be_estimated(numerators, denominators, message):
    with pytest.raises(InputError, match=message):
        estimate(numerators, denominators)


@pytest.mark.parametrize(("seeds", "seed_spread"), [(1, 0), (2, 3), (3, 1), (6, 3), (10, 1)])
def test_95_of_100_intervals_hold_the_truth(seeds, seed_spread):
    rng = np.random.default_rng(seeds)
    held = 0
    for trial in range(150):
        got = estimate(world(rng, seeds, 80, seed_spread), resamples=300, seed=trial)
        held += got.low <= 0 <= got.high
    assert held / 150 >= 0.91


def test_the_plain_bootstrap_of_two_seeds_does_not():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(100):
        low, high = multi_bootstrap(world(rng, 2, 80, 3), rng)
        held += low <= 0 <= high
    assert held / 100 < 0.88


def test_what_items_make_seeds_differ_by_is_counted_once():
    rng = np.random.default_rng(0)
    widths = []
    for trial in range(
        20
    ):  # neither seeds nor items have effects: a difference of two models may look so
        got = estimate(rng.standard_normal((10, 100)), resamples=300, seed=trial)
        widths.append(got.high - got.low)
    assert np.median(widths) == pytest.approx(2 * 1.96 / math.sqrt(10 * 100), rel=0.3)


def test_with_many_seeds_the_interval_is_as_narrow_as_the_plain_bootstrap():
    values = world(np.random.default_rng(0), 40, 80, 1)
    low, high = multi_bootstrap(values, np.random.default_rng(1), 2000)
    got = estimate(values)
    assert got.high - got.low == pytest.approx(high - low, rel=0.1)


# Items of which nothing is counted below


def test_an_item_without_a_denominator_stays():
    errors, words = (
        [[1.0, 2.0, 3.0]],
        [[4.0, 4.0, 0.0]],
    )  # three words were heard where none was said
    assert estimate(errors, words).value == 6 / 8
    assert estimate([errors[0][:2]], [words[0][:2]]).value == 3 / 8  # what leaving it out would say
    assert difference(errors, [[0.0, 0.0, 0.0]], words).value == 6 / 8


def test_leaving_such_items_out_would_miss_the_truth():
    rng = np.random.default_rng(0)
    held = {"in": 0, "out": 0}
    for trial in range(100):
        words = rng.poisson(6, 200) * (rng.random(200) < 0.7)
        errors = rng.binomial(words, 0.1) + rng.poisson(0.5, 200)
        truth = 0.1 + 0.5 / (0.7 * 6)
        kept = words > 0
        for name, of in (("in", np.ones(200, dtype=bool)), ("out", kept)):
            got = estimate(errors[of], words[of], resamples=300, seed=trial)
            held[name] += got.low <= truth <= got.high
    assert held["in"] >= 90 > 50 > held["out"]


@pytest.mark.parametrize("seeds", [1, 3])
def test_one_denominator_among_many_items_is_enough(seeds):
    words = np.zeros((seeds, 6))
    words[:, 0] = 5.0
    errors = np.ones((seeds, 6))
    got = estimate(errors, words)
    assert got.value == 6 / 5 and np.isfinite([got.low, got.high]).all()
    gap = difference(errors, 0 * errors, words, np.roll(words, 1, axis=1))
    assert gap.value == 6 / 5 and np.isfinite([gap.low, gap.high, gap.p]).all()


# Differences


def test_a_difference_by_hand():
    got = difference([[3.0, 5.0], [4.0, 8.0]], [[1.0, 1.0], [2.0, 2.0]])
    assert got.value == 3.5
    assert got.seed_sd == pytest.approx(
        1 / math.sqrt(2), abs=1e-12
    )  # the seeds differ by 3 and by 4
    assert got.item_se == pytest.approx(1.5, abs=1e-12)  # the items by 2 and by 5
    # Mean squares: seeds 1, items 9, rest 1. The seeds differ by no more than the rest explains. One degree of freedom.
    assert got.detectable == pytest.approx(
        (got.high - got.low) / 2 + 1.3764 * math.sqrt(9 / 4), abs=1e-3
    )


def test_the_detectable_difference_holds_both_spreads():
    got = difference(
        [[0.0, 2.0, 4.0], [1.0, 3.0, 5.0]], [[0.0, 0.0, 0.0]]
    )  # mean squares: seeds 1.5, items 8, rest 0: 2.64 degrees
    assert got.detectable == pytest.approx(
        (got.high - got.low) / 2 + 1.0003 * math.sqrt(9.5 / 6), abs=1e-3
    )


def test_ratios_differ_as_ratios():
    got = difference([[8.0, 24.0]], [[6.0, 6.0]], [[4.0, 6.0]], [[2.0, 4.0]])
    assert got.value == pytest.approx(3.2 - 2.0, abs=1e-12)
    assert difference([[8.0, 24.0]], [[6.0, 6.0]], [[4.0, 6.0]]).value == pytest.approx(
        3.2 - 1.2, abs=1e-12
    )


def test_the_error_of_a_difference_of_ratios_is_what_resampling_gives():
    rng = np.random.default_rng(0)
    sizes_a, sizes_b = rng.integers(5, 15, (1, 400)), rng.integers(50, 150, (1, 400))
    a, b = (sizes * rng.normal(2, 0.5, (1, 400)) for sizes in (sizes_a, sizes_b))
    got = difference(a, b, sizes_a, sizes_b)
    assert (got.high - got.low) / (2 * 1.966) == pytest.approx(got.item_se, rel=0.06)


def test_seeds_may_share_one_row_of_denominators():
    a, b, sizes = [[8.0, 24.0], [10.0, 20.0]], [[6.0, 6.0]], [4.0, 6.0]
    assert difference(a, b, sizes) == difference(a, b, [sizes, sizes], [sizes])


@settings(deadline=None, max_examples=30)
@given(VALUES, st.randoms(use_true_random=False))
def test_the_other_way_round_is_the_opposite(rows, random):
    a = np.array(rows, dtype=float)
    b = np.array([[random.randint(-50, 50) for _ in row] for row in rows], dtype=float)
    one, other = difference(a, b, resamples=200), difference(b, a, resamples=200)
    assert other.value == pytest.approx(-one.value, abs=1e-9)
    assert other.detectable == pytest.approx(one.detectable, rel=0.2, abs=1e-9)
    assert other.item_se == pytest.approx(one.item_se, abs=1e-9)


@pytest.mark.parametrize("seeds", [1, 4])
def test_nothing_differs_from_itself(seeds):
    values = np.random.default_rng(0).random((seeds, 30))
    got = difference(values, values)
    assert (got.value, got.low, got.high, got.p) == (0, 0, 0, 1)


def test_agreement_on_every_item_leaves_room_for_the_next():
    right = np.random.default_rng(0).integers(0, 2, (1, 20))
    got = difference(right, right)
    assert (got.low, got.high) == pytest.approx((-0.1611, 0.1611), abs=1e-4)


def test_pairing_pays():
    rng = np.random.default_rng(0)
    items = rng.standard_normal(100)
    a, b = (
        items + 0.3 + 0.1 * rng.standard_normal((3, 100)),
        items + 0.1 * rng.standard_normal((3, 100)),
    )
    got = difference(a, b)
    apart = estimate(a)
    assert got.high - got.low < (apart.high - apart.low) / 3
    assert got.low > 0 and got.p < 0.05


def test_a_control_without_seeds_is_compared_with_every_seed():
    rng = np.random.default_rng(0)
    a, control = rng.random((3, 40)), rng.random((1, 40))
    got = difference(a, control)
    assert got.seeds == 3
    assert got == difference(a, np.repeat(control, 3, axis=0))


@pytest.mark.parametrize(("a", "b"), [((2, 5), (2, 6)), ((2, 5), (3, 5))])
def test_what_cannot_be_paired(a, b):
    with pytest.raises(InputError, match="wanted the same seeds and items on both sides"):
        difference(np.ones(a), np.ones(b))


def test_the_p_value_of_one_seed_is_that_of_all_exchanges():
    gaps = np.array([0.5, 0.2, -0.1, 0.4, 0.3, 0.6, -0.2, 0.1])
    signs = np.array(list(product((1, -1), repeat=8)))
    exact = (np.abs(signs @ gaps) >= abs(gaps.sum()) - 1e-12).mean()
    got = difference(gaps, np.zeros(8), resamples=20_000)
    assert got.p == pytest.approx(exact, abs=0.01)


def test_the_p_value_of_one_seed_resembles_mcnemars():
    a = np.array([1] * 30 + [0] * 12 + [1] * 100)
    b = np.array([0] * 30 + [1] * 12 + [1] * 100)
    assert difference(a, b, resamples=20_000).p == pytest.approx(mcnemar(30, 12), abs=0.005)


def test_the_detectable_difference_of_two_classifiers():
    a, b = np.zeros(1000), np.zeros(1000)
    a[:50], b[50:100] = 1, 1  # 10% of the items discordant
    assert difference(a, b).detectable == pytest.approx(2.8 * math.sqrt(0.1 / 1000), rel=0.03)


def test_the_p_value_goes_with_the_interval():
    rng = np.random.default_rng(0)
    for trial in range(40):
        got = difference(
            world(rng, 4, 30, 1) + 0.4, world(rng, 4, 30, 1), resamples=300, seed=trial
        )
        if abs(got.p - 0.05) > 0.002:
            assert (got.p < 0.05) == (not got.low <= 0 <= got.high)


@pytest.mark.parametrize(("seeds", "seed_spread"), [(1, 0), (2, 1), (6, 3)])
def test_an_model_beats_itself_at_most_5_times_of_100(seeds, seed_spread):
    rng = np.random.default_rng(seeds)
    wrong = 0
    for trial in range(150):
        items = rng.standard_normal(80)
        a, b = (world(rng, seeds, 80, seed_spread) * 0.7 + items + 0.8 > 0 for _ in range(2))
        wrong += difference(a, b, resamples=300, seed=trial).p < 0.05
    assert wrong / 150 <= 0.08  # 5%, and less than two standard errors of 150 trials


def test_six_seeds_that_agree_are_seen():
    rng = np.random.default_rng(0)
    items = rng.standard_normal(300)
    a, b = (items + skill + 0.3 * rng.standard_normal((6, 300)) for skill in (0.2, 0.0))
    got = difference(a, b)
    assert got.p < 0.01 and got.low > 0.1
