"""One label for a text, by fine-tuning the same head on every network."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lmcompare import settings
from lmcompare.corpora import Item, Labelled, build_labelled
from lmcompare.tasks import TASKS
from lmcompare.tasks.bench import Bench, Measurement, Outcome


@TASKS.register("classification")
@dataclass(frozen=True)
class Classification:
    """One label for each text: each network fine-tuned with the same head, poolings and trials.

    Controls: the same network from random initialisation, the majority class, TF-IDF + logistic regression.
    """

    __pydantic_config__ = settings.STRICT
    kind: ClassVar[str]
    family: ClassVar[Literal["understanding", "generation"]] = "understanding"
    primary_metric: ClassVar[str] = "accuracy"
    better: ClassVar[Literal["higher", "lower"]] = "higher"
    conditions: ClassVar[tuple[str, ...]] = ("pretrained", "scratch")

    source: object
    """where the labelled items come from: a word of `lmcompare list sources`, or a mapping with its `kind`"""
    text: str = "text"
    """name of the column with the text"""
    label: str = "label"
    """name of the column with the label"""
    validation: settings.Share = 0.1
    """share of the items that chooses the trial"""
    test: settings.Share = 0.1
    """share of the items that is reported"""
    items: Annotated[int, Field(gt=0)] | None = None
    """at most so many items in all; every one if left out"""
    seed: int = 0
    """of the split"""
    smallest_effect: Annotated[float, Field(gt=0)] = 0.01
    """smallest difference in accuracy that would matter; verdicts need it, fixed beforehand"""
    adaptation: settings.Adaptation = field(default_factory=settings.Adaptation)
    """how the networks are fine-tuned"""

    def describe(self) -> str:
        """Return one line for the report."""
        source = {"kind": getattr(self.source, "kind", ""), **vars(self.source)}
        where = ", ".join(str(value) for value in source.values())
        return f"one label for each text ({where}), by fine-tuning ({self.adaptation.epochs} epochs at most)"

    def data(self) -> Labelled:
        """Return the items, split."""
        return build_labelled(
            self.source,  # type: ignore[arg-type]
            text=self.text,
            label=self.label,
            validation=self.validation,
            test=self.test,
            items=self.items,
            seed=self.seed,
        )

    def measure(self, bench: Bench) -> Measurement:
        """Fine-tune the network under test and answer the test items."""
        data = self.data()
        rows, truncated = {}, 0
        for split in ("train", "validation", "test"):
            encoded = bench.encode([item.text for item in getattr(data, split)])
            # bos and eos stand around the text.
            truncated += sum(len(row) > bench.context - 2 for row in encoded)
            rows[split] = [row[: bench.context - 2] for row in encoded]
        adapted = bench.finetune(data, rows, self.adaptation)
        outcomes = list(score(bench, data, adapted.probabilities))
        outcomes.append(Outcome("accuracy", adapted.validation_accuracy, split="validation"))
        notes = {"trials": adapted.trials, "chosen": adapted.chosen, "truncated": truncated, **_notes(data)}
        return Measurement(
            outcomes, notes, currencies={"seconds": adapted.seconds}, fingerprints={"items": data.fingerprint}
        )

    def control(self, bench: Bench) -> Measurement:
        """Answer the test items by the majority class and by a linear model."""
        data = self.data()
        bench.progress({"done": 0, "total": 2, "stage": "majority"})
        outcomes = list(score(bench, data, bench.majority(data, "test"), "majority"))
        outcomes.append(_validation(data, bench.majority(data, "validation"), "majority"))
        bench.progress({"done": 1, "total": 2, "stage": "TF-IDF"})
        name = "tf-idf + logistic regression"
        test, validation, notes = bench.tfidf(data)
        outcomes += [*score(bench, data, test, name), _validation(data, validation, name)]
        return Measurement(outcomes, {**notes, **_notes(data)}, fingerprints={"items": data.fingerprint})


def score(bench: Bench, data: Labelled, probabilities: NDArray[np.float64], arm: str = "") -> Iterator[Outcome]:
    """Yield 'correct' and 'nll' (nats) of each test item, and the metrics of the whole split."""
    labels = labels_of(data.test)
    answers = probabilities.argmax(1)
    nll = -np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12))
    for item, answer, loss in zip(data.test, answers, nll, strict=True):
        yield Outcome("correct", float(answer == item.label), item.id, arm=arm)
        yield Outcome("nll", float(loss), item.id, arm=arm)
    by_answer = {"predictions": answers.tolist(), "references": labels.tolist()}
    by_share = {"predictions": probabilities.tolist(), "references": labels.tolist()}
    values = {
        **bench.metric("accuracy", **by_answer),
        **bench.metric("f1", average="macro", **by_answer),
        **bench.metric("matthews", **by_answer),
        **bench.metric("ece", **by_share),
        **bench.metric("brier", **by_share),
        "nll": float(nll.mean()),
    }
    for metric, value in values.items():
        yield Outcome(metric, float(value), arm=arm)


def labels_of(items: list[Item]) -> NDArray[np.int64]:
    """Return the labels. Shape (items,)."""
    return np.array([item.label for item in items], dtype=np.int64)


def _validation(data: Labelled, probabilities: NDArray[np.float64], arm: str) -> Outcome:
    right = probabilities.argmax(1) == labels_of(data.validation)
    return Outcome("accuracy", float(right.mean()), split="validation", arm=arm)


def _notes(data: Labelled) -> dict[str, Any]:
    return {"labels": list(data.labels), "counts": data.counts}
