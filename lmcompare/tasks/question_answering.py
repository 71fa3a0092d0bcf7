"""The answer to a question as a span of a passage, in the format of SQuAD."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from lmcompare.core import settings
from lmcompare.core.errors import InputError
from lmcompare.core.records import Notes, Trials
from lmcompare.data.items import ItemSplits, TaskItem, build_item_splits
from lmcompare.tasks import TASKS
from lmcompare.tasks._passages import COLUMNS, PassageWindows, answers_of, cut
from lmcompare.tasks.base import Measurement, TaskOutcome, described

if TYPE_CHECKING:
    from lmcompare.evaluation.harness import Harness

SPLITS = ("train", "validation", "test")


@TASKS.register("question_answering")
@dataclass(frozen=True)
class QuestionAnswering:
    """The answer to a question as a span of a passage: F1 of its words and exact match, as SQuAD's
    script has them.

    A head on the states of question and passage (an encoder-decoder's: of its encoder) points at
    the first and the last token. A passage that does not fit is read in windows that overlap by
    half; the best span of all is the answer. Where training questions without an answer are among
    the items, none is an answer, too. Controls: the same network from random initialisation, a
    random span, the sentence that shares most words with the question.
    """

    __pydantic_config__ = settings.STRICT
    kind: ClassVar[str]
    family: ClassVar[Literal["understanding", "generation"]] = "understanding"
    primary_metric: ClassVar[str] = "f1"
    better: ClassVar[Literal["higher", "lower"]] = "higher"
    per_item: ClassVar[Mapping[str, tuple[str, str]]] = {
        "f1": ("overlap", ""),
        "exact_match": ("exact", ""),
    }
    conditions: ClassVar[tuple[str, ...]] = ("pretrained", "scratch")
    columns: ClassVar[tuple[str, ...]] = ()

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
        """Return one line for the report."""
        return f"answers as spans of a passage ({described(self.source)}), by a span head ({self.protocol})"

    def data(self) -> ItemSplits:
        """Return the items, split; passages as they are, since answers point into them.

        Raises:
            InputError: answers and their places differ in number, or an answer does not stand at
                its place.
        """
        items = build_item_splits(
            self.source,
            COLUMNS,
            validation=self.validation,
            test=self.test,
            items=self.items,
            seed=self.seed,
            unique=("context", "question"),
            group=self.group,
            verbatim=("context",),
            optional=("answers", "starts"),
        )
        for entry in (*items.train, *items.validation, *items.test):
            answers, starts = entry.fields["answers"], entry.fields["starts"]
            if (
                not isinstance(answers, list)
                or not isinstance(starts, list)
                or len(answers) != len(starts)
            ):
                raise InputError(
                    f"row {entry.id} of the source: wanted lists of as many starts as answers, got {starts!r} and "
                    f"{answers!r}"
                )
            for answer, start in zip(answers, starts, strict=True):
                if not answer or entry.fields["context"][start : start + len(answer)] != answer:
                    raise InputError(
                        f"row {entry.id} of the source: wanted {answer!r} at character {start} of the context, got "
                        f"{entry.fields['context'][start : start + len(answer)]!r}"
                    )
        if not any(entry.fields["answers"] for entry in items.train):
            raise InputError(
                "column 'answers': wanted training questions that have an answer, got none"
            )
        return items

    def measure(self, harness: "Harness") -> Measurement:
        """Put the head on the network under test and answer the test questions."""
        items = self.data()
        none = any(not entry.fields["answers"] for entry in items.train)
        cuts: dict[str, PassageWindows] = {
            split: cut(harness, getattr(items, split)) for split in SPLITS
        }

        def judge(answers: Sequence[Any]) -> float:
            said = cuts["validation"].texts(items.validation, answers, none=none)
            return float(np.mean(self._scores(harness, "squad_f1", items.validation, said)))

        parts = {split: one.part for split, one in cuts.items()}
        adapted = harness.finetune_head(
            "span",
            parts,
            self.adaptation.by(self.protocol),
            judge,
            by="f1",
            longest=self.max_answer_length,
        )
        said = cuts["test"].texts(items.test, adapted.predictions, none=none)
        outcomes = [
            *self.score(harness, items.test, said),
            TaskOutcome("f1", adapted.score, split="validation"),
        ]
        notes = Notes(
            trials=Trials(adapted.trials, adapted.chosen),
            counts=items.counts,
            truncated=sum(one.truncated for one in cuts.values()),
            details={
                "windows": {split: len(one.part.rows) for split, one in cuts.items()},
                "answers_in_no_window": sum(one.lost for one in cuts.values()),
            },
        )
        shown = np.random.default_rng([self.seed, 1]).permutation(len(items.test))[:3]
        samples = [
            {
                "item": items.test[i].id,
                "prompt": items.test[i].fields["question"],
                "text": said[i],
                "reference": answers_of(items.test[i])[0],
            }
            for i in shown
        ]
        costs = {"seconds": adapted.seconds, "weights_trained": float(adapted.trained_weights)}
        return Measurement(outcomes, notes, samples, costs, {"items": items.fingerprint})

    def control(self, harness: "Harness") -> Measurement:
        """Answer the test questions without a network."""
        items = self.data()
        lengths = [
            len(_words(answer)) for entry in items.train for answer in entry.fields["answers"][:1]
        ]
        outcomes: list[TaskOutcome] = []
        for number, split in enumerate(("validation", "test")):
            harness.progress({"done": number, "total": 2, "stage": split})
            entries: list[TaskItem] = getattr(items, split)
            rng = np.random.default_rng([self.seed, number])
            said = {
                "random span": [
                    _random_span(entry.fields["context"], lengths, rng) for entry in entries
                ],
                "sentence nearest to the question": [
                    _nearest_sentence(entry.fields) for entry in entries
                ],
            }
            for arm, texts in said.items():
                if split == "test":
                    outcomes += self.score(harness, entries, texts, arm)
                else:
                    value = float(np.mean(self._scores(harness, "squad_f1", entries, texts)))
                    outcomes.append(TaskOutcome("f1", value, split=split, model=arm))
        return Measurement(
            outcomes, Notes(counts=items.counts), fingerprints={"items": items.fingerprint}
        )

    def score(
        self, harness: "Harness", entries: Sequence[TaskItem], said: Sequence[str], arm: str = ""
    ) -> Iterator[TaskOutcome]:
        """Yield F1 ('overlap') and 'exact' of each item, and their means."""
        for metric, record, name in (
            ("f1", "overlap", "squad_f1"),
            ("exact_match", "exact", "exact_match"),
        ):
            values = self._scores(harness, name, entries, said)
            for entry, value in zip(entries, values, strict=True):
                yield TaskOutcome(record, value, entry.id, model=arm)
            yield TaskOutcome(metric, float(np.mean(values)), model=arm)

    def _scores(
        self, harness: "Harness", metric: str, entries: Sequence[TaskItem], said: Sequence[str]
    ) -> list[float]:
        references = [answers_of(entry) for entry in entries]
        found: Any = harness.metric(
            metric, predictions=list(said), references=references, per_item=True
        )
        return [float(value) for value in found["items"]]


_WORD = re.compile(r"[\u3000-\u9fff]|[^\W\u3000-\u9fff]+")
_SENTENCE = re.compile(r"[^.!?。！？…]*[.!?。！？…]*\s*")


def _words(text: str) -> list[re.Match[str]]:
    """Return words, each character of a script without spaces being one, where they stand."""
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
    """Return the sentence of the context that holds most words of the question; of several, the
    first."""
    asked = {word[0].casefold() for word in _words(fields["question"])}
    sentences = [
        sentence.strip() for sentence in _SENTENCE.findall(fields["context"]) if sentence.strip()
    ]
    return max(
        sentences,
        key=lambda one: len(asked & {word[0].casefold() for word in _words(one)}),
        default="",
    )
