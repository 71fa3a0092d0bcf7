"""From the beginning of a held-out document to what follows: likelihood and generation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from lmcompare import settings
from lmcompare.errors import InputError
from lmcompare.example import Ids
from lmcompare.tasks import TASKS
from lmcompare.tasks.bench import Bench, Measurement, Outcome


@dataclass(frozen=True)
class Passage:
    """A held-out document, cut into what is given and what is asked."""

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

    def passages(self, bench: Bench) -> list[Passage]:
        """Draw documents of the test split that are long enough.

        Raises:
            InputError: the context or the documents are too short.
        """
        wanted = self.prefix + self.suffix
        if wanted > bench.context:
            raise InputError(
                "tasks: continuation: prefix + suffix: wanted at most "
                f"blocks.length ({bench.context}) tokens, got {wanted}"
            )
        documents = bench.test_documents()
        found: list[Passage] = []
        for i in np.random.default_rng(self.seed).permutation(len(documents)):
            row = documents[int(i)]
            tokens = bench.encode([row["text"]])[0]
            if len(tokens) >= wanted:
                found.append(Passage(str(row["document"]), tokens[: self.prefix], tokens[self.prefix : wanted]))
                if len(found) == self.items:
                    break
        if not found:
            raise InputError(
                f"tasks: continuation: no test document has the {wanted} tokens that prefix + suffix ask for; "
                "lower them, or use longer documents"
            )
        return found

    def measure(self, bench: Bench) -> Measurement:
        """Score the real suffixes and generate others."""
        passages = self.passages(bench)
        prompts = [passage.prefix for passage in passages]
        bench.progress({"done": 0, "total": 2, "stage": "likelihood"})
        scores = bench.model.score_tokens([(passage.prefix, passage.suffix) for passage in passages])
        outcomes = _bits(bench, passages, scores, bench.model.objective.exactness)
        bench.progress({"done": 1, "total": 2, "stage": "generation"})
        decoded = bench.model.decode(
            prompts, length=self.suffix, temperature=self.temperature, steps=self.steps, seed=bench.seed
        )
        texts = bench.decode(decoded.tokens)
        outcomes += self._judge(bench, passages, decoded.tokens)
        outcomes.append(Outcome("calls_per_token", decoded.calls / self.suffix))
        outcomes.append(Outcome("seconds_per_generation", decoded.seconds / len(passages)))
        # The same passages for every arm, so that a reader compares like with like.
        shown = np.random.default_rng([self.seed, 1]).permutation(len(passages))[: self.samples]
        given, real = bench.decode(prompts), bench.decode([passage.suffix for passage in passages])
        samples = [{"item": passages[i].id, "prompt": given[i], "text": texts[i], "reference": real[i]} for i in shown]
        return Measurement(outcomes, self._notes(passages), samples, {"generation_seconds": decoded.seconds})

    def control(self, bench: Bench) -> Measurement:
        """Score the suffixes by n-gram models, and the real text as if it had been generated."""
        passages = self.passages(bench)
        unigram = bench.unigram()
        outcomes = _bits(bench, passages, [unigram[passage.suffix] for passage in passages], "exact", "unigram")
        suffixes = [passage.suffix for passage in passages]
        outcomes += _bits(bench, passages, _judged(bench.trigram(), passages, suffixes), "exact", "trigram")
        outcomes += self._judge(bench, passages, suffixes, "reference text")
        return Measurement(outcomes, self._notes(passages))

    def _judge(self, bench: Bench, passages: Sequence[Passage], rows: Sequence[Ids], arm: str = "") -> list[Outcome]:
        """Measure texts in the place of the suffix: likelihood under the judge, distinct-n and repetition of tokens."""
        outcomes, bits, size = [], 0.0, 0
        for passage, row, scores in zip(passages, rows, _judged(bench.judge(), passages, rows), strict=True):
            item_bits, item_bytes = -float(scores.sum()) / np.log(2), bench.byte_length(row)
            outcomes.append(Outcome("judge_bits", item_bits, passage.id, arm=arm))
            outcomes.append(Outcome("judge_bytes", item_bytes, passage.id, arm=arm))
            bits, size = bits + item_bits, size + item_bytes
        as_text = [" ".join(map(str, row)) for row in rows]
        values = {
            "judge_bits_per_byte": bits / max(size, 1),
            **bench.metric("distinct_n", predictions=as_text, n=[1, 2]),
            **bench.metric("repetition", predictions=as_text, n=4),
        }
        return outcomes + [Outcome(metric, value, arm=arm) for metric, value in values.items()]

    def _notes(self, passages: Sequence[Passage]) -> dict[str, Any]:
        return {"passages": len(passages), "wanted": self.items}


def _judged(judge: Any, passages: Sequence[Passage], rows: Sequence[Ids]) -> list[Any]:
    """Return log p (nats) of each token of ``rows`` after its passage's prefix, by an n-gram model."""
    return [
        judge.log_p(np.concatenate([passage.prefix, row]))[len(passage.prefix) :]
        for passage, row in zip(passages, rows, strict=True)
    ]


def _bits(
    bench: Bench, passages: Sequence[Passage], scores: Sequence[Any], exactness: str, arm: str = ""
) -> list[Outcome]:
    """Return bits and bytes of each suffix, and bits per byte of all."""
    bits = [-float(score.sum()) / np.log(2) for score in scores]
    size = [bench.byte_length(passage.suffix) for passage in passages]
    outcomes = [Outcome("bits_per_byte", sum(bits) / sum(size), exactness=exactness, arm=arm)]
    for passage, item_bits, item_bytes in zip(passages, bits, size, strict=True):
        outcomes.append(Outcome("bits", item_bits, passage.id, exactness=exactness, arm=arm))
        outcomes.append(Outcome("bytes", item_bytes, passage.id, exactness=exactness, arm=arm))
    return outcomes
