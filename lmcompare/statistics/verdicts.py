"""What a difference says of a claim."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from lmcompare.core.errors import InputError
from lmcompare.statistics.intervals import Difference

Test = Literal["superiority", "non_inferiority", "equivalence"]
Word = Literal["SUPPORTED", "WEAKLY SUPPORTED", "REFUTED", "EQUIVALENT", "INCONCLUSIVE"]

ENOUGH_SEEDS = 6
"""Paired seeds for a claim about objectives: with 5, the smallest two-sided sign-flip p is 2/32 = 0.0625."""


@dataclass(frozen=True)
class Verdict:
    """What a difference says of a claim: one word and one line."""

    word: Word
    reason: str


def verdict(
    difference: Difference,
    sesoi: float,
    gate_passed: bool,
    seeds: int | None = None,
    *,
    adjusted_p: float | None = None,
    test: Test = "superiority",
) -> Verdict:
    """Say what a difference means for the claim 'the first is better' (or 'not worse', or 'equal').

    ===================  =====================================================================
    SUPPORTED            the interval lies beyond +sesoi
    EQUIVALENT           it lies inside +-sesoi, on whichever side of 0 (Lakens 2017)
    WEAKLY SUPPORTED     it excludes 0 in favour of the claim
    REFUTED              it excludes 0 against the claim
    INCONCLUSIVE         none of these, or a network that had not learnt from context yet
    ===================  =====================================================================

    'Not worse' (non-inferiority) is SUPPORTED where the interval lies above -sesoi, REFUTED where it lies below;
    'equal' is SUPPORTED where it lies inside +-sesoi, REFUTED where it lies outside (Lakens 2017).

    Fewer than 6 seeds never give more than WEAKLY SUPPORTED, and what else they show is INCONCLUSIVE; one seed is
    always INCONCLUSIVE, because its interval knows nothing of other seeds.

    Args:
        difference: oriented so that the claim predicts a value above 0.
        sesoi: smallest effect size of interest, above 0, fixed before anything was measured.
        gate_passed: whether every network that the difference rests on had learnt to use context.
        seeds: number of independent pretraining seeds; default ``difference.seeds``.
        adjusted_p: the p-value after Holm's correction, where several claims are made together: above 0.05 the claim is
            neither supported nor refuted.
        test: what the claim states of the first model.

    Raises:
        InputError: sesoi is not above 0.
    """
    if not sesoi > 0:
        raise InputError(f"verdict: wanted a smallest effect of interest above 0, got {sesoi}")
    seeds = difference.seeds if seeds is None else seeds
    low, high, range_ = (
        difference.low,
        difference.high,
        f"[{difference.low:.3g}, {difference.high:.3g}]",
    )
    if not gate_passed:
        return Verdict(
            "INCONCLUSIVE",
            "a network had not left the plateau: it had not learnt to use context yet",
        )
    if not (np.isfinite(low) and np.isfinite(high)):
        return Verdict(
            "INCONCLUSIVE", "one seed and one value: there is nothing to judge the spread by"
        )
    detectable = f"a true difference of {difference.detectable:.3g} would have been seen in 4 of 5 such experiments"
    word: Word
    if test != "superiority":
        bounds = f"-{sesoi:.3g}" if test == "non_inferiority" else f"+-{sesoi:.3g}"
        if -sesoi < low and (test == "non_inferiority" or high < sesoi):
            word, reason = "SUPPORTED", f"the interval {range_} lies {_side(test, 'in')} {bounds}"
        elif high < -sesoi or (test == "equivalence" and low > sesoi):
            word, reason = "REFUTED", f"the interval {range_} lies {_side(test, 'out')} {bounds}"
        else:
            return Verdict(
                "INCONCLUSIVE",
                f"the interval {range_} lies on both sides of {bounds}; {detectable}",
            )
    elif low > sesoi:
        word, reason = (
            "SUPPORTED",
            f"the interval {range_} lies beyond the smallest effect of interest, {sesoi:.3g}",
        )
    elif -sesoi < low and high < sesoi:
        word, reason = (
            "EQUIVALENT",
            f"the interval {range_} lies inside +-{sesoi:.3g}, too small an effect to matter",
        )
    elif low > 0:
        word, reason = (
            "WEAKLY SUPPORTED",
            f"the interval {range_} excludes 0, but not effects below {sesoi:.3g}",
        )
    elif high < 0:
        word, reason = "REFUTED", f"the interval {range_} excludes 0 on the other side"
    else:
        return Verdict("INCONCLUSIVE", f"the interval {range_} holds 0; {detectable}")
    if adjusted_p is not None and adjusted_p > 0.05 and word != "EQUIVALENT":
        return Verdict(
            "INCONCLUSIVE",
            f"{reason}, but p is {adjusted_p:.2g} after Holm's correction; {detectable}",
        )
    if seeds == 1:
        return Verdict("INCONCLUSIVE", f"{reason}, but one seed says nothing of other seeds")
    if seeds < ENOUGH_SEEDS:
        word = "WEAKLY SUPPORTED" if word.endswith("SUPPORTED") else "INCONCLUSIVE"
        reason += f", but {seeds} seeds are fewer than the {ENOUGH_SEEDS} that a claim about objectives needs"
    return Verdict(word, reason)


def _side(test: Test, where: Literal["in", "out"]) -> str:
    if test == "non_inferiority":
        return "above" if where == "in" else "below"
    return "inside" if where == "in" else "outside"
