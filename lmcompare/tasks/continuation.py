"""From the beginning of a held-out document to what follows: likelihood and generation."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from lmcompare.core import settings
from lmcompare.core.errors import InputError
from lmcompare.core.example import Ids
from lmcompare.core.records import Notes
from lmcompare.scoring.requests import TokenizedPair
from lmcompare.tasks import TASKS
from lmcompare.tasks.base import Measurement, TaskOutcome

if TYPE_CHECKING:
    from lmcompare.evaluation.harness import Harness


@dataclass(frozen=True)
class ContinuationItem:
    """A held-out document, cut into what is given and what is asked, in tokens."""

    id: str
    prefix: Ids
    suffix: Ids


@TASKS.register("continuation")
@dataclass(frozen=True)
class Continuation:
    """What follows the beginning of a held-out document: bits per byte of the real text, and generated text judged.

    Every network says the suffix by its exact conditional: causal in one pass, seq2seq as the span cut from the end,
    masked by its chain (a proper likelihood given the length). Generations are drawn at one temperature; the judge is
    a trigram model of the train split, which none of the networks resembles. Controls: a unigram model of the train
    split, a trigram model of as many tokens as each network reads, and the real text in the place of a generation.

    Passages are cut by the shared vocabulary. A checkpoint with tokens of its own is given the same text in those, and
    what it says is judged in the shared ones; passages that its tokens do not hold whole have no bits.
    """

    __pydantic_config__ = settings.STRICT
    kind: ClassVar[str]
    family: ClassVar[Literal["understanding", "generation"]] = "generation"
    primary_metric: ClassVar[str] = "bits_per_byte"
    better: ClassVar[Literal["higher", "lower"]] = "lower"
    per_item: ClassVar[Mapping[str, tuple[str, str]]] = {
        "bits_per_byte": ("bits", "bytes"),
        "judge_bits_per_byte": ("judge_bits", "judge_bytes"),
    }
    conditions: ClassVar[tuple[str, ...]] = ("pretrained",)
    columns: ClassVar[tuple[str, ...]] = ()

    items: Annotated[int, Field(gt=0)] = 200
    """held-out documents, drawn at random; one passage each"""
    prefix: Annotated[int, Field(gt=1)] = 64
    """tokens given"""
    suffix: Annotated[int, Field(gt=1)] = 32
    """tokens asked for"""
    temperature: Annotated[float, Field(ge=0)] = 1.0
    """of the generations; 1 is the network's own distribution"""
    steps: Annotated[int, Field(gt=0)] | None = None
    """calls of a masked network for a generation; one for each token if left out"""
    samples: Annotated[int, Field(ge=0)] = 3
    """generations shown in the report, drawn at random"""
    timed: Annotated[int, Field(ge=0)] = 10
    """prompts that are continued one by one, at three lengths, to time them; none if 0"""
    seed: int = 0
    """draws documents and samples"""
    smallest_effect: Annotated[float, Field(gt=0)] = 0.02
    """smallest difference in bits per byte that would matter; verdicts need it, fixed beforehand"""

    def describe(self) -> str:
        """Return one line for the report."""
        return (
            f"{self.suffix} tokens after the first {self.prefix} of held-out documents; "
            f"generations at temperature {self.temperature:g}"
        )

    def passages(self, harness: "Harness") -> list[ContinuationItem]:
        """Draw documents of the test split that are long enough.

        Raises:
            InputError: the context or the documents are too short.
        """
        wanted = self.prefix + self.suffix
        if wanted > harness.context and not harness.has_own_tokenizer:
            raise InputError(
                "tasks: continuation: prefix + suffix: wanted at most "
                f"sequence.length ({harness.context}) tokens, got {wanted}"
            )
        documents = harness.test_documents()
        found: list[ContinuationItem] = []
        for i in np.random.default_rng(self.seed).permutation(len(documents)):
            row = documents[int(i)]
            tokens = harness.encode([row["text"]], shared=True)[0]
            if len(tokens) >= wanted:
                found.append(
                    ContinuationItem(
                        str(row["document"]), tokens[: self.prefix], tokens[self.prefix : wanted]
                    )
                )
                if len(found) == self.items:
                    break
        if not found:
            raise InputError(
                f"tasks: continuation: no test document has the {wanted} tokens that prefix + suffix ask for; "
                "lower them, or use longer documents"
            )
        return found

    def measure(self, harness: "Harness") -> Measurement:
        """Score the real suffixes and generate others."""
        drawn = passages = asked = self.passages(harness)
        prompts = [passage.prefix for passage in passages]
        pairs = [(passage.prefix, passage.suffix) for passage in passages]
        if harness.has_own_tokenizer:
            own = [
                said
                for said in (_translated(harness, passage, self.suffix) for passage in drawn)
                if said is not None
            ]
            if not own:
                raise InputError(
                    "tasks: continuation: every passage is cut within a character; wanted another prefix"
                )
            passages, prompts = [said.passage for said in own], [said.prompt for said in own]
            pairs = [said.pair for said in own if said.whole]
            asked = [said.passage for said in own if said.whole]
        harness.progress({"done": 0, "total": 2, "stage": "likelihood"})
        scores = harness.model.score_tokens(pairs)
        outcomes = _bits(harness, asked, scores, harness.model.objective.exactness)
        if not harness.has_own_tokenizer:
            outcomes += _positions(scores, harness.model.objective.exactness)
        harness.progress({"done": 1, "total": 2, "stage": "generation"})
        decoded = harness.model.decode(prompts, length=self.suffix, **self._sampling(harness))
        texts = harness.decode(decoded.tokens)
        rows = decoded.tokens
        if harness.has_own_tokenizer:
            rows = [row[: self.suffix] for row in harness.encode(texts, shared=True)]
        outcomes += self._judge(harness, passages, rows)
        outcomes.append(TaskOutcome("calls_per_token", decoded.calls / self.suffix))
        outcomes.append(TaskOutcome("seconds_per_generation", decoded.seconds / len(passages)))
        outcomes += self._latencies(harness, prompts[: self.timed])
        # The same passages for every arm, so that a reader compares like with like.
        shown = np.random.default_rng([self.seed, 1]).permutation(len(drawn))[: self.samples]
        said = dict(zip([passage.id for passage in passages], texts, strict=True))
        samples = []
        for passage in [drawn[i] for i in shown if drawn[i].id in said]:
            given, real = harness.decode([passage.prefix, passage.suffix], shared=True)
            samples.append(
                {"item": passage.id, "prompt": given, "text": said[passage.id], "reference": real}
            )
        left_out = len(drawn) - len(asked) if harness.has_own_tokenizer else None
        notes = replace(self._notes(asked), left_out=left_out)
        return Measurement(
            outcomes,
            notes,
            samples,
            {"generation_seconds": decoded.seconds},
            {"items": _fingerprint(harness, drawn)},
        )

    def control(self, harness: "Harness") -> Measurement:
        """Score the suffixes by n-gram models, and the real text as if it had been generated."""
        passages = self.passages(harness)
        unigram = harness.unigram()
        outcomes = _bits(
            harness, passages, [unigram[passage.suffix] for passage in passages], "exact", "unigram"
        )
        suffixes = [passage.suffix for passage in passages]
        outcomes += _bits(
            harness,
            passages,
            _judged(harness.trigram_baseline(), passages, suffixes),
            "exact",
            "trigram",
        )
        outcomes += self._judge(harness, passages, suffixes, "reference text")
        return Measurement(
            outcomes, self._notes(passages), fingerprints={"items": _fingerprint(harness, passages)}
        )

    def _sampling(self, harness: "Harness") -> dict[str, Any]:
        """Return how to decode; ``steps`` are those of a masked model."""
        steps = self.steps if harness.model.objective.role == "encoder" else None
        return {"temperature": self.temperature, "steps": steps, "seed": harness.seed}

    def _latencies(self, harness: "Harness", prompts: Sequence[Ids]) -> list[TaskOutcome]:
        """Time generations of a quarter, a half and the whole of the length, each alone; return seconds."""
        outcomes = []
        for length in sorted(
            {max(1, self.suffix // share) for share in (4, 2, 1)} if prompts else ()
        ):
            seconds = [
                harness.model.decode([p], length=length, **self._sampling(harness)).seconds
                for p in prompts
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
        arm: str = "",
    ) -> list[TaskOutcome]:
        """Measure texts in the place of the suffix: likelihood under the judge, distinct-n and repetition of tokens."""
        outcomes, bits, size = [], 0.0, 0
        for passage, row, scores in zip(
            passages, rows, _judged(harness.trigram_judge(), passages, rows), strict=True
        ):
            item_bits, item_bytes = (
                -float(scores.sum()) / np.log(2),
                harness.byte_length(row, shared=True),
            )
            outcomes.append(TaskOutcome("judge_bits", item_bits, passage.id, model=arm))
            outcomes.append(TaskOutcome("judge_bytes", item_bytes, passage.id, model=arm))
            bits, size = bits + item_bits, size + item_bytes
        as_text = [" ".join(map(str, row)) for row in rows]
        values = {
            "judge_bits_per_byte": bits / max(size, 1),
            **harness.metric("distinct_n", predictions=as_text, n=[1, 2]),
            **harness.metric("repetition", predictions=as_text, n=4),
        }
        return outcomes + [
            TaskOutcome(metric, value, model=arm) for metric, value in values.items()
        ]

    def _notes(self, passages: Sequence[ContinuationItem]) -> Notes:
        return Notes(details={"passages": len(passages), "wanted": self.items})


@dataclass(frozen=True)
class Translated:
    """A passage in the tokens of a network that has its own.

    Attributes:
        passage: as the shared vocabulary cuts it.
        pair: prefix and suffix; the start of the prefix is dropped where both together do not fit into the context.
        prompt: the prefix, so that the tokens to be generated fit, too.
        whole: whether these tokens hold the text whole, so that their likelihood is that of the text. Tokens that lose
            case, white space or unknown characters stand for many texts, which together are likelier.
    """

    passage: ContinuationItem
    pair: tuple[Ids, Ids]
    prompt: Ids
    whole: bool


def _translated(harness: "Harness", passage: ContinuationItem, new: int) -> Translated | None:
    """Return a passage in the network's own tokens; None if it is cut within a character, so that it is no text.

    As in ``scoring.pairs_of``, prefix and suffix are one text, cut after as many tokens as the prefix alone has; if
    these do not begin it, because a token reaches across the seam, the two stand apart.
    """
    joined = np.concatenate([passage.prefix, passage.suffix])
    prefix, suffix, text = harness.decode([passage.prefix, passage.suffix, joined], shared=True)
    if prefix + suffix != text or text.endswith("\ufffd"):
        return None
    head, row, alone = harness.encode([prefix, text, suffix])
    together = len(row) > len(head) and np.array_equal(row[: len(head)], head)
    tail = row[len(head) :] if together else alone
    whole = len(tail) > 0 and harness.decode([np.concatenate([head, tail])]) == [text]
    pairs = [
        TokenizedPair(head, row, np.arange(len(row)))
        for row in (tail, np.zeros(new, dtype=np.int64))
    ]
    scored, begun = harness.model.room.check(pairs, cut=True)
    return Translated(passage, (scored.prompt, scored.completion), begun.prompt, whole)


def _judged(judge: Any, passages: Sequence[ContinuationItem], rows: Sequence[Ids]) -> list[Any]:
    """Return log p (nats) of each token of ``rows`` after its passage's prefix, by an n-gram model."""
    return [
        judge.log_p(np.concatenate([passage.prefix, row]))[len(passage.prefix) :]
        for passage, row in zip(passages, rows, strict=True)
    ]


def _bits(
    harness: "Harness",
    passages: Sequence[ContinuationItem],
    scores: Sequence[Any],
    exactness: str,
    arm: str = "",
) -> list[TaskOutcome]:
    """Return bits and bytes of each suffix, and bits per byte of all; nothing for no suffixes."""
    if not passages:
        return []
    bits = [-float(score.sum()) / np.log(2) for score in scores]
    size = [harness.byte_length(passage.suffix, shared=True) for passage in passages]
    outcomes = [TaskOutcome("bits_per_byte", sum(bits) / sum(size), exactness=exactness, model=arm)]
    for passage, item_bits, item_bytes in zip(passages, bits, size, strict=True):
        outcomes.append(TaskOutcome("bits", item_bits, passage.id, exactness=exactness, model=arm))
        outcomes.append(
            TaskOutcome("bytes", item_bytes, passage.id, exactness=exactness, model=arm)
        )
    return outcomes


def _positions(scores: Sequence[Any], exactness: str) -> list[TaskOutcome]:
    """Return the mean bits of a token in each of at most eight stretches of the suffix, as the network cuts it."""
    bits = -np.stack(scores) / np.log(2)
    outcomes = []
    for places in np.array_split(np.arange(bits.shape[1]), min(8, bits.shape[1])):
        part = f"position/{places[0] + 1}-{places[-1] + 1}"
        value = float(bits[:, places].mean())
        outcomes.append(TaskOutcome("bits_per_token", value, exactness=exactness, part=part))
    return outcomes


def _fingerprint(harness: "Harness", passages: Sequence[ContinuationItem]) -> str:
    """Return a hash of the text of the passages, which decides whether two results are of the same items."""
    digest = hashlib.sha256()
    for passage in passages:
        for text in harness.decode([passage.prefix, passage.suffix], shared=True):
            digest.update(text.encode() + b"\0")
    return digest.hexdigest()
