import math

import pytest

from lmcompare.core.errors import InputError
from lmcompare.statistics import Difference, Limit, Reason, verdict


def gap(low, high, seeds=6):
    return Difference((low + high) / 2, low, high, 0.01, seeds, 100, 0.04, 0.01, 0.01)


@pytest.mark.parametrize(
    ("low", "high", "seeds", "converged", "word", "reason", "limit"),
    [
        (0.02, 0.05, 6, True, "SUPPORTED", Reason.BEYOND_EFFECT, Limit.NONE),
        (0.005, 0.05, 6, True, "WEAKLY SUPPORTED", Reason.EXCLUDES_ZERO, Limit.NONE),
        (-0.05, -0.005, 6, True, "REFUTED", Reason.EXCLUDES_ZERO_AGAINST, Limit.NONE),
        (-0.005, 0.009, 6, True, "EQUIVALENT", Reason.WITHIN_BOUNDS, Limit.NONE),
        (0.001, 0.009, 6, True, "EQUIVALENT", Reason.WITHIN_BOUNDS, Limit.NONE),
        (-0.02, 0.05, 6, True, "INCONCLUSIVE", Reason.INCLUDES_ZERO, Limit.NONE),
        (0.02, 0.05, 6, False, "INCONCLUSIVE", Reason.NOT_CONVERGED, Limit.NONE),
        (0.02, 0.05, 5, True, "WEAKLY SUPPORTED", Reason.BEYOND_EFFECT, Limit.FEW_SEEDS),
        (0.005, 0.05, 2, True, "WEAKLY SUPPORTED", Reason.EXCLUDES_ZERO, Limit.FEW_SEEDS),
        (-0.05, -0.005, 5, True, "INCONCLUSIVE", Reason.EXCLUDES_ZERO_AGAINST, Limit.FEW_SEEDS),
        (-0.005, 0.009, 2, True, "INCONCLUSIVE", Reason.WITHIN_BOUNDS, Limit.FEW_SEEDS),
        (0.02, 0.05, 1, True, "INCONCLUSIVE", Reason.BEYOND_EFFECT, Limit.ONE_SEED),
        (math.nan, math.nan, 1, True, "INCONCLUSIVE", Reason.NO_SPREAD, Limit.NONE),
    ],
)
def test_verdicts(low, high, seeds, converged, word, reason, limit):
    judged = verdict(gap(low, high, seeds), 0.01, converged)
    assert (judged.word, judged.reason, judged.limit) == (word, reason, limit)


def test_the_number_of_seeds_may_be_given():
    assert verdict(gap(0.02, 0.05), 0.01, True, 3).word == "WEAKLY SUPPORTED"


def test_holms_correction_can_take_a_verdict_back():
    assert verdict(gap(0.02, 0.05), 0.01, True, adjusted_p=0.04).word == "SUPPORTED"
    judged = verdict(gap(0.02, 0.05), 0.01, True, adjusted_p=0.08)
    assert judged.word == "INCONCLUSIVE" and judged.limit == Limit.HOLM


def test_a_smallest_effect_of_nothing_is_an_error():
    with pytest.raises(InputError, match="smallest effect of interest above 0, got 0"):
        verdict(gap(0.02, 0.05), 0, True)
