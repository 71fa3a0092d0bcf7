"""Learning-rate search: one trial each, the same for every objective, chosen on validation."""

from dataclasses import dataclass
from typing import Generic

from lmcompare.adaptation.finetuning import (
    FinetuningProblem,
    FinetuningRun,
    Module,
    fit,
    seeded,
    steps_of,
)


@dataclass(frozen=True)
class Trial:
    """One learning rate, and how well it did on validation."""

    learning_rate: float
    epoch: int
    """the best one, from 1"""
    score: float
    """at that epoch; higher is better"""


@dataclass(frozen=True)
class SearchResult(Generic[Module]):
    """All trials, and the module of the best at its best epoch."""

    module: Module
    best: Trial
    trials: list[Trial]


def search_learning_rate(
    problem: FinetuningProblem[Module], run: FinetuningRun
) -> SearchResult[Module]:
    """Fine-tune once with each of ``adaptation.learning_rates``, always from the same start."""
    rates, device = run.adaptation.learning_rates, run.model.network.device
    steps = steps_of(problem, run.adaptation)
    trials: list[Trial] = []
    result: SearchResult[Module] | None = None
    for number, rate in enumerate(rates):

        def report(step: int, loss: float, previous: int = number * steps) -> None:
            event = {"done": previous + step, "total": steps * len(rates)}
            run.progress({**event, "stage": "fine-tuning", "loss": loss})

        with seeded(run.seed, device):
            module = problem.build()
            fitted = fit(
                module, problem, run.adaptation, learning_rate=rate, seed=run.seed, progress=report
            )
        trial = Trial(rate, fitted.epoch, fitted.score)
        trials.append(trial)
        if result is None or trial.score > result.best.score:
            result = SearchResult(module, trial, trials)
    assert result is not None
    return result
