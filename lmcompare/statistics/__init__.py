"""How sure a number is: intervals over seeds and items, paired tests, and verdicts on claims."""

from lmcompare.statistics.intervals import Difference, Estimate, clustered, difference, estimate
from lmcompare.statistics.scaling import PowerLaw, crossing, power_law, shares
from lmcompare.statistics.significance import (
    expected_maximum,
    holm,
    interquartile_mean,
    mcnemar,
    minimum_detectable_effect,
    probability_of_improvement,
    sign_flip,
    wilson,
)
from lmcompare.statistics.verdicts import ENOUGH_SEEDS, Verdict, verdict

__all__ = [
    "ENOUGH_SEEDS",
    "Difference",
    "Estimate",
    "PowerLaw",
    "Verdict",
    "clustered",
    "crossing",
    "difference",
    "estimate",
    "expected_maximum",
    "holm",
    "interquartile_mean",
    "mcnemar",
    "minimum_detectable_effect",
    "power_law",
    "probability_of_improvement",
    "shares",
    "sign_flip",
    "verdict",
    "wilson",
]
