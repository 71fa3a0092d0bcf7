"""From one text to another: summaries, translations, answers, replies, code."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from lmcompare import settings
from lmcompare.corpora.paired import Entry, Items, build_items
from lmcompare.errors import InputError
from lmcompare.example import Ids
from lmcompare.tasks import TASKS
from lmcompare.tasks.bench import Bench, Measurement, Outcome, described
from lmcompare.tasks.templates import Keep, fields_of, fit, length_for

SPLITS = ("train", "validation", "test")
AROUND = 2
"""Tokens that an objective may put around a prompt and its answer."""

Metric = Literal["chrf", "rouge", "exact_match", "squad_f1", "bleu", "ter"]
SMALLEST_EFFECT = {"chrf": 1.0, "rougeL": 0.01, "exact_match": 0.01, "squad_f1": 0.01}
"""In the metric's own unit: one point in each."""
OPTIONS: dict[str, dict[str, Any]] = {
    "rouge": {"tokenizer": "any"},
    "bleu": {"tokenize": "zh"},
    "ter": {"chinese": True},
}
"""How texts are cut into words: by ROUGE in any script alike, by the others where texts are Chinese."""
ROUGE_L = 2
"""Its place among an item's ROUGE scores."""


@TASKS.register("transduction")
@dataclass(frozen=True)
class Transduction:
    """An answer for each prompt: every network fine-tuned on pairs, its loss on the answers alone, then asked to write.

    Serves summarisation, translation, question answering, dialogue and code completion. Causal models continue the
    prompt, an encoder-decoder's encoder reads it, a masked model unmasks a block after it. All read the same prompts
    and write at most the same number of tokens, greedily. ``bits_per_byte`` is -log2 p of the real answers and of
    their ends, for each byte of theirs.

    Controls: the answer of the training prompt that is nearest (TF-IDF), the most frequent answer, the prompt itself,
    and its first words, as many tokens as the median answer has.
    """

    __pydantic_config__ = settings.STRICT
    kind: ClassVar[str]
    family: ClassVar[Literal["understanding", "generation"]] = "generation"
    better: ClassVar[Literal["higher", "lower"]] = "higher"
    conditions: ClassVar[tuple[str, ...]] = ("pretrained", "scratch")
    columns: ClassVar[tuple[str, ...]] = ("prompt", "answer")

    source: object
    """where the pairs come from: a word of `lmcompare list sources`, or a mapping with its `kind`"""
    prompt: str = "prompt"
    """name of the column with the prompt, which is cut if it is too long"""
    answer: str = "answer"
    """name of the column with the answer, or with a list of answers: the first is learnt, any counts as right"""
    template: str = "{prompt}\n\n"
    """what the network reads: {prompt} is the prompt, any other name in braces that column"""
    as_is: tuple[str, ...] = ()
    """names of columns whose text keeps its spaces: code"""
    group: str | None = None
    """name of a column: rows that share a value stay in one split"""
    validation: settings.Share = 0.1
    """share of the items that chooses the trial"""
    test: settings.Share = 0.1
    """share of the items that is reported"""
    items: Annotated[int, Field(gt=0)] | None = None
    """at most so many items in all; every one if left out"""
    seed: int = 0
    """of the split and of the samples"""
    length: Annotated[int, Field(gt=1)] | None = None
    """tokens of an answer and its end, at most; if left out, what 95% of the training answers need"""
    keep: Keep = "start"
    """which end of a prompt stays that is too long for the context"""
    metric: Literal["chrf", "rouge", "exact_match", "squad_f1"] = "chrf"
    """the primary metric: the mean over the items (of rouge: ROUGE-L)"""
    metrics: tuple[Metric, ...] = ("exact_match",)
    """what is reported besides"""
    chinese: bool = False
    """cut answers into words as Chinese for BLEU and TER; the other metrics read any script"""
    strategy: Literal["confidence", "left_to_right", "mask_predict"] = "confidence"
    """the order in which a masked network unmasks"""
    steps: Annotated[int, Field(gt=0)] | None = None
    """calls of a masked network for an answer; what the strategy says if left out"""
    samples: Annotated[int, Field(ge=0)] = 3
    """answers shown in the report, drawn at random"""
    smallest_effect: Annotated[float, Field(gt=0)] | None = None
    """smallest difference in the primary metric that would matter, fixed beforehand; if left out, one point"""
    adaptation: settings.Adaptation = field(default_factory=settings.Adaptation)
    """how the networks are fine-tuned"""

    def __post_init__(self) -> None:
        """Refuse a template that lacks the prompt or tells the answer.

        Raises:
            InputError: such a template, or an adaptation that is none for answers.
        """
        names = {self.prompt if name == "prompt" else name for name in fields_of(self.template)}
        if self.prompt not in names:
            raise InputError(f"template: wanted {{prompt}} in it, got {self.template!r}")
        if self.answer in names:
            raise InputError(f"template: wanted none that tells the answer, got {{{self.answer}}}")
        if self.adaptation.attention == "causal":
            raise InputError("adaptation.attention: wanted own or bidirectional to write answers, got causal")
        if self.adaptation.method == "probe":
            raise InputError("adaptation.method: wanted finetune or lora to write answers, got probe")
        if self.smallest_effect is None:
            object.__setattr__(self, "smallest_effect", SMALLEST_EFFECT[self.primary_metric])

    @property
    def primary_metric(self) -> str:
        """What ``metric`` chooses."""
        return "rougeL" if self.metric == "rouge" else self.metric

    @property
    def per_item(self) -> Mapping[str, tuple[str, str]]:
        """The primary metric is the mean over items; bits are summed over answers, and so are bytes."""
        return {self.primary_metric: (self.primary_metric, ""), "bits_per_byte": ("bits", "bytes")}

    def describe(self) -> str:
        """Return one line for the report."""
        name = {"rougeL": "ROUGE-L", "chrf": "chrF"}.get(self.primary_metric, self.primary_metric.replace("_", " "))
        return (
            f"{self.answer} for each {self.prompt} ({described(self.source)}), by fine-tuning "
            f"({self.adaptation.epochs} epochs at most); {name} of greedy answers"
        )

    def data(self) -> Items:
        """Return the items, split; no two read alike, so that no test prompt was answered in training."""
        names = [self.prompt if name == "prompt" else name for name in fields_of(self.template)]
        shown = tuple(dict.fromkeys(names))
        return build_items(
            self.source,
            columns=(*shown, self.answer),
            unique=shown,
            as_is=self.as_is,
            validation=self.validation,
            test=self.test,
            items=self.items,
            seed=self.seed,
            group=self.group,
        )

    def measure(self, bench: Bench) -> Measurement:
        """Fine-tune the network under test, let it answer the test prompts, score what it says of the real answers."""
        data = self.data()
        rows = {split: bench.encode([self._answers(item)[0] for item in getattr(data, split)]) for split in SPLITS}
        length = min(self.length, bench.context // 2) if self.length else length_for(rows["train"], bench.context)
        most = bench.context - length - AROUND
        prompts, cut = {}, {}
        for split in SPLITS:
            fitted = [self._fit(bench, item, most) for item in getattr(data, split)]
            prompts[split] = [text for text, _ in fitted]
            cut[split] = sum(was_cut for _, was_cut in fitted)
        pairs = {split: list(zip(bench.encode(prompts[split]), rows[split], strict=True)) for split in SPLITS}
        done = bench.answer(pairs, length=length, adaptation=self.adaptation, strategy=self.strategy, steps=self.steps)
        texts = bench.decode(done.answers)
        outcomes, signatures = self._score(bench, data.test, texts)
        outcomes += _bits(bench, data.test, rows["test"], done.nats, length, bench.model.objective.exactness)
        outcomes.append(Outcome("validation_loss", done.tuned.loss, split="validation"))
        outcomes.append(Outcome("calls_per_answer", done.calls))
        outcomes.append(Outcome("seconds_per_generation", done.seconds / len(texts)))
        # The same items for every arm, so that a reader compares like with like.
        shown = np.random.default_rng([self.seed, 1]).permutation(len(texts))[: self.samples]
        samples = [
            {
                "item": data.test[i].id,
                "prompt": prompts["test"][i],
                "text": texts[i],
                "reference": self._answers(data.test[i])[0],
            }
            for i in shown
        ]
        answers_cut = {split: sum(len(row) >= length for row in rows[split]) for split in SPLITS}
        items = sum(map(len, rows.values()))
        notes = {
            "route": f"prompts of at most {most} tokens ({sum(cut.values()):,} of {items:,} were cut), answers of at "
            f"most {length} and their end among them ({sum(answers_cut.values()):,} of {items:,} are longer: learnt "
            "without their end, but judged whole)",
            "trials": done.tuned.trials,
            "chosen": done.tuned.chosen,
            "length": length,
            "truncated": sum(cut.values()),
            "prompts_cut": cut,
            "answers_cut": answers_cut,
            "signatures": signatures,
            "counts": data.counts,
        }
        currencies = {"seconds": done.tuned.seconds, "generation_seconds": done.seconds}
        return Measurement(outcomes, notes, samples, currencies, {"items": data.fingerprint})

    def control(self, bench: Bench) -> Measurement:
        """Answer the test prompts without any network."""
        data = self.data()
        known, asked = ([item.fields[self.prompt] for item in part] for part in (data.train, data.test))
        answers = [self._answers(item)[0] for item in data.train]
        bench.progress({"done": 0, "total": 2, "stage": "nearest prompts"})
        near = [answers[i] for i in bench.nearest(known, asked)]
        median = int(np.median([len(row) for row in bench.encode(answers)]))
        lead = [text.strip("\ufffd") for text in bench.decode([row[:median] for row in bench.encode(asked)])]
        frequent = Counter(answers).most_common(1)[0][0]
        arms = {
            "answer of the nearest prompt": near,
            "most frequent answer": [frequent] * len(asked),
            "copy of the prompt": asked,
            "lead of the prompt": lead,
        }
        bench.progress({"done": 1, "total": 2, "stage": "scoring"})
        outcomes: list[Outcome] = []
        signatures: dict[str, str] = {}
        for arm, texts in arms.items():
            found, signatures = self._score(bench, data.test, texts, arm)
            outcomes += found
        notes = {"signatures": signatures, "counts": data.counts}
        return Measurement(outcomes, notes, fingerprints={"items": data.fingerprint})

    def _answers(self, item: Entry) -> list[str]:
        value = item.fields[self.answer]
        return [str(one) for one in value] if isinstance(value, list) else [str(value)]

    def _fit(self, bench: Bench, item: Entry, most: int) -> tuple[str, bool]:
        def render(text: str) -> str:
            return self.template.format(**{**item.fields, self.prompt: text, "prompt": text})

        return fit(bench, render, item.fields[self.prompt], most, self.keep)

    def _score(
        self, bench: Bench, items: Sequence[Entry], texts: Sequence[str], arm: str = ""
    ) -> tuple[list[Outcome], dict[str, str]]:
        """Return the metrics of the texts, item by item for the primary one; and the signatures of those that sign."""
        references = [self._answers(item) for item in items]
        outcomes: list[Outcome] = []
        signatures: dict[str, str] = {}
        for name in dict.fromkeys([self.metric, *self.metrics]):
            found: dict[str, Any] = dict(
                bench.metric(
                    name,
                    predictions=list(texts),
                    references=references,
                    **(OPTIONS.get(name, {}) if self.chinese or name == "rouge" else {}),
                    **({"per_item": True} if name == self.metric else {}),
                )
            )
            if "signature" in found:
                signatures[name] = str(found.pop("signature"))
            if name == self.metric:
                values = [row[ROUGE_L] if name == "rouge" else row for row in found.pop("items")]
                outcomes += [
                    Outcome(self.primary_metric, float(value), item.id, arm=arm)
                    for item, value in zip(items, values, strict=True)
                ]
                if name == "chrf":
                    found["corpus_chrf"] = found[name]
                found[self.primary_metric] = np.mean(values)
            outcomes += [Outcome(key, float(value), arm=arm) for key, value in found.items()]
        return outcomes, signatures


def _bits(
    bench: Bench, items: Sequence[Entry], answers: Sequence[Ids], nats: Sequence[Any], length: int, exactness: str
) -> list[Outcome]:
    """Return bits and bytes of each real answer (of what of it fits into ``length``), and bits per byte of all."""
    bits = [-float(row.sum()) / np.log(2) for row in nats]
    size = [bench.byte_length(answer[:length]) for answer in answers]
    outcomes = [Outcome("bits_per_byte", sum(bits) / sum(size), exactness=exactness)]
    for item, item_bits, item_bytes in zip(items, bits, size, strict=True):
        outcomes.append(Outcome("bits", item_bits, item.id, exactness=exactness))
        outcomes.append(Outcome("bytes", item_bytes, item.id, exactness=exactness))
    return outcomes
