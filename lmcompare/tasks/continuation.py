"""Continuation of held-out documents: likelihood of the real continuation, and generations."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from lmcompare.core.errors import InputError
from lmcompare.core.example import Ids
from lmcompare.core.records import Notes
from lmcompare.scoring.requests import TokenizedPair
from lmcompare.tasks import TASKS, Task
from lmcompare.tasks.base import (
    Measurement,
    TaskOutcome,
    bits_per_byte,
    generation,
    sampled,
    whole_outcomes,
)

if TYPE_CHECKING:
    from lmcompare.evaluation.harness import Harness


@dataclass(frozen=True)
class ContinuationItem:
    """A passage of a held-out document, in tokens of the shared tokenizer."""

    id: str
    prefix: Ids
    suffix: Ids


@TASKS.register("continuation")
@dataclass(frozen=True)
class Continuation(Task):
    """Continue a held-out document: bits per byte of the real text, and generations judged.

    Every network scores the suffix by its exact conditional: causal in one pass, seq2seq as the
    span cut from the end, masked by the chain rule (a proper likelihood given the length).
    Generations are sampled at one temperature; the judge is a trigram model of the train split,
    which resembles none of the networks. Controls: a unigram model of the train split, a trigram
    model of as many tokens as each network reads, and the real text in the place of a generation.

    Passages are cut by the shared tokenizer. A checkpoint with a tokenizer of its own is given the
    same text in its own tokens, and its generations are judged in the shared ones; passages that
    its tokens do not represent exactly have no bits.
    """

    family = "generation"
    primary_metric = "bits_per_byte"
    better = "lower"
    per_item = {
        "bits_per_byte": ("bits", "bytes"),
        "judge_bits_per_byte": ("judge_bits", "judge_bytes"),
    }

    items: Annotated[int, Field(gt=0)] = 200
    """held-out documents, drawn at random; one passage each"""
    prefix: Annotated[int, Field(gt=1)] = 64
    """tokens given"""
    suffix: Annotated[int, Field(gt=1)] = 32
    """tokens scored and generated"""
    temperature: Annotated[float, Field(ge=0)] = 1.0
    """of the generations; 1 is the network's own distribution"""
    steps: Annotated[int, Field(gt=0)] | None = None
    """forward passes of a masked network for a generation; one for each token if left out"""
    samples: Annotated[int, Field(ge=0)] = 3
    """generations shown in the report, drawn at random"""
    timed: Annotated[int, Field(ge=0)] = 10
    """prompts that are continued one by one, at three lengths, to measure latency; none if 0"""
    seed: int = 0
    """draws documents and samples"""
    smallest_effect: Annotated[float, Field(gt=0)] = 0.02
    """smallest difference in bits per byte that would matter; verdicts need it, fixed beforehand"""

    def describe(self) -> str:
        return (
            f"{self.suffix} tokens after the first {self.prefix} of held-out documents; "
            f"generations at temperature {self.temperature:g}"
        )

    def passages(self, harness: "Harness") -> list[ContinuationItem]:
        """Draw documents of the test split that are long enough.

        Raises:
            InputError: the context or the documents are too short.
        """
        length = self.prefix + self.suffix
        if length > harness.context and not harness.has_own_tokenizer:
            raise InputError(
                "tasks: continuation: prefix + suffix: wanted at most sequence.length "
                f"({harness.context}) tokens, got {length}"
            )
        documents = harness.test_documents()
        passages: list[ContinuationItem] = []
        for i in np.random.default_rng(self.seed).permutation(len(documents)):
            row = documents[int(i)]
            (tokens,) = harness.encode([row["text"]], shared=True)
            if len(tokens) >= length:
                prefix, suffix = tokens[: self.prefix], tokens[self.prefix : length]
                passages.append(ContinuationItem(str(row["document"]), prefix, suffix))
                if len(passages) == self.items:
                    break
        if not passages:
            raise InputError(
                f"tasks: continuation: no test document has the {length} tokens of prefix + "
                "suffix; lower them, or use longer documents"
            )
        return passages

    def measure(self, harness: "Harness") -> Measurement:
        model, drawn = harness.model, self.passages(harness)
        passages = scored = drawn
        prompts = [passage.prefix for passage in drawn]
        pairs = [(passage.prefix, passage.suffix) for passage in drawn]
        if harness.has_own_tokenizer:
            own = self._retokenized(harness, drawn)
            passages, prompts = [one.passage for one in own], [one.prompt for one in own]
            pairs = [one.pair for one in own if one.exact]
            scored = [one.passage for one in own if one.exact]

        # Likelihood of the real suffixes.
        harness.progress({"done": 0, "total": 2, "stage": "likelihood"})
        nats = model.score_tokens(pairs)
        outcomes = _bits(harness, scored, nats, model.objective.exactness)
        if not harness.has_own_tokenizer:
            outcomes += _by_position(nats, model.objective.exactness)

        # Generations, judged and timed.
        harness.progress({"done": 1, "total": 2, "stage": "generation"})
        decoded = model.decode(prompts, length=self.suffix, **self._sampling(harness))
        texts = harness.decode(decoded.tokens)
        rows = decoded.tokens
        if harness.has_own_tokenizer:
            rows = [row[: self.suffix] for row in harness.encode(texts, shared=True)]
        outcomes += self._judge(harness, passages, rows)
        outcomes.append(TaskOutcome("calls_per_token", decoded.calls / self.suffix))
        outcomes.append(TaskOutcome("seconds_per_generation", decoded.seconds / len(passages)))
        outcomes += self._latencies(harness, prompts[: self.timed])

        text_of = dict(zip([passage.id for passage in passages], texts, strict=True))
        samples = []
        for passage in [drawn[i] for i in sampled(self.seed, len(drawn), self.samples)]:
            if passage.id in text_of:
                given, real = harness.decode([passage.prefix, passage.suffix], shared=True)
                samples.append(generation(passage.id, given, text_of[passage.id], real))
        left_out = len(drawn) - len(scored) if harness.has_own_tokenizer else None
        return Measurement(
            outcomes,
            replace(self._notes(scored), left_out=left_out),
            samples,
            {"generation_seconds": decoded.seconds},
            _fingerprint(harness, drawn),
        )

    def control(self, harness: "Harness") -> Measurement:
        passages = self.passages(harness)
        suffixes = [passage.suffix for passage in passages]
        unigram = harness.unigram()
        nats = {
            "unigram": [unigram[suffix] for suffix in suffixes],
            "trigram": _ngram_nats(harness.trigram_baseline(), passages, suffixes),
        }
        outcomes = self._judge(harness, passages, suffixes, "reference text")
        for model, scores in nats.items():
            outcomes += _bits(harness, passages, scores, "exact", model)
        return Measurement(
            outcomes, self._notes(passages), fingerprint=_fingerprint(harness, passages)
        )

    def _retokenized(
        self, harness: "Harness", passages: Sequence[ContinuationItem]
    ) -> list["RetokenizedItem"]:
        items = [_retokenize(harness, passage, self.suffix) for passage in passages]
        own = [item for item in items if item is not None]
        if not own:
            raise InputError(
                "tasks: continuation: every passage is cut within a character; wanted another "
                "prefix"
            )
        return own

    def _sampling(self, harness: "Harness") -> dict[str, Any]:
        steps = self.steps if harness.model.objective.role == "encoder" else None
        return {"temperature": self.temperature, "steps": steps, "seed": harness.seed}

    def _latencies(self, harness: "Harness", prompts: Sequence[Ids]) -> list[TaskOutcome]:
        """Time generations of a quarter, a half and the whole of the length, each alone; return
        seconds.
        """
        lengths = {max(1, self.suffix // share) for share in (4, 2, 1)} if prompts else set()
        outcomes = []
        for length in sorted(lengths):
            seconds = [
                harness.model.decode([prompt], length=length, **self._sampling(harness)).seconds
                for prompt in prompts
            ]
            for share in (50, 95):
                value = float(np.percentile(seconds, share))
                outcomes.append(TaskOutcome(f"latency_p{share}", value, part=f"tokens/{length}"))
        return outcomes

    def _judge(
        self,
        harness: "Harness",
        passages: Sequence[ContinuationItem],
        rows: Sequence[Ids],
        model: str = "",
    ) -> list[TaskOutcome]:
        """Measure texts in the place of the suffix: likelihood under the judge, distinct n-grams,
        repetition.
        """
        as_text = [" ".join(map(str, row)) for row in rows]
        values = {
            **harness.metric("distinct_n", predictions=as_text, n=[1, 2]),
            **harness.metric("repetition", predictions=as_text, n=4),
        }
        return whole_outcomes(values, model=model) + bits_per_byte(
            [passage.id for passage in passages],
            _ngram_nats(harness.trigram_judge(), passages, rows),
            [harness.byte_length(row, shared=True) for row in rows],
            model=model,
            names=("judge_bits_per_byte", "judge_bits", "judge_bytes"),
        )

    def _notes(self, passages: Sequence[ContinuationItem]) -> Notes:
        return Notes(details={"passages": len(passages), "requested": self.items})


@dataclass(frozen=True)
class RetokenizedItem:
    """A passage in the tokens of a network with a tokenizer of its own."""

    passage: ContinuationItem
    pair: tuple[Ids, Ids]
    """prefix and suffix; the prefix loses its start where both do not fit into the context"""
    prompt: Ids
    """the prefix, cut so that the tokens to be generated fit"""
    exact: bool
    """whether these tokens decode to the text, so that their likelihood is that of the text. Tokens
    that lose case, white space or unknown characters stand for many texts, which together are
    likelier"""


def _retokenize(harness: "Harness", passage: ContinuationItem, new: int) -> RetokenizedItem | None:
    """Return a passage in the network's own tokens; None if it is cut within a character.

    As in ``scoring.requests``, prefix and suffix are encoded as one text, cut after as many tokens
    as the prefix alone has; if the text does not begin with these, because a token reaches across
    the seam, the two are encoded apart.
    """
    joined = np.concatenate([passage.prefix, passage.suffix])
    prefix, suffix, text = harness.decode([passage.prefix, passage.suffix, joined], shared=True)
    if prefix + suffix != text or text.endswith("\ufffd"):
        return None
    head, row, alone = harness.encode([prefix, text, suffix])
    together = len(row) > len(head) and np.array_equal(row[: len(head)], head)
    tail = row[len(head) :] if together else alone
    exact = len(tail) > 0 and harness.decode([np.concatenate([head, tail])]) == [text]
    pairs = [
        TokenizedPair(head, row, np.arange(len(row)))
        for row in (tail, np.zeros(new, dtype=np.int64))
    ]
    scored, generated = harness.model.room.check(pairs, cut=True)
    return RetokenizedItem(passage, (scored.prompt, scored.completion), generated.prompt, exact)


def _ngram_nats(
    ngrams: Any, passages: Sequence[ContinuationItem], rows: Sequence[Ids]
) -> list[Any]:
    """Return log p (nats) of each token of ``rows`` after its passage's prefix, by an n-gram
    model.
    """
    return [
        ngrams.log_p(np.concatenate([passage.prefix, row]))[len(passage.prefix) :]
        for passage, row in zip(passages, rows, strict=True)
    ]


def _bits(
    harness: "Harness",
    passages: Sequence[ContinuationItem],
    nats: Sequence[Any],
    exactness: str,
    model: str = "",
) -> list[TaskOutcome]:
    ids = [passage.id for passage in passages]
    sizes = [harness.byte_length(passage.suffix, shared=True) for passage in passages]
    return bits_per_byte(ids, nats, sizes, exactness=exactness, model=model)


def _by_position(nats: Sequence[Any], exactness: str) -> list[TaskOutcome]:
    """Return the mean bits of a token in each of at most eight stretches of the suffix."""
    bits = -np.stack(nats) / np.log(2)  # (passages, suffix)
    outcomes = []
    for places in np.array_split(np.arange(bits.shape[1]), min(8, bits.shape[1])):
        part = f"position/{places[0] + 1}-{places[-1] + 1}"
        value = float(bits[:, places].mean())
        outcomes.append(TaskOutcome("bits_per_token", value, exactness=exactness, part=part))
    return outcomes


def _fingerprint(harness: "Harness", passages: Sequence[ContinuationItem]) -> str:
    """Return a hash of the text of the passages: results are comparable where it is equal."""
    digest = hashlib.sha256()
    for passage in passages:
        for text in harness.decode([passage.prefix, passage.suffix], shared=True):
            digest.update(text.encode() + b"\0")
    return digest.hexdigest()
