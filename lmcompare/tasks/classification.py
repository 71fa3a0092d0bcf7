"""Text classification: by a head on pooled states, or by verbalizers of the labels."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lmcompare.core import settings
from lmcompare.core.errors import InputError
from lmcompare.core.records import Notes, Trials
from lmcompare.data import LabeledSplits, build_labeled_splits
from lmcompare.data.labeled import labels_of
from lmcompare.tasks import TASKS, Task
from lmcompare.tasks._verbalizers import Verbalizer, check_template, rank, tune_and_rank
from lmcompare.tasks.base import (
    SPECIAL_TOKENS,
    SPLITS,
    Measurement,
    TaskOutcome,
    check_fewshot,
    described,
    item_outcomes,
    whole_outcomes,
)

if TYPE_CHECKING:
    from lmcompare.evaluation.harness import Harness


@TASKS.register("classification")
@dataclass(frozen=True)
class Classification(Task):
    """One label for each text, by one protocol, the same for every network.

    - ``finetune``, ``linear_probe``, ``lora``: with the same head on pooled states, the same
      trials.
    - ``zero_shot``, ``few_shot``: the label whose verbalizer is likeliest after the text (Brown et
      al. 2020, section 2.4), by the chain rule for a masked network.
    - ``text_to_text``: fine-tuned to generate the verbalizer of the label (Raffel et al. 2020,
      section 2.4); the likeliest one is the answer.

    Controls: the same network from random initialization, the majority class, TF-IDF with logistic
    regression.
    """

    family = "understanding"
    primary_metric = "accuracy"
    per_item = {"accuracy": ("correct", ""), "nll": ("nll", "")}
    conditions = ("pretrained", "scratch")
    columns = ("text", "label")

    source: object
    """a word of `lmcompare list sources`, or a mapping with its `kind`"""
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
    adaptation: settings.AdaptationSettings = field(default_factory=settings.AdaptationSettings)
    """how the networks are fine-tuned"""
    protocol: Literal[
        "finetune", "linear_probe", "lora", "zero_shot", "few_shot", "text_to_text"
    ] = "finetune"
    """a head on pooled states (the first three); verbalizers ranked without training; verbalizers
    generated after fine-tuning"""
    template: str = "{text}\nLabel: {label}"
    """of protocols without a head: how a text and the verbalizer of its label are written"""
    verbalizer: dict[str, str] = field(default_factory=dict)
    """of protocols without a head: label -> word; the label itself where none is given"""
    num_fewshot: Annotated[int, Field(ge=0)] = 0
    """of few_shot: training items with their labels before each text"""

    def __post_init__(self) -> None:
        """Refuse settings of another protocol.

        Raises:
            InputError: such a setting, or a template without {text} and {label}.
        """
        check_template(self.template)
        check_fewshot(self.protocol, self.num_fewshot)
        if self.verbalizer and self.has_head:
            raise InputError(
                f"verbalizer: wanted none with protocol {self.protocol!r}, whose labels come from "
                "a head"
            )
        if self.protocol == "text_to_text" and self.adaptation.attention == "causal":
            raise InputError(
                "adaptation.attention: wanted own or bidirectional with protocol 'text_to_text', "
                "got causal"
            )

    @property
    def has_head(self) -> bool:
        """Whether a head on pooled states predicts the labels."""
        return self.protocol in ("finetune", "linear_probe", "lora")

    def describe(self) -> str:
        epochs = f"({self.adaptation.epochs} epoch{'s' * (self.adaptation.epochs > 1)} at most)"
        how = {
            "finetune": f"by fine-tuning {epochs}",
            "linear_probe": f"by a linear probe {epochs}",
            "lora": f"by LoRA {epochs}",
            "zero_shot": "zero-shot, by ranking verbalizers",
            "few_shot": f"by ranking verbalizers after {self.num_fewshot} examples",
            "text_to_text": f"by fine-tuning to generate the verbalizer {epochs}",
        }
        return f"one label for each text ({described(self.source)}), {how[self.protocol]}"

    def data(self) -> LabeledSplits:
        """Return the items, split."""
        return build_labeled_splits(
            self.source,
            text=self.text,
            label=self.label,
            validation=self.validation,
            test=self.test,
            items=self.items,
            seed=self.seed,
        )

    def measure(self, harness: "Harness") -> Measurement:
        data = self.data()
        return self._by_head(harness, data) if self.has_head else self._by_words(harness, data)

    def _by_head(self, harness: "Harness", data: LabeledSplits) -> Measurement:
        rows, truncated, room = {}, 0, harness.context - SPECIAL_TOKENS
        for split in SPLITS:
            encoded = harness.encode([item.text for item in getattr(data, split)])
            truncated += sum(len(row) > room for row in encoded)
            rows[split] = [row[:room] for row in encoded]
        adapted = harness.finetune_classifier(data, rows, self.adaptation.by(self.protocol))
        outcomes = score(harness, data, adapted.probabilities)
        outcomes.append(TaskOutcome("accuracy", adapted.score, split="validation"))
        trials = Trials(adapted.trials, adapted.chosen)
        return Measurement(
            outcomes,
            replace(_notes(data), trials=trials, truncated=truncated),
            costs={"seconds": adapted.seconds},
            fingerprint=data.fingerprint,
        )

    def _by_words(self, harness: "Harness", data: LabeledSplits) -> Measurement:
        verbalizer = Verbalizer.of(self.template, self.verbalizer, data.labels)
        if self.protocol == "text_to_text":
            adaptation = self.adaptation.by(self.protocol)
            scores = tune_and_rank(harness, data, verbalizer, adaptation)
        else:
            scores = rank(harness, data, verbalizer, self.num_fewshot)
        outcomes = score(harness, data, scores.probabilities)
        if scores.validation_accuracy is not None:
            value = scores.validation_accuracy
            outcomes.append(TaskOutcome("accuracy", value, split="validation"))
        details = {
            **_notes(data).details,
            "completions": verbalizer.completions,
            **scores.notes.details,
        }
        return Measurement(
            outcomes,
            replace(scores.notes, counts=data.counts, details=details),
            costs={"seconds": scores.seconds},
            fingerprint=data.fingerprint,
        )

    def control(self, harness: "Harness") -> Measurement:
        data = self.data()
        harness.progress({"done": 0, "total": 2, "stage": "majority"})
        test, validation = (harness.majority_class(data, split) for split in ("test", "validation"))
        outcomes = _score_control(harness, data, test, validation, "majority")
        harness.progress({"done": 1, "total": 2, "stage": "TF-IDF"})
        test, validation, trials = harness.tfidf_classifier(data)
        outcomes += _score_control(harness, data, test, validation, "tf-idf + logistic regression")
        return Measurement(
            outcomes, replace(_notes(data), trials=trials), fingerprint=data.fingerprint
        )


def score(
    harness: "Harness", data: LabeledSplits, probabilities: NDArray[np.float64], model: str = ""
) -> list[TaskOutcome]:
    """Return 'correct', 'confidence' (the largest probability) and 'nll' (nats) of each test item,
    the metrics of the split, and the accuracy of each class.

    The nll clips probabilities at 1e-12, which bounds an item's loss at 27.6 nats.
    """
    labels, ids = labels_of(data.test), [item.id for item in data.test]
    predictions = probabilities.argmax(1)
    right = predictions == labels
    nll = -np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12))
    by_label = {"predictions": predictions.tolist(), "references": labels.tolist()}
    by_probability = {"predictions": probabilities.tolist(), "references": labels.tolist()}
    values = {
        **harness.metric("accuracy", **by_label),
        **harness.metric("f1", average="macro", **by_label),
        **harness.metric("matthews", **by_label),
        **harness.metric("ece", **by_probability),
        **harness.metric("brier", **by_probability),
        "nll": nll.mean(),
    }
    return [
        *item_outcomes("correct", ids, right, model=model),
        *item_outcomes("nll", ids, nll, model=model),
        *item_outcomes("confidence", ids, probabilities.max(1), model=model),
        *whole_outcomes(values, model=model),
        *(
            TaskOutcome("accuracy", float(right[of_class].mean()), model=model, part=part)
            for part, of_class in (
                (f"class/{name}", labels == i) for i, name in enumerate(data.labels)
            )
            if of_class.any()
        ),
    ]


def _score_control(
    harness: "Harness",
    data: LabeledSplits,
    test: NDArray[np.float64],
    validation: NDArray[np.float64],
    model: str,
) -> list[TaskOutcome]:
    right = validation.argmax(1) == labels_of(data.validation)
    value = TaskOutcome("accuracy", float(right.mean()), split="validation", model=model)
    return [*score(harness, data, test, model), value]


def _notes(data: LabeledSplits) -> Notes:
    return Notes(counts=data.counts, details={"labels": list(data.labels)})
