"""Infilling: a masked span of a held-out text, given the text on either side of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lmcompare.core.errors import InputError
from lmcompare.core.example import Ids
from lmcompare.core.infilling_types import SpanInContext
from lmcompare.core.records import Notes
from lmcompare.data.cache import digest
from lmcompare.tasks import TASKS, Task
from lmcompare.tasks.base import (
    SPECIAL_TOKENS,
    Measurement,
    TaskOutcome,
    bits_per_byte,
    generation,
    item_outcomes,
    sampled,
    whole_outcomes,
)

if TYPE_CHECKING:
    from lmcompare.evaluation.harness import Harness

BOTH_SIDES = (
    "reads both sides of the masked span: choice, bits per byte and the infilled text rest on both"
)
LEFT_SIDE = (
    "reads the left side alone (a handicap): the choice is by the likelihood of the whole text, "
    "which is fair; the infilled text and bits per byte ignore the right side"
)
LEFT_NAMES = ("bits_per_byte_left", "bits_left", "bytes")


@dataclass(frozen=True)
class InfillingItem:
    """A masked span of a held-out document, and the candidates for it: the true span first, all of
    as many tokens.
    """

    id: str
    masked: SpanInContext
    candidates: list[Ids]

    def filled(self) -> list[SpanInContext]:
        """Return the text with each candidate in the place of the span."""
        return [
            SpanInContext(self.masked.left, span, self.masked.right) for span in self.candidates
        ]


@TASKS.register("infilling")
@dataclass(frozen=True)
class Infilling(Task):
    """Fill a masked span: chosen among candidates, scored in bits, and generated.

    Choice: which of ``choices`` spans of as many tokens, the others taken from other documents, is
    likeliest: argmax of log p(left, span, right), which every network defines; ties share the
    point. Bits per byte given both sides (``bits_per_byte``) exist for networks that read both;
    given the left side alone (``bits_per_byte_left``), for all. Exact match and token accuracy are
    those of the most likely infilling. Controls: chance, and a trigram model.
    """

    family = "generation"
    primary_metric = "choice_accuracy"
    per_item = {
        "choice_accuracy": ("chosen", ""),
        "bits_per_byte": ("bits", "bytes"),
        "bits_per_byte_left": ("bits_left", "bytes"),
        "exact_match": ("matched", ""),
        "token_accuracy": ("tokens_right", "tokens"),
    }

    items: Annotated[int, Field(gt=1)] = 200
    """held-out documents, drawn at random; one span each"""
    left: Annotated[int, Field(gt=0)] = 48
    """tokens given before the span"""
    span: Annotated[int, Field(gt=0)] = 8
    """tokens in the span"""
    right: Annotated[int, Field(gt=0)] = 48
    """tokens given after the span"""
    choices: Annotated[int, Field(gt=1)] = 4
    """spans to choose from, the true one included"""
    samples: Annotated[int, Field(ge=0)] = 3
    """infillings shown in the report, drawn at random"""
    seed: int = 0
    """draws documents, places, the other spans, and samples"""
    smallest_effect: Annotated[float, Field(gt=0)] = 0.02
    """smallest difference in accuracy of choice that would matter; verdicts need it, fixed
    beforehand"""

    def describe(self) -> str:
        return (
            f"{self.span} tokens between {self.left} and {self.right} others of held-out "
            f"documents: chosen among {self.choices} spans of as many tokens (chance: "
            f"{100 / self.choices:.3g}%), scored, generated"
        )

    def questions(self, harness: "Harness") -> list[InfillingItem]:
        """Draw documents of the test split, a place in each, and spans of other documents.

        Raises:
            InputError: the context or the documents are too short, or too few.
        """
        length = self.left + self.span + self.right
        if length + SPECIAL_TOKENS > harness.context:
            raise InputError(
                "tasks: infilling: left + span + right: wanted at most sequence.length less 2 "
                f"({harness.context - SPECIAL_TOKENS}) tokens, got {length}"
            )
        documents, rng = harness.test_documents(), np.random.default_rng(self.seed)
        drawn: list[tuple[str, SpanInContext]] = []
        for i in rng.permutation(len(documents)):
            row = documents[int(i)]
            (tokens,) = harness.encode([row["text"]])
            if len(tokens) >= length:
                start = int(rng.integers(len(tokens) - length + 1))
                bounds = np.cumsum([self.left, self.span, self.right])
                left, span, right, _ = np.split(tokens[start:], bounds)
                drawn.append((str(row["document"]), SpanInContext(left, span, right)))
                if len(drawn) == self.items:
                    break
        spans = [masked.span for _, masked in drawn]
        different = len({span.tobytes() for span in spans})
        if different < self.choices:
            raise InputError(
                f"tasks: infilling: wanted {self.choices} different spans (choices) from test "
                f"documents of at least {length} tokens (left + span + right), got {different}"
            )
        return [
            InfillingItem(id_, masked, self._candidates(masked.span, spans, rng))
            for id_, masked in drawn
        ]

    def _candidates(self, span: Ids, spans: Sequence[Ids], rng: np.random.Generator) -> list[Ids]:
        candidates = [span]
        for i in rng.permutation(len(spans)):
            if not any(np.array_equal(spans[i], other) for other in candidates):
                candidates.append(spans[i])
            if len(candidates) == self.choices:
                break
        return candidates

    def measure(self, harness: "Harness") -> Measurement:
        if harness.has_own_tokenizer:
            raise InputError(
                "tasks: infilling: wanted networks that read the shared tokenizer, whose tokens "
                "cut the spans to equal length, got a checkpoint with a tokenizer of its own; "
                "leave the task or that model out"
            )
        model, questions = harness.model, self.questions(harness)
        masked = [question.masked for question in questions]
        filled = [request for question in questions for request in question.filled()]
        both = model.objective.reads_right_context(model.tokenizer.special)
        exactness = model.objective.exactness

        harness.progress({"done": 0, "total": 3, "stage": "choice"})
        whole = [nats.sum() for nats in model.score_gaps(filled, whole=True)]
        outcomes = _choices(questions, whole)

        harness.progress({"done": 1, "total": 3, "stage": "likelihood"})
        left = model.score_tokens([(request.left, request.span) for request in masked])
        ids, sizes = [question.id for question in questions], _bytes(harness, questions)
        outcomes += bits_per_byte(ids, left, sizes, exactness=exactness, names=LEFT_NAMES)
        if both:
            scores = bits_per_byte(ids, model.score_gaps(masked), sizes, exactness=exactness)
            outcomes += [outcome for outcome in scores if outcome.metric != "bytes"]

        harness.progress({"done": 2, "total": 3, "stage": "infilling"})
        contexts = [(request.left, request.right) for request in masked]
        decoded = model.fill_gaps(contexts, length=self.span)
        outcomes += _matches(questions, decoded.tokens)
        samples = []
        for i in sampled(self.seed, len(questions), self.samples):
            request = masked[i]
            before, after, text, reference = harness.decode(
                [request.left, request.right, decoded.tokens[i], request.span]
            )
            prompt = f"{before} ___ {after}"
            samples.append(generation(questions[i].id, prompt, text, reference))
        return Measurement(
            outcomes,
            replace(self._notes(questions), procedure=BOTH_SIDES if both else LEFT_SIDE),
            samples,
            {"generation_seconds": decoded.seconds},
            fingerprint=_fingerprint(questions),
        )

    def control(self, harness: "Harness") -> Measurement:
        questions, trigram = self.questions(harness), harness.trigram_baseline()

        def nats(request: SpanInContext) -> NDArray[np.float64]:
            text = np.concatenate([request.left, request.span, request.right])
            scores: NDArray[np.float64] = trigram.log_p(text)[self.left :]
            return scores

        ids, sizes = [question.id for question in questions], _bytes(harness, questions)
        left = [nats(question.masked)[: self.span] for question in questions]
        filled = [request for question in questions for request in question.filled()]
        outcomes = [
            *_choices(questions, np.zeros(len(filled)), "chance"),
            *_choices(questions, [nats(request).sum() for request in filled], "trigram"),
            *bits_per_byte(ids, left, sizes, exactness="exact", model="trigram", names=LEFT_NAMES),
        ]
        return Measurement(outcomes, self._notes(questions), fingerprint=_fingerprint(questions))

    def _notes(self, questions: Sequence[InfillingItem]) -> Notes:
        return Notes(details={"masked_spans": len(questions), "requested": self.items})


def _bytes(harness: "Harness", questions: Sequence[InfillingItem]) -> list[int]:
    return [harness.byte_length(question.masked.span) for question in questions]


def _choices(
    questions: Sequence[InfillingItem], nats: Sequence[float] | NDArray[np.float64], model: str = ""
) -> list[TaskOutcome]:
    """Return the point of each question, shared among the likeliest candidates, and the
    accuracy.
    """
    scores = np.array(nats, dtype=float).reshape(len(questions), -1)  # (questions, choices)
    best = np.isclose(scores, scores.max(axis=1, keepdims=True), rtol=1e-9, atol=1e-12)
    points = best[:, 0] / best.sum(axis=1)
    ids = [question.id for question in questions]
    return [
        *item_outcomes("chosen", ids, points, model=model),
        *whole_outcomes({"choice_accuracy": points.mean()}, model=model),
    ]


def _matches(questions: Sequence[InfillingItem], rows: Sequence[Ids]) -> list[TaskOutcome]:
    """Return for each infilling whether it is the true span, and how many of its tokens are
    right.
    """
    ids = [question.id for question in questions]
    same = [row == question.masked.span for question, row in zip(questions, rows, strict=True)]
    matched = [float(row.all()) for row in same]
    right, tokens = [int(row.sum()) for row in same], [len(row) for row in same]
    return [
        *item_outcomes("matched", ids, matched),
        *item_outcomes("tokens_right", ids, right),
        *item_outcomes("tokens", ids, tokens),
        TaskOutcome("exact_match", float(np.mean(matched))),
        TaskOutcome("token_accuracy", sum(right) / sum(tokens)),
    ]


def _fingerprint(questions: Sequence[InfillingItem]) -> str:
    return digest(
        [
            [question.id, *(span.tolist() for span in (question.masked.left, *question.candidates))]
            for question in questions
        ]
    )
