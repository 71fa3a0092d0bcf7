"""Extractive question answering: the answer is a span of a passage, in the format of SQuAD."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from lmcompare.core import settings
from lmcompare.core.errors import InputError
from lmcompare.core.records import Notes, Trials
from lmcompare.data.items import ItemSplits, TaskItem, build_item_splits
from lmcompare.tasks import TASKS, Task
from lmcompare.tasks._passages import PassageWindows, answers_of, tokenize_passages
from lmcompare.tasks.base import (
    SPLITS,
    Measurement,
    TaskOutcome,
    control_outcomes,
    described,
    generation,
    item_outcomes,
    sampled,
    whole_outcomes,
)

if TYPE_CHECKING:
    from lmcompare.evaluation.harness import Harness


@TASKS.register("question_answering")
@dataclass(frozen=True)
class QuestionAnswering(Task):
    """The answer to a question as a span of a passage: F1 of its words and exact match, as of
    SQuAD.

    A head on the states of question and passage (of an encoder-decoder: of its encoder) predicts
    the first and the last token. A passage that does not fit is read in windows that overlap by
    half; the best span of all is the answer. Where training questions without an answer are among
    the items, a question may be unanswerable. Controls: the same network from random
    initialization, a random span, the sentence that shares most words with the question.
    """

    family = "understanding"
    primary_metric = "f1"
    per_item = {"f1": ("overlap", ""), "exact_match": ("exact", "")}
    conditions = ("pretrained", "scratch")

    source: object
    """where the items come from: `squad`, or rows with `context`, `question`, `answers` and
    `starts` (characters)"""
    group: str | None = "document"
    """a column whose items are never in two splits"""
    validation: settings.Share = 0.1
    """share of the items that chooses the trial"""
    test: settings.Share = 0.1
    """share of the items that is reported"""
    items: Annotated[int, Field(gt=0)] | None = None
    """at most so many items in all; every one if left out"""
    seed: int = 0
    """of the split and the random spans"""
    max_answer_length: Annotated[int, Field(gt=0)] = 30
    """tokens of an answer, at most"""
    smallest_effect: Annotated[float, Field(gt=0)] = 0.02
    """smallest difference in F1 that would matter; verdicts need it, fixed beforehand"""
    protocol: Literal["finetune", "linear_probe", "lora"] = "finetune"
    """what is trained: all weights; a head alone, on a frozen network; a head and low-rank
    matrices"""
    adaptation: settings.AdaptationSettings = field(default_factory=settings.AdaptationSettings)
    """how the networks are adapted; `pooling` is of no use here"""

    def describe(self) -> str:
        source = described(self.source)
        return f"answers as spans of a passage ({source}), by a span head ({self.protocol})"

    def data(self) -> ItemSplits:
        """Return the items, split; passages keep their white space, since answers point into them.

        Raises:
            InputError: answers and their places differ in number, or an answer is not at its place.
        """
        items = build_item_splits(
            self.source,
            ("context", "question", "answers", "starts"),
            validation=self.validation,
            test=self.test,
            items=self.items,
            seed=self.seed,
            unique=("context", "question"),
            group=self.group,
            verbatim=("context",),
            optional=("answers", "starts"),
        )
        for item in (*items.train, *items.validation, *items.test):
            _check(item)
        if not any(item.fields["answers"] for item in items.train):
            raise InputError(
                "column 'answers': wanted training questions that have an answer, got none"
            )
        return items

    def measure(self, harness: "Harness") -> Measurement:
        items = self.data()
        unanswerable = any(not item.fields["answers"] for item in items.train)
        windows: dict[str, PassageWindows] = {
            split: tokenize_passages(harness, getattr(items, split)) for split in SPLITS
        }

        def texts(split: str, predictions: Sequence[Any]) -> list[str]:
            part = getattr(items, split)
            return windows[split].texts(part, predictions, unanswerable=unanswerable)

        def validate(predictions: Sequence[Any]) -> float:
            return _mean_f1(harness, items.validation, texts("validation", predictions))

        adapted = harness.finetune_head(
            "span",
            {split: part.split for split, part in windows.items()},
            self.adaptation.by(self.protocol),
            validate,
            by="f1",
            longest=self.max_answer_length,
        )
        answers = texts("test", adapted.predictions)
        outcomes = _score(harness, items.test, answers)
        outcomes.append(TaskOutcome("f1", adapted.score, split="validation"))
        notes = Notes(
            trials=Trials(adapted.trials, adapted.chosen),
            counts=items.counts,
            truncated=sum(part.truncated for part in windows.values()),
            details={
                "windows": {split: len(part.split.rows) for split, part in windows.items()},
                "answers_in_no_window": sum(part.lost for part in windows.values()),
            },
        )
        samples = []
        for i in sampled(self.seed, len(items.test), 3):
            item = items.test[i]
            question, reference = item.fields["question"], answers_of(item)[0]
            samples.append(generation(item.id, question, answers[i], reference))
        costs = {"seconds": adapted.seconds, "weights_trained": float(adapted.trained_weights)}
        return Measurement(outcomes, notes, samples, costs, items.fingerprint)

    def control(self, harness: "Harness") -> Measurement:
        items = self.data()
        lengths = [
            len(_words(answer)) for item in items.train for answer in item.fields["answers"][:1]
        ]

        def random_spans(split: str) -> list[str]:
            rng = np.random.default_rng([self.seed, ("validation", "test").index(split)])
            contexts = [item.fields["context"] for item in getattr(items, split)]
            return [_random_span(context, lengths, rng) for context in contexts]

        def nearest_sentences(split: str) -> list[str]:
            return [_nearest_sentence(item.fields) for item in getattr(items, split)]

        outcomes = control_outcomes(
            "f1",
            {"random span": random_spans, "sentence nearest to the question": nearest_sentences},
            lambda answers, model: _score(harness, items.test, answers, model),
            lambda answers: _mean_f1(harness, items.validation, answers),
        )
        return Measurement(outcomes, Notes(counts=items.counts), fingerprint=items.fingerprint)


def _check(item: TaskItem) -> None:
    """Refuse answers that do not stand at their places."""
    answers, starts = item.fields["answers"], item.fields["starts"]
    lists = isinstance(answers, list) and isinstance(starts, list)
    if not lists or len(answers) != len(starts):
        raise InputError(
            f"row {item.id} of the source: wanted lists of as many starts as answers, got "
            f"{starts!r} and {answers!r}"
        )
    for answer, start in zip(answers, starts, strict=True):
        text = item.fields["context"][start : start + len(answer)]
        if not answer or text != answer:
            raise InputError(
                f"row {item.id} of the source: wanted {answer!r} at character {start} of the "
                f"context, got {text!r}"
            )


def _score(
    harness: "Harness", items: Sequence[TaskItem], answers: Sequence[str], model: str = ""
) -> list[TaskOutcome]:
    """Return F1 ('overlap') and 'exact' of each item, and their means."""
    outcomes: list[TaskOutcome] = []
    ids = [item.id for item in items]
    for metric, record, name in (
        ("f1", "overlap", "squad_f1"),
        ("exact_match", "exact", "exact_match"),
    ):
        values = _per_item(harness, name, items, answers)
        outcomes += item_outcomes(record, ids, values, model=model)
        outcomes += whole_outcomes({metric: float(np.mean(values))}, model=model)
    return outcomes


def _mean_f1(harness: "Harness", items: Sequence[TaskItem], answers: Sequence[str]) -> float:
    return float(np.mean(_per_item(harness, "squad_f1", items, answers)))


def _per_item(
    harness: "Harness", metric: str, items: Sequence[TaskItem], answers: Sequence[str]
) -> list[float]:
    references = [answers_of(item) for item in items]
    values: Any = harness.metric(
        metric, predictions=list(answers), references=references, per_item=True
    )
    return [float(value) for value in values["items"]]


_WORD = re.compile(r"[\u3000-\u9fff]|[^\W\u3000-\u9fff]+")
_SENTENCE = re.compile(r"[^.!?。！？…]*[.!?。！？…]*\s*")


def _words(text: str) -> list[re.Match[str]]:
    """Return the words with their places; each character of a script without spaces is one."""
    return list(_WORD.finditer(text))


def _random_span(context: str, lengths: Sequence[int], rng: np.random.Generator) -> str:
    """Return as many words of the context as a random training answer has, from a random place."""
    words = _words(context)
    length = min(max(int(rng.choice(lengths)), 1), len(words))
    if not words:
        return context
    first = int(rng.integers(len(words) - length + 1))
    return context[words[first].start() : words[first + length - 1].end()]


def _nearest_sentence(fields: Mapping[str, Any]) -> str:
    """Return the sentence of the context that shares most words with the question; the first of
    several.
    """
    question = _folded_words(fields["question"])
    sentences = [sentence.strip() for sentence in _SENTENCE.findall(fields["context"])]
    return max(
        (sentence for sentence in sentences if sentence),
        key=lambda sentence: len(question & _folded_words(sentence)),
        default="",
    )


def _folded_words(text: str) -> set[str]:
    return {word[0].casefold() for word in _words(text)}
