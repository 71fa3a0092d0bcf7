"""Text-to-text: summaries, translations, answers, replies, code."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from lmcompare.core import settings
from lmcompare.core.errors import InputError
from lmcompare.core.records import Notes, Trials
from lmcompare.data.items import ItemSplits, TaskItem, build_item_splits
from lmcompare.tasks import TASKS, Task
from lmcompare.tasks._generated_answers import (
    TokenizedAnswers,
    TokenizedPairs,
    answer_bits,
    answer_costs,
    draw_samples,
    score_texts,
    tokenize_answers,
    tokenize_pairs,
)
from lmcompare.tasks._prompts import (
    FewShotExamples,
    PromptedItem,
    TruncationSide,
    columns_of,
    decode_cut,
    first_answer,
    render_examples,
    renderer,
)
from lmcompare.tasks.base import SPLITS, Measurement, TaskOutcome, check_fewshot, described

if TYPE_CHECKING:
    from lmcompare.evaluation.harness import Harness

Metric = Literal["chrf", "rouge", "exact_match", "squad_f1", "bleu", "ter"]
SMALLEST_EFFECT = {"chrf": 1.0, "rougeL": 0.01, "exact_match": 0.01, "squad_f1": 0.01}
"""In the metric's own unit: one point in each."""


@TASKS.register("text_to_text")
@dataclass(frozen=True)
class TextToText(Task):
    """An answer for each prompt: fine-tuned on pairs, the loss on the answers alone, or few-shot.

    Serves summarization, translation, question answering, dialogue and code completion. Causal
    models continue the prompt, an encoder-decoder's encoder reads it, a masked model unmasks masks
    after it. All read the same prompts and generate at most the same number of tokens, greedily.
    ``bits_per_byte`` is -log2 p of the real answers and of their eos, for each byte of theirs.

    The protocols zero_shot and few_shot train nothing: each prompt follows ``num_fewshot`` training
    items with their answers, the same for all networks (Brown et al. 2020, section 2.4). No network
    learned how an answer ends, so a generation counts up to ``fewshot_delimiter``, and
    ``bits_per_byte`` has no eos.

    Controls: the answer of the training prompt that is nearest (TF-IDF), the most frequent answer,
    the prompt itself, and its first words, as many tokens as the median answer has.
    """

    family = "generation"
    conditions = ("pretrained", "scratch")
    columns = ("prompt", "answer")

    source: object
    """a word of `lmcompare list sources`, or a mapping with its `kind`"""
    prompt: str = "prompt"
    """name of the column with the prompt, which is cut if it is too long"""
    answer: str = "answer"
    """name of the column with the answer, or with a list of answers: the first is learned, any
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
    """tokens of an answer and its eos, at most; if left out, what 95% of the training answers
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
    """forward passes of a masked network for an answer; what the strategy needs if left out"""
    samples: Annotated[int, Field(ge=0)] = 3
    """answers shown in the report, drawn at random"""
    smallest_effect: Annotated[float, Field(gt=0)] | None = None
    """smallest difference in the primary metric that would matter, fixed beforehand; if left out,
    one point"""
    adaptation: settings.AdaptationSettings = field(default_factory=settings.AdaptationSettings)
    """how the networks are fine-tuned"""

    def __post_init__(self) -> None:
        """Refuse a template that lacks the prompt or tells the answer, and settings of another
        protocol.

        Raises:
            InputError: so it is.
        """
        columns_of(self.template, self.prompt, self.answer)
        if self.adaptation.attention == "causal":
            raise InputError(
                "adaptation.attention: wanted own or bidirectional to generate answers, got causal"
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
        """The primary metric is the mean over items; bits per byte are a ratio of sums."""
        return {self.primary_metric: (self.primary_metric, ""), "bits_per_byte": ("bits", "bytes")}

    def describe(self) -> str:
        names = {"rougeL": "ROUGE-L", "chrf": "chrF"}
        name = names.get(self.primary_metric, self.primary_metric.replace("_", " "))
        how = f"by fine-tuning ({self.adaptation.epochs} epochs at most)"
        if not self.trains:
            how = f"after {self.num_fewshot} examples" if self.num_fewshot else "zero-shot"
        source = described(self.source)
        return f"{self.answer} for each {self.prompt} ({source}), {how}; {name} of greedy answers"

    def data(self) -> ItemSplits:
        """Return the items, split; no two read alike, so that no test prompt was answered in
        training.
        """
        shown = columns_of(self.template, self.prompt, self.answer)
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

    def _prompted(self, items: Sequence[TaskItem]) -> list[PromptedItem]:
        # Without training, the white space at the end of the template belongs to the answer, as in
        # the texts that the network was trained on.
        template = self.template if self.trains else self.template.rstrip(" ")
        space = self.template[len(template) :]

        prompted = []
        for item in items:
            value = item.fields[self.answer]
            answers = [str(answer) for answer in (value if isinstance(value, list) else [value])]
            prompt = item.fields[self.prompt]
            render = renderer(template, self.prompt, item.fields)
            prompted.append(PromptedItem(item.id, prompt, render, answers, space))
        return prompted

    def measure(self, harness: "Harness") -> Measurement:
        data = self.data()
        items = {split: self._prompted(getattr(data, split)) for split in SPLITS}
        answers = tokenize_answers(harness, items, self.max_new_tokens)
        examples = self._examples(harness, items["train"], answers)
        given = items if self.trains else {"test": items["test"]}
        tokenized = tokenize_pairs(harness, given, answers, self.truncation_side, examples.text)

        # Fine-tuning, if any, and generation.
        generated = harness.generate_answers(
            tokenized.pairs,
            length=answers.max_new_tokens,
            adaptation=self.adaptation.by(self.protocol) if self.trains else None,
            strategy=self.strategy,
            steps=self.steps,
        )
        texts = harness.decode(generated.answers, target=True)
        if not self.trains:
            texts = [first_answer(text, self.fewshot_delimiter) for text in texts]

        test, ids = items["test"], [item.id for item in items["test"]]
        outcomes, signatures = self._score(harness, test, texts)
        rows, length = answers.rows["test"], answers.max_new_tokens
        outcomes += answer_bits(harness, ids, rows, generated.nats, length)
        outcomes += answer_costs(generated.calls, generated.seconds, len(texts))
        costs, trials = {"generation_seconds": generated.seconds}, None
        if generated.tuned is not None:
            tuned = generated.tuned
            outcomes.append(TaskOutcome("validation_loss", tuned.loss, split="validation"))
            costs["seconds"] = tuned.seconds
            trials = Trials(tuned.trials, tuned.chosen)
        return Measurement(
            outcomes,
            self._notes(data, answers, tokenized, examples, trials, signatures),
            draw_samples(self.seed, self.samples, test, tokenized.prompts["test"], texts),
            costs,
            data.fingerprint,
        )

    def _examples(
        self, harness: "Harness", train: Sequence[PromptedItem], answers: TokenizedAnswers
    ) -> FewShotExamples:
        """Render the first training items: the same examples for every network.

        Raises:
            InputError: there are not so many, or the context is too small for them.
        """
        if self.num_fewshot > len(train):
            raise InputError(
                f"num_fewshot: wanted at most the {len(train)} training items, got "
                f"{self.num_fewshot}"
            )
        return render_examples(
            harness,
            train[: self.num_fewshot],
            self.fewshot_delimiter,
            room=answers.room,
            max_new_tokens=answers.max_new_tokens,
            side=self.truncation_side,
        )

    def _notes(
        self,
        data: ItemSplits,
        answers: TokenizedAnswers,
        tokenized: TokenizedPairs,
        examples: FewShotExamples,
        trials: Trials | None,
        signatures: dict[str, str],
    ) -> Notes:
        """Say how prompts and answers were cut."""
        splits = list(tokenized.prompts)
        prompts_cut, answers_cut = tokenized.cut, answers.longer(splits, eos=int(self.trains))
        prompts, long = sum(map(len, tokenized.prompts.values())), sum(answers_cut.values())
        fewshot = {}
        if not self.trains:
            prompts_cut = {"fewshot": examples.prompts_cut, **prompts_cut}
            fewshot = {"fewshot": list(examples.ids)}
        cut = sum(prompts_cut.values())
        procedure = (
            f"prompts of at most {answers.room} tokens ({cut:,} of "
            f"{prompts + len(examples.ids):,} were cut), answers of at most "
            f"{answers.max_new_tokens}"
        )
        if self.trains:
            procedure += (
                f" and their end among them ({long:,} of {prompts:,} are longer: learnt without "
                "their end, but judged whole)"
            )
        else:
            procedure = (
                f"after {self.num_fewshot} examples ({examples.answers_cut} of their answers were "
                f"cut); {procedure} ({long:,} of {prompts:,} are longer, but judged whole)"
            )
            answers_cut = {"fewshot": examples.answers_cut, **answers_cut}
        details = {
            "length": answers.max_new_tokens,
            "prompts_cut": prompts_cut,
            "answers_cut": answers_cut,
            "signatures": signatures,
            **fewshot,
        }
        return Notes(
            trials=trials, procedure=procedure, counts=data.counts, truncated=cut, details=details
        )

    def control(self, harness: "Harness") -> Measurement:
        data = self.data()
        train, test = self._prompted(data.train), self._prompted(data.test)
        prompts = [item.prompt for item in test]
        answers = [item.answers[0] for item in train]
        harness.progress({"done": 0, "total": 2, "stage": "nearest prompts"})
        nearest = harness.nearest_neighbors([item.prompt for item in train], prompts)
        median = int(np.median([len(row) for row in harness.encode(answers)]))
        controls = {
            "answer of the nearest prompt": [answers[i] for i in nearest],
            "most frequent answer": [Counter(answers).most_common(1)[0][0]] * len(test),
            "copy of the prompt": prompts,
            "lead of the prompt": [
                decode_cut(harness, row[:median]) for row in harness.encode(prompts)
            ],
        }
        harness.progress({"done": 1, "total": 2, "stage": "scoring"})
        outcomes: list[TaskOutcome] = []
        signatures: dict[str, str] = {}
        for model, texts in controls.items():
            scores, signatures = self._score(harness, test, texts, model)
            outcomes += scores
        notes = Notes(counts=data.counts, details={"signatures": signatures})
        return Measurement(outcomes, notes, fingerprint=data.fingerprint)

    def _score(
        self,
        harness: "Harness",
        items: Sequence[PromptedItem],
        texts: Sequence[str],
        model: str = "",
    ) -> tuple[list[TaskOutcome], dict[str, str]]:
        return score_texts(
            harness,
            [item.id for item in items],
            texts,
            [item.answers for item in items],
            [self.metric, *self.metrics],
            self.chinese,
            model,
        )
