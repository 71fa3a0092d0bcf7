"""Verdicts: what a paired difference means for a claim."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import numpy as np

from lmcompare.core.errors import InputError
from lmcompare.statistics.intervals import Difference

Test = Literal["superiority", "non_inferiority", "equivalence"]
Word = Literal["SUPPORTED", "WEAKLY SUPPORTED", "REFUTED", "EQUIVALENT", "INCONCLUSIVE"]

ENOUGH_SEEDS = 6
"""Paired seeds for a claim about objectives: with 5, the least two-sided sign-flip p is 0.0625."""


class Reason(StrEnum):
    """Where the interval lies, or why it was not looked at."""

    NOT_MEASURED = "not measured"
    NOT_CONVERGED = "a network did not pass the convergence check"
    NO_SPREAD = "one seed and one value"
    BEYOND_EFFECT = "beyond the smallest effect"
    EXCLUDES_ZERO = "excludes 0, but not effects below the smallest"
    EXCLUDES_ZERO_AGAINST = "excludes 0 on the other side"
    INCLUDES_ZERO = "includes 0"
    WITHIN_BOUNDS = "within the bounds of the test"
    OUTSIDE_BOUNDS = "outside the bounds of the test"
    ACROSS_BOUNDS = "on both sides of a bound of the test"


class Limit(StrEnum):
    """What takes back, or weakens, the verdict that the interval alone would give."""

    NONE = ""
    HOLM = "p after Holm's correction"
    ONE_SEED = "one seed"
    FEW_SEEDS = "few seeds"


@dataclass(frozen=True)
class Verdict:
    """What a difference means for a claim, and why."""

    word: Word
    reason: Reason
    limit: Limit = Limit.NONE


def verdict(
    difference: Difference,
    smallest_effect: float,
    converged: bool,
    seeds: int | None = None,
    *,
    adjusted_p: float | None = None,
    test: Test = "superiority",
) -> Verdict:
    """Say what a difference means for the claim 'the first is better' (not worse, equal).

    ===================  =====================================================================
    SUPPORTED            the interval lies beyond +smallest_effect
    EQUIVALENT           it lies inside +-smallest_effect, on whichever side of 0 (Lakens 2017)
    WEAKLY SUPPORTED     it excludes 0 in favor of the claim
    REFUTED              it excludes 0 against the claim
    INCONCLUSIVE         none of these, or a network that did not pass the convergence check
    ===================  =====================================================================

    Non-inferiority is SUPPORTED where the interval lies above -smallest_effect, REFUTED where it
    lies below; equivalence where it lies inside or outside +-smallest_effect (Lakens 2017).

    Fewer than 6 seeds never give more than WEAKLY SUPPORTED, and what else they show is
    INCONCLUSIVE; so is one seed always, because its interval knows nothing of other seeds.

    Args:
        difference: oriented so that the claim predicts a value above 0.
        smallest_effect: of interest, above 0, fixed before anything was measured.
        converged: whether every network of the difference passed the convergence check.
        seeds: number of independent pretraining seeds; default ``difference.seeds``.
        adjusted_p: p-value after Holm's correction, where several claims are made together: above
            0.05 the claim is neither supported nor refuted.
        test: what the claim says.

    Raises:
        InputError: smallest_effect is not above 0.
    """
    if not smallest_effect > 0:
        raise InputError(
            f"verdict: wanted a smallest effect of interest above 0, got {smallest_effect}"
        )
    seeds = difference.seeds if seeds is None else seeds
    if not converged:
        return Verdict("INCONCLUSIVE", Reason.NOT_CONVERGED)
    if not (np.isfinite(difference.low) and np.isfinite(difference.high)):
        return Verdict("INCONCLUSIVE", Reason.NO_SPREAD)
    place = _superiority if test == "superiority" else _bounded
    word, reason = place(difference.low, difference.high, smallest_effect, test)
    if word == "INCONCLUSIVE":
        return Verdict(word, reason)
    if adjusted_p is not None and adjusted_p > 0.05 and word != "EQUIVALENT":
        return Verdict("INCONCLUSIVE", reason, Limit.HOLM)
    if seeds == 1:
        return Verdict("INCONCLUSIVE", reason, Limit.ONE_SEED)
    if seeds < ENOUGH_SEEDS:
        weak = word in ("SUPPORTED", "WEAKLY SUPPORTED")
        return Verdict("WEAKLY SUPPORTED" if weak else "INCONCLUSIVE", reason, Limit.FEW_SEEDS)
    return Verdict(word, reason)


def _superiority(low: float, high: float, effect: float, test: Test) -> tuple[Word, Reason]:
    if low > effect:
        return "SUPPORTED", Reason.BEYOND_EFFECT
    if -effect < low and high < effect:
        return "EQUIVALENT", Reason.WITHIN_BOUNDS
    if low > 0:
        return "WEAKLY SUPPORTED", Reason.EXCLUDES_ZERO
    if high < 0:
        return "REFUTED", Reason.EXCLUDES_ZERO_AGAINST
    return "INCONCLUSIVE", Reason.INCLUDES_ZERO


def _bounded(low: float, high: float, effect: float, test: Test) -> tuple[Word, Reason]:
    if -effect < low and (test == "non_inferiority" or high < effect):
        return "SUPPORTED", Reason.WITHIN_BOUNDS
    if high < -effect or (test == "equivalence" and low > effect):
        return "REFUTED", Reason.OUTSIDE_BOUNDS
    return "INCONCLUSIVE", Reason.ACROSS_BOUNDS
