"""Trials: one for each learning rate, the same for every objective, chosen on validation."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from lmcompare.adaptation.batches import EncodedSplit, ModelWithHead, texts
from lmcompare.adaptation.finetuning import FinetuningResult, fit, seeded
from lmcompare.adaptation.heads import Answers, ClassificationHead, Head
from lmcompare.adaptation.probing import ProbeTexts, choose_head, choose_pooling
from lmcompare.adaptation.trainable_parameters import trainable
from lmcompare.core import settings
from lmcompare.data.tokenized_split import TokenizedSplit
from lmcompare.language_model import LanguageModel

Score = Callable[[Answers], float]
"""How good the answers to the validation items are; higher is better."""


@dataclass(frozen=True)
class AdaptedModel:
    """What fine-tuning found.

    Attributes:
        answers: to the test items, in order: see the head.
        score: of the chosen trial on validation, at its best epoch.
        trials: one mapping a trial.
        chosen: the trial chosen on validation.
        seconds: for all trials.
        weights: that were trained in each trial, the head's included.
    """

    answers: Answers
    score: float
    trials: list[dict[str, Any]]
    chosen: dict[str, Any]
    seconds: float
    weights: int

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Of a label head, of the test items. Shape (items, classes)."""
        return np.stack(self.answers)

    @property
    def validation_accuracy(self) -> float:
        """Of a label head."""
        return self.score


def finetune(
    model: LanguageModel,
    train: ProbeTexts,
    validation: ProbeTexts,
    test: ProbeTexts,
    *,
    classes: int,
    adaptation: settings.Adaptation,
    seed: int,
    progress: Callable[[dict[str, Any]], None] = lambda event: None,
) -> AdaptedModel:
    """Put a label head on pooled states: ``adapt`` for classification, chosen by accuracy.

    Args:
        model: what is adapted.
        train: fitted on.
        validation: decides.
        test: answered once, by the chosen trial.
        classes: number of labels.
        adaptation: the settings.
        seed: of the head, dropout and the order of the items.
        progress: is told {"done", "total", "stage", "loss"}.
    """
    start = time.perf_counter()
    pooling, probes = choose_pooling(model, train, validation, adaptation.pooling)
    named = {"train": train, "validation": validation, "test": test}
    parts = {
        name: TokenizedSplit(texts(part.rows), list(part.labels)) for name, part in named.items()
    }

    def accuracy(answers: Answers) -> float:
        return float((np.stack(answers).argmax(1) == validation.labels).mean())

    head = ClassificationHead(classes, pooling)
    return _trials(
        model, head, parts, adaptation, accuracy, "accuracy", seed, progress, probes, start
    )


def adapt(
    model: LanguageModel,
    menu: Mapping[str | None, Head],
    parts: Mapping[str, TokenizedSplit],
    *,
    adaptation: settings.Adaptation,
    score: Score,
    by: str,
    seed: int,
    progress: Callable[[dict[str, Any]], None] = lambda event: None,
) -> AdaptedModel:
    """Choose a pooling by linear probes and a learning rate by trials, all on validation; then answer the test items.

    Every trial starts from the network as given, which is left as it was. Each keeps its best epoch.

    Args:
        model: what is adapted.
        menu: the head with each pooling; one head under None if it pools nothing.
        parts: train (fitted on), validation (decides), test (answered once, by the chosen trial).
        adaptation: the settings.
        score: of the answers to the validation items; higher is better.
        by: what the score is called.
        seed: of the head, dropout and the order of the items.
        progress: is told {"done", "total", "stage", "loss"}.
    """
    start = time.perf_counter()
    head, probes = choose_head(
        model, menu, parts["train"], parts["validation"], adaptation.attention, score, by
    )
    return _trials(model, head, parts, adaptation, score, by, seed, progress, probes, start)


def _trials(
    model: LanguageModel,
    head: Head,
    parts: Mapping[str, TokenizedSplit],
    adaptation: settings.Adaptation,
    score: Score,
    by: str,
    seed: int,
    progress: Callable[[dict[str, Any]], None],
    probes: list[dict[str, Any]],
    start: float,
) -> AdaptedModel:
    train, validation, test = (
        EncodedSplit.of(model, parts[name], adaptation.attention)
        for name in ("train", "validation", "test")
    )
    device = model.network.device
    steps = math.ceil(len(train.sizes) / adaptation.batch_size) * adaptation.epochs
    total = steps * len(adaptation.learning_rates)
    trials: list[dict[str, Any]] = []
    best: tuple[FinetuningResult, ModelWithHead] | None = None
    for number, rate in enumerate(adaptation.learning_rates):

        def tell(done: int, loss: float, before: int = number * steps) -> None:
            progress({"done": before + done, "total": total, "stage": "fine-tuning", "loss": loss})

        with seeded(seed, device):
            headed = ModelWithHead(trainable(model.network, adaptation), head).to(device)

            def loss(group: list[int], epoch: int, headed: ModelWithHead = headed) -> Any:
                return headed.loss(train.reading(group, device))

            def judge(_: nn.Module, headed: ModelWithHead = headed) -> float:
                return score(headed.answers(validation))

            fitted = fit(
                headed,
                train.sizes,
                loss,
                judge,
                adaptation=adaptation,
                learning_rate=rate,
                seed=seed,
                patience=adaptation.patience,
                progress=tell,
            )
        pooled = {} if head.pooling is None else {"pooling": head.pooling}
        trials.append(
            pooled
            | {"learning_rate": rate, "epoch": fitted.epoch, f"validation_{by}": fitted.score}
        )
        if best is None or fitted.score > best[0].score:
            best = (fitted, headed)
            chosen = trials[-1]
    assert best is not None
    progress({"done": total, "total": total, "stage": "answering"})
    weights = sum(weight.numel() for weight in best[1].parameters() if weight.requires_grad)
    answers = best[1].answers(test)
    return AdaptedModel(
        answers, best[0].score, [*probes, *trials], chosen, time.perf_counter() - start, weights
    )
