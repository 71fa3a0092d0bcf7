"""A trained network meets a task: the same head, the same menu of poolings, the same trials for every objective."""

import copy
import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn import functional as F

from lmcompare import settings
from lmcompare.example import Example, Ids, collate
from lmcompare.model import LanguageModel
from lmcompare.networks import Network, Tensors, evaluating
from lmcompare.reading import Pooling, pool
from lmcompare.train import optimizer_for


@dataclass(frozen=True)
class Texts:
    """Items of a classification task as token ids, with their labels."""

    rows: list[Ids]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Adapted:
    """What fine-tuning found.

    Attributes:
        probabilities: of the test items, (items, classes).
        validation_accuracy: of the chosen trial at its best epoch.
        trials: one mapping a trial.
        chosen: the trial chosen on validation.
        seconds: for all trials.
    """

    probabilities: NDArray[np.float64]
    validation_accuracy: float
    trials: list[dict[str, Any]]
    chosen: dict[str, Any]
    seconds: float


class Classifier(nn.Module):
    """A network, pooled states, dropout and one linear layer: the same head for every objective.

    (transformers' own heads pool unlike one another: last token that is not padding, first, last eos.)
    """

    def __init__(self, network: Network, classes: int, pooling: Pooling) -> None:
        super().__init__()
        self.network = network
        self.pooling = pooling
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(network.width, classes)

    def forward(self, batch: Tensors) -> Tensor:
        """Return logits. Shape (B, classes)."""
        states = pool(self.network.states(batch), batch.read, self.pooling)
        logits: Tensor = self.head(self.dropout(states.float()))
        return logits


def finetune(
    model: LanguageModel,
    train: Texts,
    validation: Texts,
    test: Texts,
    *,
    classes: int,
    adaptation: settings.Adaptation,
    seed: int,
    progress: Callable[[dict[str, Any]], None] = lambda event: None,
) -> Adapted:
    """Choose a pooling by linear probes and a learning rate by trials, all on validation; then answer the test items.

    Every trial starts from the network as given, which is left as it was. Each keeps its best epoch.

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
    steps = math.ceil(len(train.rows) / adaptation.batch) * adaptation.epochs
    total = steps * len(adaptation.learning_rates)
    trials, best = [], (-1.0, np.empty((0, classes)))
    for number, rate in enumerate(adaptation.learning_rates):

        def tell(done: int, loss: float, before: int = number * steps) -> None:
            progress({"done": before + done, "total": total, "stage": "fine-tuning", "loss": loss})

        accuracy, epoch, probabilities = _trial(
            model, (train, validation, test), classes, adaptation, rate, pooling, seed, tell
        )
        trials.append({"pooling": pooling, "learning_rate": rate, "epoch": epoch, "validation_accuracy": accuracy})
        if accuracy > best[0]:
            best = (accuracy, probabilities)
            chosen = trials[-1]
    return Adapted(best[1], best[0], [*probes, *trials], chosen, time.perf_counter() - start)


def choose_pooling(
    model: LanguageModel, train: Texts, validation: Texts, menu: Sequence[Pooling]
) -> tuple[Pooling, list[dict[str, Any]]]:
    """Return the pooling whose linear probe (logistic regression on frozen states) is best on validation."""
    if len(menu) == 1:
        return menu[0], []
    known = model.pool_rows(train.rows, poolings=menu)
    unknown = model.pool_rows(validation.rows, poolings=menu)
    accuracy: dict[Pooling, float] = {}
    for pooling in menu:
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=200))
        with warnings.catch_warnings():
            # A probe that has not quite converged still tells which pooling is better.
            warnings.simplefilter("ignore", ConvergenceWarning)
            probe.fit(known[pooling], train.labels)
        accuracy[pooling] = float(probe.score(unknown[pooling], validation.labels))
    probes = [
        {"pooling": pooling, "learning_rate": None, "epoch": None, "validation_accuracy": value}
        for pooling, value in accuracy.items()
    ]
    return max(accuracy, key=lambda pooling: accuracy[pooling]), probes


def _trial(
    model: LanguageModel,
    parts: tuple[Texts, Texts, Texts],
    classes: int,
    adaptation: settings.Adaptation,
    learning_rate: float,
    pooling: Pooling,
    seed: int,
    progress: Callable[[int, float], None],
) -> tuple[float, int, NDArray[np.float64]]:
    """Fine-tune once. Returns validation accuracy and number of the best epoch, and its test probabilities."""
    train, validation, test = parts
    device = model.network.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        classifier = Classifier(copy.deepcopy(model.network), classes, pooling).to(device)
        optimizer = optimizer_for(classifier, learning_rate, adaptation.weight_decay, (0.9, 0.999))
        per_epoch = math.ceil(len(train.rows) / adaptation.batch)
        steps = per_epoch * adaptation.epochs
        rise = max(1, round(adaptation.warmup * steps))
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min((step + 1) / rise, (steps - step) / max(1, steps - rise))
        )
        rng = np.random.default_rng(seed)
        examples = _examples(model, train.rows, adaptation.attention)
        best = (-1.0, 0, np.empty((0, classes)))
        done = 0
        for epoch in range(1, adaptation.epochs + 1):
            classifier.train()
            for group in _grouped(examples, adaptation.batch, rng):
                batch = Tensors.of(collate([examples[i] for i in group], model.vocabulary.special.pad), device)
                wanted = torch.from_numpy(train.labels[group]).to(device)
                loss = F.cross_entropy(classifier(batch), wanted)
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(classifier.parameters(), 1.0)
                optimizer.step()
                scheduler.step()
                optimizer.zero_grad(set_to_none=True)
                done += 1
                if done % 10 == 0 or done == steps:
                    progress(done, float(loss.detach()))
            found = _predict(classifier, model, validation.rows, adaptation)
            accuracy = float((found.argmax(1) == validation.labels).mean())
            if accuracy > best[0]:
                best = (accuracy, epoch, _predict(classifier, model, test.rows, adaptation))
    return best


def _predict(
    classifier: Classifier, model: LanguageModel, rows: Sequence[Ids], adaptation: settings.Adaptation
) -> NDArray[np.float64]:
    examples = _examples(model, rows, adaptation.attention)
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    found = np.zeros((len(rows), classifier.head.out_features))
    with evaluating(classifier):
        for first in range(0, len(order), 64):
            group = order[first : first + 64]
            batch = Tensors.of(
                collate([examples[i] for i in group], model.vocabulary.special.pad), model.network.device
            )
            found[group] = classifier(batch).double().softmax(-1).cpu().numpy()
    return found


def _examples(model: LanguageModel, rows: Sequence[Ids], attention: str) -> list[Example]:
    read = [model.objective.read(row, model.vocabulary.special) for row in rows]
    if attention == "own":
        return read
    visible = "all" if attention == "bidirectional" else "past"
    return [replace(example, visible=visible) for example in read]  # type: ignore[arg-type]


def _grouped(examples: Sequence[Example], batch: int, rng: np.random.Generator) -> list[list[int]]:
    """Return batches of items of like length, in random order: sorted within pools of 32 batches, then shuffled."""
    order = rng.permutation(len(examples))
    groups = []
    for first in range(0, len(order), 32 * batch):
        pool_ = sorted(order[first : first + 32 * batch], key=lambda i: len(examples[i].inputs))
        groups += [[int(i) for i in pool_[k : k + batch]] for k in range(0, len(pool_), batch)]
    return [groups[i] for i in rng.permutation(len(groups))]
