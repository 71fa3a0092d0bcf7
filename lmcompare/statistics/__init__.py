"""Uncertainty: intervals over seeds and items, paired tests, and verdicts on claims."""

from lmcompare.statistics.intervals import Difference, Estimate, difference, estimate
from lmcompare.statistics.scaling import PowerLaw, crossing, power_law, shares
from lmcompare.statistics.significance import (
    expected_maximum,
    holm,
    interquartile_mean,
    mcnemar,
    probability_of_improvement,
    wilson,
)
from lmcompare.statistics.verdicts import ENOUGH_SEEDS, Limit, Reason, Test, Verdict, verdict

__all__ = [
    "ENOUGH_SEEDS",
    "Difference",
    "Estimate",
    "Limit",
    "PowerLaw",
    "Reason",
    "Test",
    "Verdict",
    "crossing",
    "difference",
    "estimate",
    "expected_maximum",
    "holm",
    "interquartile_mean",
    "mcnemar",
    "power_law",
    "probability_of_improvement",
    "shares",
    "verdict",
    "wilson",
]
