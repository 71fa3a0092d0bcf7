"""Fine-tuning of a head on a network's states, and of the network, for labels, spans or scores."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lmcompare.adaptation.batches import EncodedSplit, ModelWithHead
from lmcompare.adaptation.finetuning import FinetuningProblem, FinetuningRun, steps_of
from lmcompare.adaptation.heads import ClassificationHead, Head, Predictions
from lmcompare.adaptation.learning_rate_search import search_learning_rate
from lmcompare.adaptation.probing import LabeledTexts, choose_head, choose_pooling
from lmcompare.adaptation.trainable_parameters import trainable_copy
from lmcompare.data.tokenized_split import TokenizedSplit


@dataclass(frozen=True)
class Criterion:
    """How good the predictions for the validation items are."""

    name: str
    score: Callable[[Predictions], float]
    """higher is better"""


@dataclass(frozen=True)
class AdaptedModel:
    """What the best trial predicts, and how it was chosen."""

    predictions: Predictions
    """for the test items, in order: see the head"""
    score: float
    """of the chosen trial on validation, at its best epoch"""
    trials: list[dict[str, Any]]
    """settings and validation score of each probe and each trial"""
    chosen: dict[str, Any]
    """the best trial"""
    seconds: float
    """for all trials"""
    trained_weights: int
    """number of weights that each trial trained, the head's included"""

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Of a classification head, for the test items. Shape (items, classes)."""
        return np.stack(self.predictions)


def finetune_classifier(
    run: FinetuningRun, splits: Mapping[str, LabeledTexts], classes: int
) -> AdaptedModel:
    """Fine-tune a classification head on the pooled states of texts.

    Args:
        run: the model and the settings.
        splits: 'train', 'validation' (decides) and 'test' (its labels are not read).
        classes: number of labels.
    """
    start = time.perf_counter()
    train, validation = splits["train"], splits["validation"]
    pooling, probes = choose_pooling(run.model, train, validation, run.adaptation.pooling)

    def accuracy(predictions: Predictions) -> float:
        return float((np.stack(predictions).argmax(1) == validation.labels).mean())

    items = {
        name: TokenizedSplit([(row,) for row in split.rows], list(split.labels))
        for name, split in splits.items()
    }
    head = ClassificationHead(classes, pooling)
    return _finetune(run, head, items, Criterion("accuracy", accuracy), probes, start)


def finetune_head(
    run: FinetuningRun,
    heads: Mapping[str | None, Head],
    splits: Mapping[str, TokenizedSplit],
    criterion: Criterion,
) -> AdaptedModel:
    """Choose a pooling by linear probes, then a learning rate by trials; predict the test items.

    Args:
        run: the model and the settings.
        heads: a head for each pooling; one head under None if it pools nothing.
        splits: 'train', 'validation' (decides) and 'test' (its targets are not read).
        criterion: of the choice.
    """
    start = time.perf_counter()
    head, probes = choose_head(run, heads, splits, criterion.score, criterion.name)
    return _finetune(run, head, splits, criterion, probes, start)


def _finetune(
    run: FinetuningRun,
    head: Head,
    splits: Mapping[str, TokenizedSplit],
    criterion: Criterion,
    probes: list[dict[str, Any]],
    start: float,
) -> AdaptedModel:
    # Items as the model's objective encodes them.
    attention, device = run.adaptation.attention, run.model.network.device
    train, validation, test = (
        EncodedSplit.of(run.model, splits[name], attention)
        for name in ("train", "validation", "test")
    )

    # One trial a learning rate.
    def build() -> ModelWithHead:
        network = trainable_copy(run.model.network, run.adaptation)
        return ModelWithHead(network, head).to(device)

    def loss(module: ModelWithHead, indices: list[int], epoch: int) -> Tensor:
        return module.loss(train.batch(indices, device))

    def score(module: ModelWithHead) -> float:
        return criterion.score(module.predict(validation))

    problem = FinetuningProblem(build, loss, score, train.lengths)
    result = search_learning_rate(problem, run)

    # The best one predicts the test items.
    total = steps_of(problem, run.adaptation) * len(result.trials)
    run.progress({"done": total, "total": total, "stage": "answering"})
    predictions = result.module.predict(test)
    pooling = {} if head.pooling is None else {"pooling": head.pooling}
    trials = [
        pooling
        | {
            "learning_rate": trial.learning_rate,
            "epoch": trial.epoch,
            f"validation_{criterion.name}": trial.score,
        }
        for trial in result.trials
    ]
    weights = (weight for weight in result.module.parameters() if weight.requires_grad)
    return AdaptedModel(
        predictions=predictions,
        score=result.best.score,
        trials=[*probes, *trials],
        chosen=trials[result.trials.index(result.best)],
        seconds=time.perf_counter() - start,
        trained_weights=sum(weight.numel() for weight in weights),
    )
