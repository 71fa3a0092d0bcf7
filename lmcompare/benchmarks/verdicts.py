"""``python -m lmcompare.benchmarks.verdicts``: error rates of verdicts on simulated experiments."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lmcompare.benchmarks import markdown_table
from lmcompare.statistics.intervals import difference
from lmcompare.statistics.verdicts import verdict

Metric = Literal["accuracy", "bits_per_byte"]
METRICS: tuple[Metric, ...] = ("accuracy", "bits_per_byte")

DIRECTIONAL = ("SUPPORTED", "WEAKLY SUPPORTED", "REFUTED")
"""Verdicts that say which of two models is better."""


@dataclass(frozen=True)
class SimulatedStudy:
    """How experiments on two models are simulated.

    A score is the sum of an item's difficulty, common to both models, the deviation of a
    pretraining seed of one model, and the residual of each seed on each item.
    """

    metric: Metric = "accuracy"
    """accuracy (0 or 1 an item) or bits per byte (a ratio of sums, items of unequal length)"""
    seeds: int = 6
    """pretraining seeds of each model"""
    items: int = 500
    """test items"""
    seed_sd: float = 0.1
    """standard deviation of seeds, where that of items is 1"""
    noise: float = 0.7
    """standard deviation of the residual"""

    def draw(self, effect: float, rng: np.random.Generator) -> tuple[NDArray[np.float64], ...]:
        """Return the values of a and of b, and their denominators. Each (seeds, items).

        Args:
            effect: the difference of a and b on the scale of items.
            rng: of all draws.
        """
        shape = (self.seeds, self.items)
        difficulty = rng.standard_normal(self.items)
        residuals = [rng.standard_normal(shape), rng.standard_normal(shape)]
        a, b = (
            mean
            + difficulty
            + self.seed_sd * rng.standard_normal((self.seeds, 1))
            + self.noise * residual
            for mean, residual in zip((effect, 0.0), residuals, strict=True)
        )
        if self.metric == "accuracy":
            correct = (np.where(score + 0.8 > 0, 1.0, 0.0) for score in (a, b))
            return *correct, np.ones(shape)
        sizes = rng.integers(60, 240, self.items).astype(np.float64)  # bytes
        size = np.broadcast_to(sizes, shape)
        bits = (size * (2.2 + 0.2 * score) for score in (a, b))
        return *bits, size


@dataclass(frozen=True)
class ErrorRates:
    """Verdicts and intervals of many simulated experiments."""

    directional: float
    """share of experiments with a directional verdict"""
    coverage: float
    """share whose interval holds the true difference"""
    power: float
    """share whose interval excludes 0 on the side of the true difference"""
    true_difference: float
    """in the metric's own unit"""
    detectable: float
    """mean of the differences that the experiments claim to detect with a power of 80%"""


def simulate(
    study: SimulatedStudy,
    *,
    effect: float = 0.0,
    experiments: int = 1000,
    resamples: int = 2000,
    seed: int = 0,
) -> ErrorRates:
    """Simulate experiments with an effect (see ``SimulatedStudy.draw``); 0 compares equal models.

    >>> rates = simulate(SimulatedStudy(seeds=6, items=80), experiments=1000, resamples=300)
    >>> rates.directional <= 0.05
    True
    """
    rng = np.random.default_rng(seed)
    differences = []
    for number in range(experiments):
        a, b, size = study.draw(effect, rng)
        denominators = None if study.metric == "accuracy" else size
        differences.append(difference(a, b, denominators, resamples=resamples, seed=number))
    # With an effect, the true difference is the mean of many experiments.
    truth = float(np.mean([d.value for d in differences])) if effect else 0.0
    smallest = 0.01 if study.metric == "accuracy" else 0.02
    words = [verdict(d, smallest, converged=True).word for d in differences]
    return ErrorRates(
        directional=float(np.mean([word in DIRECTIONAL for word in words])),
        coverage=float(np.mean([d.low <= truth <= d.high for d in differences])),
        power=float(np.mean([d.low > 0 if truth > 0 else d.high < 0 for d in differences])),
        true_difference=truth,
        detectable=float(np.mean([d.detectable for d in differences])),
    )


def simulate_detectable(
    study: SimulatedStudy, *, experiments: int = 1000, resamples: int = 2000, seed: int = 0
) -> ErrorRates:
    """Simulate experiments with the effect that they claim to detect with a power of 80%.

    That is the mean ``detectable`` of experiments without an effect. The effect with this true
    difference is found by proportion, since one is nearly linear in the other.
    """
    claimed = simulate(
        study, experiments=max(experiments // 5, 20), resamples=resamples, seed=seed + 1
    ).detectable
    effect = 0.2
    for _ in range(3):
        large = replace(study, seeds=4000, items=300)
        a, b, size = large.draw(effect, np.random.default_rng(seed))
        effect *= claimed / abs(float(a.sum() / size.sum() - b.sum() / size.sum()))
    return simulate(
        study, effect=effect, experiments=experiments, resamples=resamples, seed=seed + 2
    )


def table(studies: Sequence[SimulatedStudy], experiments: int) -> pd.DataFrame:
    """Return one row a study: false verdicts and coverage of equal models, power at an effect."""
    rows = []
    for study in studies:
        equal = simulate(study, experiments=experiments)
        detectable = simulate_detectable(study, experiments=experiments)
        rows.append(
            {
                "metric": study.metric,
                "seeds": study.seeds,
                "items": study.items,
                "seed sd": study.seed_sd,
                "false verdicts": equal.directional,
                "coverage, no effect": equal.coverage,
                "coverage, planted": detectable.coverage,
                "promised found (80%)": detectable.power,
                "true difference": detectable.true_difference,
            }
        )
    return pd.DataFrame(rows)


STUDIES = [
    SimulatedStudy(metric, seeds, 500, sd)
    for metric in METRICS
    for seeds in (2, 6, 10)
    for sd in (0.03, 0.1)
]


def main() -> None:
    """Print the table in Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--experiments", type=int, default=1000)
    experiments = parser.parse_args().experiments
    frame = table(STUDIES, experiments)
    print(f"{experiments} simulated experiments of each kind and size\n")
    cells = frame.map(lambda value: f"{value:.3g}" if isinstance(value, float) else str(value))
    print(markdown_table(cells.to_dict("records")))


if __name__ == "__main__":
    main()
