"""A network fine-tuned on pairs chooses among answers: text to text where the answers are few and known."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmcompare.adaptation.sft import Pairs, SupervisedModel, answer_nats, tune
from lmcompare.core import settings
from lmcompare.core.example import Ids
from lmcompare.language_model import LanguageModel


@dataclass(frozen=True)
class RankedAnswers:
    """What a tuned model chooses.

    Attributes:
        probabilities: of the options for each test prompt, (prompts, options): their likelihoods, normalised.
        validation_accuracy: share of the validation prompts whose own answer is the likeliest option.
        tuned: the model and how it was chosen.
    """

    probabilities: NDArray[np.float64]
    validation_accuracy: float
    tuned: SupervisedModel


def choose(
    model: LanguageModel,
    train: Pairs,
    validation: Pairs,
    test: Pairs,
    *,
    options: Sequence[Ids],
    adaptation: settings.Adaptation,
    seed: int,
    progress: Callable[[dict[str, Any]], None] = lambda event: None,
) -> RankedAnswers:
    """``tune`` a copy of the model on pairs; then choose the likeliest option, its end counted, for each test prompt.

    Args:
        model: what is adapted; left as it was.
        train: learnt from.
        validation: decides.
        test: of these the answers are not looked at.
        options: the answers that there are.
        adaptation: the settings.
        seed: of dropout, the order of the pairs and their masks.
        progress: is told {"done", "total", "stage", "loss"}.
    """
    length = max(map(len, options)) + 1
    tuned = tune(
        model, train, validation, length=length, adaptation=adaptation, seed=seed, progress=progress
    )

    def shares(pairs: Pairs) -> NDArray[np.float64]:
        asked = [(prompt, option) for prompt, _ in pairs for option in options]
        nats = [row.sum() for row in answer_nats(tuned.model, asked, length=length)]
        return normalised(np.array(nats).reshape(len(pairs), len(options)))

    guessed = shares(validation).argmax(1)
    right = [
        np.array_equal(options[i], answer)
        for i, (_, answer) in zip(guessed, validation, strict=True)
    ]
    return RankedAnswers(shares(test), float(np.mean(right)), tuned)


def normalised(nats: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the shares of log-likelihoods (n, options): each row sums to 1.

    >>> normalised(np.log([[0.01, 0.03]])).round(2).tolist()
    [[0.25, 0.75]]
    """
    likely = np.exp(nats - nats.max(1, keepdims=True))
    shares: NDArray[np.float64] = likely / likely.sum(1, keepdims=True)
    return shares
