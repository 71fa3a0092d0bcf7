"""Are the verdicts right as often as they say? Simulated experiments whose truth is known.

``python -m lmcompare.benchmarks.verdicts`` prints a table.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lmcompare.statistics.intervals import Difference, difference
from lmcompare.statistics.verdicts import verdict

Metric = Literal["accuracy", "bits_per_byte"]

DIRECTIONAL = ("SUPPORTED", "WEAKLY SUPPORTED", "REFUTED")
"""Verdicts that say which of two models is ahead."""


@dataclass(frozen=True)
class SimulatedStudy:
    """What simulated experiments are like.

    An item is easy or hard for both models, a pretraining seed is lucky or not for one model, and what is left is noise of
    each seed on each item.

    Attributes:
        metric: accuracy (0 or 1 an item) or bits per byte (a ratio of sums, items of unequal length).
        seeds: pretraining seeds of each model.
        items: test items.
        seed_sd: spread of seeds beside that of items, which is 1.
        noise: spread of a seed's noise on an item, on the same scale.
    """

    metric: Metric = "accuracy"
    seeds: int = 6
    items: int = 500
    seed_sd: float = 0.1
    noise: float = 0.7

    def draw(self, effect: float, rng: np.random.Generator) -> tuple[NDArray[np.float64], ...]:
        """Return one experiment: outcomes of a, of b, and denominators. Each (seeds, items).

        Args:
            effect: by how much a is ahead on the scale of items.
            rng: draws all.
        """
        shape = (self.seeds, self.items)
        hardness = rng.standard_normal(self.items)
        models = [
            ahead
            + hardness
            + self.seed_sd * rng.standard_normal((self.seeds, 1))
            + self.noise * noise
            for ahead, noise in (
                (effect, rng.standard_normal(shape)),
                (0.0, rng.standard_normal(shape)),
            )
        ]
        if self.metric == "accuracy":
            a, b = (np.where(skill + 0.8 > 0, 1.0, 0.0) for skill in models)
            return a, b, np.ones(shape)
        size = np.broadcast_to(rng.integers(60, 240, self.items).astype(np.float64), shape)
        a, b = (size * (2.2 + 0.2 * skill) for skill in models)
        return a, b, size


@dataclass(frozen=True)
class ErrorRates:
    """What became of the simulated experiments of one world.

    Attributes:
        directional: share of them with a directional verdict.
        covered: share whose interval holds the true difference.
        found: share whose interval excludes 0 on the side of the true difference.
        truth: the true difference, in the metric's own unit.
        detectable: mean of the differences that they promise to see in 4 of 5 cases.
    """

    directional: float
    covered: float
    found: float
    truth: float
    detectable: float


def calibrate(
    world: SimulatedStudy,
    *,
    effect: float = 0.0,
    experiments: int = 1000,
    resamples: int = 2000,
    seed: int = 0,
) -> ErrorRates:
    """Simulate experiments and count what is said of them.

    >>> calibrate(SimulatedStudy(seeds=6, items=80), experiments=1000, resamples=300).directional <= 0.05
    True

    Args:
        world: what they are like.
        effect: as in ``SimulatedStudy.draw``; 0: a model against itself.
        experiments: how many.
        resamples: of each interval.
        seed: of all.
    """
    rng = np.random.default_rng(seed)
    found: list[Difference] = []
    for number in range(experiments):
        a, b, size = world.draw(effect, rng)
        below = None if world.metric == "accuracy" else size
        found.append(difference(a, b, below, resamples=resamples, seed=number))
    # Without an effect the truth is 0; with one it is what many experiments agree on.
    truth = float(np.mean([one.value for one in found])) if effect else 0.0
    smallest = 0.01 if world.metric == "accuracy" else 0.02
    words = [verdict(one, smallest, converged=True).word for one in found]
    return ErrorRates(
        directional=float(np.mean([word in DIRECTIONAL for word in words])),
        covered=float(np.mean([one.low <= truth <= one.high for one in found])),
        found=float(np.mean([one.low > 0 if truth > 0 else one.high < 0 for one in found])),
        truth=truth,
        detectable=float(np.mean([one.detectable for one in found])),
    )


def planted(
    world: SimulatedStudy, *, experiments: int = 1000, resamples: int = 2000, seed: int = 0
) -> ErrorRates:
    """Plant the effect that the experiments of this world promise to find in 4 of 5 cases, and count.

    The promise is the mean ``detectable`` of experiments without an effect; the effect that makes it is found by
    proportion, since the true difference is nearly linear in it.
    """
    promised = calibrate(
        world, experiments=max(experiments // 5, 20), resamples=resamples, seed=seed + 1
    ).detectable
    effect = 0.2
    for _ in range(3):
        a, b, size = replace(world, seeds=4000, items=300).draw(effect, np.random.default_rng(seed))
        effect *= promised / abs(float(a.sum() / size.sum() - b.sum() / size.sum()))
    return calibrate(
        world, effect=effect, experiments=experiments, resamples=resamples, seed=seed + 2
    )


def table(worlds: Sequence[SimulatedStudy], experiments: int) -> pd.DataFrame:
    """Return one row a world: false verdicts and coverage of a model against itself; planted effects found."""
    rows = []
    for world in worlds:
        same, other = (
            calibrate(world, experiments=experiments),
            planted(world, experiments=experiments),
        )
        rows.append(
            {
                "metric": world.metric,
                "seeds": world.seeds,
                "items": world.items,
                "seed sd": world.seed_sd,
                "false verdicts": same.directional,
                "coverage, no effect": same.covered,
                "coverage, planted": other.covered,
                "promised found (80%)": other.found,
                "true difference": other.truth,
            }
        )
    return pd.DataFrame(rows)


METRICS: tuple[Metric, ...] = ("accuracy", "bits_per_byte")
WORLDS = [
    SimulatedStudy(metric, seeds, 500, sd)
    for metric in METRICS
    for seeds in (2, 6, 10)
    for sd in (0.03, 0.1)
]


def main() -> None:
    """Print the table in markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--experiments", type=int, default=1000)
    asked = parser.parse_args()
    frame = table(WORLDS, asked.experiments)
    print(f"{asked.experiments} simulated experiments of each kind and size\n")
    print("| " + " | ".join(frame.columns) + " |\n|" + " --- |" * len(frame.columns))
    for row in frame.itertuples(index=False):
        print(
            "| "
            + " | ".join(
                f"{value:.3g}" if isinstance(value, float) else str(value) for value in row
            )
            + " |"
        )


if __name__ == "__main__":
    main()
