import math

import pytest

from lmcompare.core.errors import InputError
from lmcompare.statistics import Difference, verdict


def gap(low, high, seeds=6):
    return Difference((low + high) / 2, low, high, 0.01, seeds, 100, 0.04, 0.01, 0.01)


@pytest.mark.parametrize(
    ("low", "high", "seeds", "gate", "word", "reason"),
    [
        (0.02, 0.05, 6, True, "SUPPORTED", "lies beyond the smallest effect of interest, 0.01"),
        (0.005, 0.05, 6, True, "WEAKLY SUPPORTED", "excludes 0"),
        (-0.05, -0.005, 6, True, "REFUTED", "excludes 0 on the other side"),
        (-0.005, 0.009, 6, True, "EQUIVALENT", "inside"),
        (0.001, 0.009, 6, True, "EQUIVALENT", "inside"),
        (
            -0.02,
            0.05,
            6,
            True,
            "INCONCLUSIVE",
            "holds 0; a true difference of 0.04 would have been seen",
        ),
        (0.02, 0.05, 6, False, "INCONCLUSIVE", "plateau"),
        (0.02, 0.05, 5, True, "WEAKLY SUPPORTED", "5 seeds are fewer than the 6"),
        (0.005, 0.05, 2, True, "WEAKLY SUPPORTED", "2 seeds are fewer than the 6"),
        (-0.05, -0.005, 5, True, "INCONCLUSIVE", "5 seeds are fewer than the 6"),
        (-0.005, 0.009, 2, True, "INCONCLUSIVE", "2 seeds are fewer than the 6"),
        (0.02, 0.05, 1, True, "INCONCLUSIVE", "one seed says nothing of other seeds"),
        (math.nan, math.nan, 1, True, "INCONCLUSIVE", "nothing to judge"),
    ],
)
def test_verdicts(low, high, seeds, gate, word, reason):
    got = verdict(gap(low, high, seeds), 0.01, gate)
    assert got.word == word
    assert reason in got.reason
    assert "\n" not in got.reason


def test_the_number_of_seeds_may_be_said():
    assert verdict(gap(0.02, 0.05), 0.01, True, 3).word == "WEAKLY SUPPORTED"


def test_holms_correction_can_take_a_verdict_back():
    assert verdict(gap(0.02, 0.05), 0.01, True, adjusted_p=0.04).word == "SUPPORTED"
    got = verdict(gap(0.02, 0.05), 0.01, True, adjusted_p=0.08)
    assert got.word == "INCONCLUSIVE" and "0.08 after Holm" in got.reason


def test_a_smallest_effect_of_nothing_is_an_error():
    with pytest.raises(InputError, match="smallest effect of interest above 0, got 0"):
        verdict(gap(0.02, 0.05), 0, True)
