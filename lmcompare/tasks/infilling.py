"""A span of a held-out text given what stands on either side of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lmcompare.core import settings
from lmcompare.core.errors import InputError
from lmcompare.core.example import Ids
from lmcompare.core.records import Notes
from lmcompare.data.cache import digest
from lmcompare.scoring.span_requests import SpanRequest, reads_right
from lmcompare.tasks import TASKS
from lmcompare.tasks.base import Measurement, TaskOutcome

if TYPE_CHECKING:
    from lmcompare.evaluation.harness import Harness

BOTH = "reads both sides of the gap: choice, bits per byte and the best fill rest on both"
LEFT = (
    "reads the left side alone (a handicap): the choice is by the likelihood of the whole text, which is fair; the "
    "best fill and bits per byte know nothing of the right side"
)


@dataclass(frozen=True)
class InfillingItem:
    """A gap in a held-out document, and what might stand in it: the true span first, all of as many tokens."""

    id: str
    gap: SpanRequest
    candidates: list[Ids]


@TASKS.register("infilling")
@dataclass(frozen=True)
class Infilling:
    """What stands in a gap: chosen among spans, measured in bits, and written.

    Choice: which of ``choices`` spans of as many tokens, the others drawn from gaps of other documents, is likeliest:
    argmax of log p(left, span, right), which is the same question to every network; ties share the point. Bits per
    byte given both sides (``bits_per_byte``) exist for networks that read both; given the left side alone
    (``bits_per_byte_left``), for all: they have names of their own, and are never one column. Exact match and the share
    of right tokens are those of the best fill. Controls: chance, and a trigram model.
    """

    __pydantic_config__ = settings.STRICT
    kind: ClassVar[str]
    family: ClassVar[Literal["understanding", "generation"]] = "generation"
    primary_metric: ClassVar[str] = "choice_accuracy"
    better: ClassVar[Literal["higher", "lower"]] = "higher"
    per_item: ClassVar[Mapping[str, tuple[str, str]]] = {
        "choice_accuracy": ("chosen", ""),
        "bits_per_byte": ("bits", "bytes"),
        "bits_per_byte_left": ("bits_left", "bytes"),
        "exact_match": ("matched", ""),
        "token_accuracy": ("tokens_right", "tokens"),
    }
    conditions: ClassVar[tuple[str, ...]] = ("pretrained",)
    columns: ClassVar[tuple[str, ...]] = ()

    items: Annotated[int, Field(gt=1)] = 200
    """held-out documents, drawn at random; one gap each"""
    left: Annotated[int, Field(gt=0)] = 48
    """tokens given before the gap"""
    span: Annotated[int, Field(gt=0)] = 8
    """tokens in the gap"""
    right: Annotated[int, Field(gt=0)] = 48
    """tokens given after the gap"""
    choices: Annotated[int, Field(gt=1)] = 4
    """spans to choose from, the true one included"""
    samples: Annotated[int, Field(ge=0)] = 3
    """fills shown in the report, drawn at random"""
    seed: int = 0
    """draws documents, places, the other spans, and samples"""
    smallest_effect: Annotated[float, Field(gt=0)] = 0.02
    """smallest difference in accuracy of choice that would matter; verdicts need it, fixed beforehand"""

    def describe(self) -> str:
        """Return one line for the report."""
        return (
            f"{self.span} tokens between {self.left} and {self.right} others of held-out documents: chosen among "
            f"{self.choices} spans of as many tokens (chance: {100 / self.choices:.3g}%), measured, written"
        )

    def questions(self, harness: "Harness") -> list[InfillingItem]:
        """Draw documents of the test split, a place in each, and spans of other documents to choose from.

        Raises:
            InputError: the context or the documents are too short, or too few.
        """
        wanted = self.left + self.span + self.right
        if wanted + 2 > harness.context:  # bos, eos or a hole's name
            raise InputError(
                "tasks: infilling: left + span + right: wanted at most sequence.length less 2 "
                f"({harness.context - 2}) tokens, got {wanted}"
            )
        documents, rng = harness.test_documents(), np.random.default_rng(self.seed)
        found: list[tuple[str, SpanRequest]] = []
        for i in rng.permutation(len(documents)):
            row = documents[int(i)]
            tokens = harness.encode([row["text"]])[0]
            if len(tokens) >= wanted:
                start = int(rng.integers(len(tokens) - wanted + 1))
                left, span, right, _ = np.split(
                    tokens[start:], np.cumsum([self.left, self.span, self.right])
                )
                found.append((str(row["document"]), SpanRequest(left, span, right)))
                if len(found) == self.items:
                    break
        spans = [gap.span for _, gap in found]
        kinds = len({span.tobytes() for span in spans})
        if kinds < self.choices:
            raise InputError(
                f"tasks: infilling: wanted {self.choices} different spans (choices) from test documents of at least "
                f"{wanted} tokens (left + span + right), got {kinds}"
            )
        return [InfillingItem(id_, gap, self._candidates(gap, spans, rng)) for id_, gap in found]

    def _candidates(
        self, gap: SpanRequest, spans: Sequence[Ids], rng: np.random.Generator
    ) -> list[Ids]:
        candidates = [gap.span]
        for i in rng.permutation(len(spans)):
            if not any(np.array_equal(spans[i], other) for other in candidates):
                candidates.append(spans[i])
            if len(candidates) == self.choices:
                break
        return candidates

    def measure(self, harness: "Harness") -> Measurement:
        """Let the network under test choose, say and write the spans."""
        if harness.has_own_tokenizer:
            raise InputError(
                "tasks: infilling: wanted networks that read the shared vocabulary, whose tokens cut the gaps and the "
                "spans of equal length, got a checkpoint with tokens of its own; leave the task or that arm out"
            )
        model, questions = harness.model, self.questions(harness)
        gaps = [question.gap for question in questions]
        both = reads_right(model.objective, model.tokenizer.special)
        harness.progress({"done": 0, "total": 3, "stage": "choice"})
        outcomes = _chosen(
            questions, [nats.sum() for nats in model.score_gaps(_filled(questions), whole=True)]
        )
        harness.progress({"done": 1, "total": 3, "stage": "likelihood"})
        exactness = model.objective.exactness
        left = model.score_tokens([(gap.left, gap.span) for gap in gaps])
        outcomes += _bits(harness, questions, "bits_left", "bits_per_byte_left", left, exactness)
        if both:
            outcomes += _bits(
                harness, questions, "bits", "bits_per_byte", model.score_gaps(gaps), exactness
            )
        harness.progress({"done": 2, "total": 3, "stage": "filling"})
        decoded = model.fill_gaps([(gap.left, gap.right) for gap in gaps], length=self.span)
        outcomes += _matched(questions, decoded.tokens)
        shown = np.random.default_rng([self.seed, 1]).permutation(len(questions))[: self.samples]
        samples = []
        for i in shown:
            before, after, said, true = harness.decode(
                [gaps[i].left, gaps[i].right, decoded.tokens[i], gaps[i].span]
            )
            samples.append(
                {
                    "item": questions[i].id,
                    "prompt": f"{before} ___ {after}",
                    "text": said,
                    "reference": true,
                }
            )
        notes = replace(self._notes(questions), procedure=BOTH if both else LEFT)
        return Measurement(
            outcomes,
            notes,
            samples,
            {"generation_seconds": decoded.seconds},
            fingerprints={"items": _fingerprint(questions)},
        )

    def control(self, harness: "Harness") -> Measurement:
        """Choose by chance, and choose and say by a trigram model."""
        questions = self.questions(harness)
        outcomes = _chosen(questions, np.zeros(len(questions) * self.choices), "chance")
        trigram = harness.trigram_baseline()

        def nats(gap: SpanRequest) -> NDArray[np.float64]:
            scores: NDArray[np.float64] = trigram.log_p(
                np.concatenate([gap.left, gap.span, gap.right])
            )[self.left :]
            return scores

        outcomes += _chosen(questions, [nats(gap).sum() for gap in _filled(questions)], "trigram")
        left = [nats(question.gap)[: self.span] for question in questions]
        outcomes += _bits(
            harness, questions, "bits_left", "bits_per_byte_left", left, "exact", "trigram"
        )
        return Measurement(
            outcomes, self._notes(questions), fingerprints={"items": _fingerprint(questions)}
        )

    def _notes(self, questions: Sequence[InfillingItem]) -> Notes:
        return Notes(details={"gaps": len(questions), "wanted": self.items})


def _filled(questions: Sequence[InfillingItem]) -> list[SpanRequest]:
    return [
        SpanRequest(one.gap.left, span, one.gap.right)
        for one in questions
        for span in one.candidates
    ]


def _chosen(
    questions: Sequence[InfillingItem], nats: Sequence[float] | NDArray[np.float64], arm: str = ""
) -> list[TaskOutcome]:
    """Return the point of each question, shared among the likeliest, and the accuracy."""
    scores = np.array(nats, dtype=float).reshape(len(questions), -1)
    best = np.isclose(scores, scores.max(axis=1, keepdims=True), rtol=1e-9, atol=1e-12)
    points = best[:, 0] / best.sum(axis=1)
    outcomes = [
        TaskOutcome("chosen", float(p), one.id, model=arm)
        for one, p in zip(questions, points, strict=True)
    ]
    return [*outcomes, TaskOutcome("choice_accuracy", float(points.mean()), model=arm)]


def _bits(
    harness: "Harness",
    questions: Sequence[InfillingItem],
    record: str,
    metric: str,
    nats: Sequence[NDArray[np.float64]],
    exactness: str,
    arm: str = "",
) -> list[TaskOutcome]:
    """Return the bits of each true span, its bytes, and bits per byte of all."""
    bits = [-float(one.sum()) / np.log(2) for one in nats]
    size = [harness.byte_length(question.gap.span) for question in questions]
    outcomes = [TaskOutcome(metric, sum(bits) / sum(size), exactness=exactness, model=arm)]
    for question, item_bits, item_bytes in zip(questions, bits, size, strict=True):
        outcomes.append(TaskOutcome(record, item_bits, question.id, exactness=exactness, model=arm))
        if record == "bits_left":  # the bytes are the same for both
            outcomes.append(
                TaskOutcome("bytes", item_bytes, question.id, exactness=exactness, model=arm)
            )
    return outcomes


def _matched(questions: Sequence[InfillingItem], rows: Sequence[Ids]) -> list[TaskOutcome]:
    """Return for each fill whether it is the true span, and how many of its tokens are right in their places."""
    outcomes, matched, right, count = [], [], 0, 0
    for question, row in zip(questions, rows, strict=True):
        same = row == question.gap.span
        matched.append(float(same.all()))
        right, count = right + int(same.sum()), count + len(same)
        outcomes.append(TaskOutcome("matched", matched[-1], question.id))
        outcomes.append(TaskOutcome("tokens_right", float(same.sum()), question.id))
        outcomes.append(TaskOutcome("tokens", float(len(same)), question.id))
    outcomes.append(TaskOutcome("exact_match", float(np.mean(matched))))
    return [*outcomes, TaskOutcome("token_accuracy", right / count)]


def _fingerprint(questions: Sequence[InfillingItem]) -> str:
    return digest(
        [
            [one.id, *(span.tolist() for span in (one.gap.left, *one.candidates))]
            for one in questions
        ]
    )
