"""From one text to another: summaries, translations, answers, replies, code."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from lmcompare.core import settings
from lmcompare.core.errors import InputError
from lmcompare.core.example import Ids
from lmcompare.core.records import Notes, Trials
from lmcompare.data.items import ItemSplits, TaskItem, build_item_splits
from lmcompare.tasks import TASKS
from lmcompare.tasks._few_shot import FewShotExample, FewShotPrompt, answered, show
from lmcompare.tasks._prompts import TruncationSide, fields_of, fit, length_for
from lmcompare.tasks._text_metrics import bits_of, score_texts
from lmcompare.tasks.base import Measurement, TaskOutcome, check_fewshot, described

if TYPE_CHECKING:
    from lmcompare.evaluation.harness import Harness

SPLITS = ("train", "validation", "test")
AROUND = 2
"""Tokens that an objective may put around a prompt and its answer."""

Metric = Literal["chrf", "rouge", "exact_match", "squad_f1", "bleu", "ter"]
SMALLEST_EFFECT = {"chrf": 1.0, "rougeL": 0.01, "exact_match": 0.01, "squad_f1": 0.01}
"""In the metric's own unit: one point in each."""


@TASKS.register("text_to_text")
@dataclass(frozen=True)
class TextToText:
    """An answer for each prompt: every network fine-tuned on pairs, its loss on the answers alone,
    then asked to write.

    Serves summarisation, translation, question answering, dialogue and code completion. Causal
    models continue the prompt, an encoder-decoder's encoder reads it, a masked model unmasks a
    block after it. All read the same prompts and write at most the same number of tokens, greedily.
    ``bits_per_byte`` is -log2 p of the real answers and of their ends, for each byte of theirs.

    The protocols zero_shot and few_shot fine-tune nothing: the prompt follows ``num_fewshot``
    training items with their answers, the same for all networks (Brown et al. 2020, section 2.4).
    No network was taught how an answer ends, so what it generates counts up to
    ``fewshot_delimiter``, and ``bits_per_byte`` has no ends.

    Controls: the answer of the training prompt that is nearest (TF-IDF), the most frequent answer,
        the prompt itself,
    and its first words, as many tokens as the median answer has.
    """

    __pydantic_config__ = settings.STRICT
    kind: ClassVar[str]
    family: ClassVar[Literal["understanding", "generation"]] = "generation"
    better: ClassVar[Literal["higher", "lower"]] = "higher"
    conditions: ClassVar[tuple[str, ...]] = ("pretrained", "scratch")
    columns: ClassVar[tuple[str, ...]] = ("prompt", "answer")

    source: object
    """where the pairs come from: a word of `lmcompare list sources`, or a mapping with its
    `kind`"""
    prompt: str = "prompt"
    """name of the column with the prompt, which is cut if it is too long"""
    answer: str = "answer"
    """name of the column with the answer, or with a list of answers: the first is learnt, any
    counts as right"""
    template: str = "{prompt}\n\n"
    """what the network reads: {prompt} is the prompt, any other name in braces that column"""
    keep_whitespace: tuple[str, ...] = ()
    """names of columns whose text keeps its white space: code"""
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
    max_new_tokens: Annotated[int, Field(gt=1)] | None = None
    """tokens of an answer and its end, at most; if left out, what 95% of the training answers
    need"""
    truncation_side: TruncationSide = "right"
    """which end of a prompt is cut off that is too long for the context"""
    protocol: Literal["finetune", "lora", "zero_shot", "few_shot"] = "finetune"
    """fine-tuning on pairs, of all weights or by LoRA; or no training, with or without examples in
    the prompt"""
    num_fewshot: Annotated[int, Field(ge=0)] = 0
    """of few_shot: training items with their answers before each prompt"""
    fewshot_delimiter: Annotated[str, Field(min_length=1)] = "\n\n"
    """of zero_shot and few_shot: what ends an example, and an answer"""
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
    """smallest difference in the primary metric that would matter, fixed beforehand; if left out,
    one point"""
    adaptation: settings.AdaptationSettings = field(default_factory=settings.AdaptationSettings)
    """how the networks are fine-tuned"""

    def __post_init__(self) -> None:
        """Refuse a template that lacks the prompt or tells the answer.

        Raises:
            InputError: such a template, an adaptation that is none for answers, or one beside
                shots.
        """
        names = {self.prompt if name == "prompt" else name for name in fields_of(self.template)}
        if self.prompt not in names:
            raise InputError(f"template: wanted {{prompt}} in it, got {self.template!r}")
        if self.answer in names:
            raise InputError(f"template: wanted none that tells the answer, got {{{self.answer}}}")
        if self.adaptation.attention == "causal":
            raise InputError(
                "adaptation.attention: wanted own or bidirectional to write answers, got causal"
            )
        check_fewshot(self.protocol, self.num_fewshot)
        if not self.trains and self.adaptation != settings.AdaptationSettings():
            raise InputError(
                f"adaptation: wanted none with protocol {self.protocol!r}, which trains nothing"
            )
        if self.trains and self.fewshot_delimiter != "\n\n":
            raise InputError(
                "fewshot_delimiter: wanted only with protocols zero_shot and few_shot, got "
                f"{self.fewshot_delimiter!r}"
            )
        if self.smallest_effect is None:
            object.__setattr__(self, "smallest_effect", SMALLEST_EFFECT[self.primary_metric])

    @property
    def trains(self) -> bool:
        """Whether the networks are adapted to the task."""
        return self.protocol in ("finetune", "lora")

    @property
    def primary_metric(self) -> str:
        """What ``metric`` chooses."""
        return "rougeL" if self.metric == "rouge" else self.metric

    @property
    def per_item(self) -> Mapping[str, tuple[str, str]]:
        """The primary metric is the mean over items; bits are summed over answers, and so are
        bytes."""
        return {self.primary_metric: (self.primary_metric, ""), "bits_per_byte": ("bits", "bytes")}

    def describe(self) -> str:
        """Return one line for the report."""
        name = {"rougeL": "ROUGE-L", "chrf": "chrF"}.get(
            self.primary_metric, self.primary_metric.replace("_", " ")
        )
        how = f"by fine-tuning ({self.adaptation.epochs} epochs at most)"
        if not self.trains:
            how = f"after {self.num_fewshot} examples" if self.num_fewshot else "zero-shot"
        return f"{self.answer} for each {self.prompt} ({described(self.source)}), {how}; {name} of greedy answers"

    def data(self) -> ItemSplits:
        """Return the items, split; no two read alike, so that no test prompt was answered in
        training."""
        names = [self.prompt if name == "prompt" else name for name in fields_of(self.template)]
        shown = tuple(dict.fromkeys(names))
        return build_item_splits(
            self.source,
            columns=(*shown, self.answer),
            unique=shown,
            verbatim=self.keep_whitespace,
            validation=self.validation,
            test=self.test,
            items=self.items,
            seed=self.seed,
            group=self.group,
        )

    def measure(self, harness: "Harness") -> Measurement:
        """Fine-tune the network under test (or take it as it is), let it answer, score what it says
        of real answers."""
        data = self.data()
        as_it_is = not self.trains
        rows = {split: self._rows(harness, getattr(data, split)) for split in SPLITS}
        length = (
            min(self.max_new_tokens, harness.context // 2)
            if self.max_new_tokens
            else length_for(rows["train"], harness.context)
        )
        most = harness.context - length - AROUND
        shown = self._show(harness, data, most, length)
        prompts, cut = {}, {"fewshot": shown.prompts_cut} if as_it_is else {}
        for split in ("test",) if as_it_is else SPLITS:
            fitted = [self._fit(harness, item, most, shown.text) for item in getattr(data, split)]
            prompts[split] = [text for text, _ in fitted]
            cut[split] = sum(was_cut for _, was_cut in fitted)
        pairs = {
            split: list(zip(harness.encode(prompts[split]), rows[split], strict=True))
            for split in prompts
        }
        adaptation = self.adaptation.by(self.protocol) if self.trains else None
        done = harness.generate_answers(
            pairs, length=length, adaptation=adaptation, strategy=self.strategy, steps=self.steps
        )
        texts = harness.decode(done.answers, target=True)
        if as_it_is:
            texts = [answered(text, self.fewshot_delimiter) for text in texts]
        outcomes, signatures = self._score(harness, data.test, texts)
        outcomes += bits_of(
            harness, data.test, rows["test"], done.nats, length, harness.model.objective.exactness
        )
        outcomes.append(TaskOutcome("calls_per_answer", done.calls))
        outcomes.append(TaskOutcome("seconds_per_generation", done.seconds / len(texts)))
        # The same items for every arm, so that a reader compares like with like.
        drawn = np.random.default_rng([self.seed, 1]).permutation(len(texts))[: self.samples]
        samples = [
            {
                "item": data.test[i].id,
                "prompt": prompts["test"][i],
                "text": texts[i],
                "reference": self._answers(data.test[i])[0],
            }
            for i in drawn
        ]
        ends = 0 if as_it_is else 1
        answers_cut = {
            split: sum(len(row) + ends > length for row in rows[split]) for split in prompts
        }
        asked, long = sum(map(len, prompts.values())), sum(answers_cut.values())
        were_cut = f"{sum(cut.values()):,} of {asked + len(shown.ids):,} were cut"
        route = f"prompts of at most {most} tokens ({were_cut}), answers of at most {length}"
        details: dict[str, Any] = {
            "length": length,
            "prompts_cut": cut,
            "answers_cut": answers_cut,
            "signatures": signatures,
        }
        trials = None
        costs = {"generation_seconds": done.seconds}
        if done.tuned is None:
            examples = (
                f"after {self.num_fewshot} examples ({shown.answers_cut} of their answers were cut)"
            )
            procedure = f"{examples}; {route} ({long:,} of {asked:,} are longer, but judged whole)"
            details |= {
                "fewshot": list(shown.ids),
                "answers_cut": {"fewshot": shown.answers_cut, **answers_cut},
            }
        else:
            told = "are longer: learnt without their end, but judged whole"
            procedure = f"{route} and their end among them ({long:,} of {asked:,} {told})"
            trials = Trials(done.tuned.trials, done.tuned.chosen)
            outcomes.append(TaskOutcome("validation_loss", done.tuned.loss, split="validation"))
            costs["seconds"] = done.tuned.seconds
        notes = Notes(
            trials=trials,
            procedure=procedure,
            counts=data.counts,
            truncated=sum(cut.values()),
            details=details,
        )
        return Measurement(outcomes, notes, samples, costs, {"items": data.fingerprint})

    def control(self, harness: "Harness") -> Measurement:
        """Answer the test prompts without any network."""
        data = self.data()
        known, asked = (
            [item.fields[self.prompt] for item in part] for part in (data.train, data.test)
        )
        answers = [self._answers(item)[0] for item in data.train]
        harness.progress({"done": 0, "total": 2, "stage": "nearest prompts"})
        near = [answers[i] for i in harness.nearest_neighbors(known, asked)]
        median = int(np.median([len(row) for row in harness.encode(answers)]))
        lead = [
            text.strip("\ufffd")
            for text in harness.decode([row[:median] for row in harness.encode(asked)])
        ]
        frequent = Counter(answers).most_common(1)[0][0]
        arms = {
            "answer of the nearest prompt": near,
            "most frequent answer": [frequent] * len(asked),
            "copy of the prompt": asked,
            "lead of the prompt": lead,
        }
        harness.progress({"done": 1, "total": 2, "stage": "scoring"})
        outcomes: list[TaskOutcome] = []
        signatures: dict[str, str] = {}
        for arm, texts in arms.items():
            found, signatures = self._score(harness, data.test, texts, arm)
            outcomes += found
        notes = Notes(counts=data.counts, details={"signatures": signatures})
        return Measurement(outcomes, notes, fingerprints={"items": data.fingerprint})

    def _answers(self, item: TaskItem) -> list[str]:
        value = item.fields[self.answer]
        return [str(one) for one in value] if isinstance(value, list) else [str(value)]

    def _wanted(self, item: TaskItem) -> str:
        """Return what is to follow the prompt: of a network as it is, with the spaces at the end of
        the template."""
        return (
            self.template[len(self.template.rstrip(" ")) :] if not self.trains else ""
        ) + self._answers(item)[0]

    def _rows(self, harness: "Harness", items: Sequence[TaskItem]) -> list[Ids]:
        return harness.encode([self._wanted(item) for item in items], target=True)

    def _render(self, item: TaskItem) -> Callable[[str], str]:
        template = self.template if self.trains else self.template.rstrip(" ")
        return lambda text: template.format(**{**item.fields, self.prompt: text, "prompt": text})

    def _fit(self, harness: "Harness", item: TaskItem, most: int, before: str) -> tuple[str, bool]:
        render = self._render(item)
        return fit(
            harness,
            lambda text: before + render(text),
            item.fields[self.prompt],
            most,
            self.truncation_side,
        )

    def _show(self, harness: "Harness", data: ItemSplits, most: int, length: int) -> FewShotPrompt:
        """Return the first training items, solved: the same for every network.

        Raises:
            InputError: there are not so many, or the context is too small for them.
        """
        count = self.num_fewshot
        if count > len(data.train):
            raise InputError(
                f"num_fewshot: wanted at most the {len(data.train)} training items, got {count}"
            )
        items = data.train[:count]
        shots = [
            FewShotExample(
                item.id, item.fields[self.prompt], self._wanted(item), self._render(item)
            )
            for item in items
        ]
        return show(
            harness,
            shots,
            self.fewshot_delimiter,
            most=most,
            longest=length,
            side=self.truncation_side,
        )

    def _score(
        self, harness: "Harness", items: Sequence[TaskItem], texts: Sequence[str], arm: str = ""
    ) -> tuple[list[TaskOutcome], dict[str, str]]:
        references = [self._answers(item) for item in items]
        names = [self.metric, *self.metrics]
        return score_texts(
            harness, [item.id for item in items], texts, references, names, self.chinese, arm
        )
