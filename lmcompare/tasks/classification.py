"""One label for a text: by the same head on every network, or by words for the labels."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lmcompare.core import settings
from lmcompare.core.errors import InputError
from lmcompare.core.records import Notes, Trials
from lmcompare.data import LabeledSplits, build_labeled_splits
from lmcompare.data.labeled import labels_of
from lmcompare.tasks import TASKS
from lmcompare.tasks import _verbalizers as label_words
from lmcompare.tasks._verbalizers import Verbalizer
from lmcompare.tasks.base import Measurement, TaskOutcome, check_fewshot, described

if TYPE_CHECKING:
    from lmcompare.evaluation.harness import Harness


@TASKS.register("classification")
@dataclass(frozen=True)
class Classification:
    """One label for each text, by one protocol, the same for every network.

    - ``finetune``, ``linear_probe``, ``lora``: with the same head on pooled states, and the same trials.
    - ``zero_shot``, ``few_shot``: the label whose verbalizer is likeliest after the text (Brown et al. 2020, section
      2.4), by the chain rule for a masked network.
    - ``text_to_text``: fine-tuned to generate the verbalizer of the label (Raffel et al. 2020, section 2.4); the
      likeliest one is the answer.

    Controls: the same network from random initialisation, the majority class, TF-IDF + logistic regression.
    """

    __pydantic_config__ = settings.STRICT
    kind: ClassVar[str]
    family: ClassVar[Literal["understanding", "generation"]] = "understanding"
    primary_metric: ClassVar[str] = "accuracy"
    better: ClassVar[Literal["higher", "lower"]] = "higher"
    per_item: ClassVar[Mapping[str, tuple[str, str]]] = {
        "accuracy": ("correct", ""),
        "nll": ("nll", ""),
    }
    conditions: ClassVar[tuple[str, ...]] = ("pretrained", "scratch")
    columns: ClassVar[tuple[str, ...]] = ("text", "label")

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
    adaptation: settings.AdaptationSettings = field(default_factory=settings.AdaptationSettings)
    """how the networks are fine-tuned"""
    protocol: Literal[
        "finetune", "linear_probe", "lora", "zero_shot", "few_shot", "text_to_text"
    ] = "finetune"
    """a head on pooled states (the first three); verbalizers ranked without training; verbalizers generated"""
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
        label_words.check(self.template)
        check_fewshot(self.protocol, self.num_fewshot)
        if self.verbalizer and self.has_head:
            raise InputError(
                f"verbalizer: wanted none with protocol {self.protocol!r}, whose labels a head gives"
            )
        if self.protocol == "text_to_text" and self.adaptation.attention == "causal":
            raise InputError(
                "adaptation.attention: wanted own or bidirectional with protocol 'text_to_text', got causal"
            )

    @property
    def has_head(self) -> bool:
        """Whether a head on pooled states gives the labels."""
        return self.protocol in ("finetune", "linear_probe", "lora")

    def describe(self) -> str:
        """Return one line for the report."""
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
        """Fine-tune the network under test (or take it as it is) and answer the test items."""
        data = self.data()
        if not self.has_head:
            return self._by_words(harness, data)
        rows, truncated = {}, 0
        for split in ("train", "validation", "test"):
            encoded = harness.encode([item.text for item in getattr(data, split)])
            # bos and eos stand around the text.
            truncated += sum(len(row) > harness.context - 2 for row in encoded)
            rows[split] = [row[: harness.context - 2] for row in encoded]
        adapted = harness.finetune_classifier(data, rows, self.adaptation.by(self.protocol))
        outcomes = list(score(harness, data, adapted.probabilities))
        outcomes.append(TaskOutcome("accuracy", adapted.score, split="validation"))
        notes = replace(
            _notes(data), trials=Trials(adapted.trials, adapted.chosen), truncated=truncated
        )
        return Measurement(
            outcomes,
            notes,
            costs={"seconds": adapted.seconds},
            fingerprints={"items": data.fingerprint},
        )

    def _by_words(self, harness: "Harness", data: LabeledSplits) -> Measurement:
        worded = Verbalizer.of(self.template, self.verbalizer, data.labels)
        said = (
            label_words.learn(harness, data, worded, self.adaptation.by("text_to_text"))
            if self.protocol == "text_to_text"
            else label_words.rank(harness, data, worded, self.num_fewshot)
        )
        outcomes = list(score(harness, data, said.probabilities))
        if said.accuracy is not None:
            outcomes.append(TaskOutcome("accuracy", said.accuracy, split="validation"))
        details = {
            "labels": list(data.labels),
            "completions": worded.completions,
            **said.notes.details,
        }
        notes = replace(said.notes, counts=data.counts, details=details)
        return Measurement(
            outcomes,
            notes,
            costs={"seconds": said.seconds},
            fingerprints={"items": data.fingerprint},
        )

    def control(self, harness: "Harness") -> Measurement:
        """Answer the test items by the majority class and by a linear model."""
        data = self.data()
        harness.progress({"done": 0, "total": 2, "stage": "majority"})
        outcomes = list(score(harness, data, harness.majority_class(data, "test"), "majority"))
        outcomes.append(_validation(data, harness.majority_class(data, "validation"), "majority"))
        harness.progress({"done": 1, "total": 2, "stage": "TF-IDF"})
        name = "tf-idf + logistic regression"
        test, validation, trials = harness.tfidf_classifier(data)
        outcomes += [*score(harness, data, test, name), _validation(data, validation, name)]
        return Measurement(
            outcomes, replace(_notes(data), trials=trials), fingerprints={"items": data.fingerprint}
        )


def score(
    harness: "Harness", data: LabeledSplits, probabilities: NDArray[np.float64], arm: str = ""
) -> Iterator[TaskOutcome]:
    """Yield 'correct', 'confidence' and 'nll' (nats) of each test item, and the metrics of the split and its classes.

    The confidence is the largest probability; the accuracy of a part 'class/<label>' is the share of a label's items that are right.
    """
    labels = labels_of(data.test)
    answers = probabilities.argmax(1)
    nll = -np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12))
    for item, answer, loss in zip(data.test, answers, nll, strict=True):
        yield TaskOutcome("correct", float(answer == item.label), item.id, model=arm)
        yield TaskOutcome("nll", float(loss), item.id, model=arm)
    for item, share in zip(data.test, probabilities.max(1), strict=True):
        yield TaskOutcome("confidence", float(share), item.id, model=arm)
    by_answer = {"predictions": answers.tolist(), "references": labels.tolist()}
    by_share = {"predictions": probabilities.tolist(), "references": labels.tolist()}
    values = {
        **harness.metric("accuracy", **by_answer),
        **harness.metric("f1", average="macro", **by_answer),
        **harness.metric("matthews", **by_answer),
        **harness.metric("ece", **by_share),
        **harness.metric("brier", **by_share),
        "nll": float(nll.mean()),
    }
    right = answers == labels
    for metric, value in values.items():
        yield TaskOutcome(metric, float(value), model=arm)
    for number, label in enumerate(data.labels):
        if (labels == number).any():
            value = float(right[labels == number].mean())
            yield TaskOutcome("accuracy", value, model=arm, part=f"class/{label}")


def _validation(data: LabeledSplits, probabilities: NDArray[np.float64], arm: str) -> TaskOutcome:
    right = probabilities.argmax(1) == labels_of(data.validation)
    return TaskOutcome("accuracy", float(right.mean()), split="validation", model=arm)


def _notes(data: LabeledSplits) -> Notes:
    return Notes(counts=data.counts, details={"labels": list(data.labels)})
