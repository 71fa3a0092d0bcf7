"""Instruction following: tuned on some tasks through templates, tested on tasks never seen."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from lmcompare.core import settings
from lmcompare.core.errors import InputError
from lmcompare.core.records import Notes, Trials
from lmcompare.tasks import TASKS, Task
from lmcompare.tasks._generated_answers import (
    answer_bits,
    answer_costs,
    draw_samples,
    score_texts,
    tokenize_answers,
    tokenize_pairs,
)
from lmcompare.tasks._instruction_mixture import InstructionMixture, InstructionTask, mix
from lmcompare.tasks._prompts import PromptedItem, TruncationSide
from lmcompare.tasks.base import (
    SPLITS,
    Measurement,
    TaskOutcome,
    described,
    item_outcomes,
    whole_outcomes,
)

if TYPE_CHECKING:
    from lmcompare.evaluation.harness import Harness


@TASKS.register("instruction_following")
@dataclass(frozen=True)
class InstructionFollowing(Task):
    """Every network is tuned on a mixture of tasks, then answers unseen ones (Wei et al. 2022).

    All tasks are text to text, through templates; the loss is on the answers alone. Nothing of an
    unseen task is trained on: its items are all tested, zero-shot. The primary metric is the mean
    over all items of the unseen tasks; ``<metric>_tuned`` is that over the test items of the tuned
    ones; each task is also shown alone.

    Controls: the most frequent answer of the tuned tasks, the answer of the nearest tuned prompt
    (TF-IDF), and the most frequent answer of each task among its test items: the best that a
    constant can get.
    """

    family = "generation"
    conditions = ("pretrained", "scratch")
    sections = {"tuned": InstructionTask, "unseen": InstructionTask}

    tuned: Annotated[dict[str, InstructionTask], Field(min_length=1)]
    """name -> task that is trained on: its source, prompt, answer, verbalizer, template, items"""
    unseen: Annotated[dict[str, InstructionTask], Field(min_length=1)]
    """name -> task that is only tested; the same keys"""
    validation: settings.Share = 0.1
    """share of the items of each tuned task that chooses the trial"""
    test: settings.Share = 0.1
    """share of the items of each tuned task that is tested"""
    seed: int = 0
    """of the splits and of the samples"""
    max_new_tokens: Annotated[int, Field(gt=1)] | None = None
    """tokens of an answer and its eos, at most; if left out, what 95% of the training answers
    need"""
    truncation_side: TruncationSide = "right"
    """which end of a prompt is cut off that is too long for the context"""
    metric: Literal["exact_match", "chrf"] = "exact_match"
    """the primary metric: the mean over the items of the unseen tasks"""
    strategy: Literal["confidence", "left_to_right", "mask_predict"] = "confidence"
    """the order in which a masked network unmasks"""
    steps: Annotated[int, Field(gt=0)] | None = None
    """forward passes of a masked network for an answer; what the strategy needs if left out"""
    samples: Annotated[int, Field(ge=0)] = 3
    """answers to unseen tasks shown in the report, drawn at random"""
    smallest_effect: Annotated[float, Field(gt=0)] | None = None
    """smallest difference in the primary metric that would matter, fixed beforehand; if left out,
    one point"""
    protocol: Literal["finetune", "lora"] = "finetune"
    """what is trained: all weights, or low-rank matrices"""
    adaptation: settings.AdaptationSettings = field(default_factory=settings.AdaptationSettings)
    """how the networks are fine-tuned"""

    def __post_init__(self) -> None:
        """Refuse names that are used twice, and causal attention.

        Raises:
            InputError: such a name, or such an adaptation.
        """
        for name in self.unseen:
            if name in self.tuned:
                raise InputError(
                    f"unseen.{name}: wanted a task that is not tuned on, got a name of `tuned`"
                )
        for name in (*self.tuned, *self.unseen):
            if not name.strip() or "/" in name:
                raise InputError(f"tuned, unseen: wanted names without '/', got {name!r}")
        if self.adaptation.attention == "causal":
            raise InputError(
                "adaptation.attention: wanted own or bidirectional to generate answers, got causal"
            )
        if self.smallest_effect is None:
            point = {"exact_match": 0.01, "chrf": 1.0}[self.metric]
            object.__setattr__(self, "smallest_effect", point)

    @property
    def primary_metric(self) -> str:
        """What ``metric`` chooses."""
        return self.metric

    @property
    def per_item(self) -> Mapping[str, tuple[str, str]]:
        """Means over items; bits per byte are a ratio of sums."""
        means = {name: (name, "") for name in (self.metric, f"{self.metric}_tuned")}
        return {**means, "bits_per_byte": ("bits", "bytes")}

    def describe(self) -> str:
        tuned, unseen = (
            ", ".join(f"{name} ({described(task.source)})" for name, task in tasks.items())
            for tasks in (self.tuned, self.unseen)
        )
        epochs = f"{self.adaptation.epochs} epochs at most"
        return f"unseen tasks, zero-shot: {unseen}; after fine-tuning on {tuned} ({epochs})"

    def data(self) -> InstructionMixture:
        """Return the items of all tasks; no prompt that is tested, in any task, is trained on.

        Raises:
            InputError: a task has too few items, or a verbalizer for an unknown label.
        """
        return mix(
            self.tuned, self.unseen, validation=self.validation, test=self.test, seed=self.seed
        )

    def measure(self, harness: "Harness") -> Measurement:
        data = self.data()
        items = {split: getattr(data, split) for split in SPLITS}
        answers = tokenize_answers(harness, items, self.max_new_tokens)
        tokenized = tokenize_pairs(harness, items, answers, self.truncation_side)
        generated = harness.generate_answers(
            tokenized.pairs,
            length=answers.max_new_tokens,
            adaptation=self.adaptation.by(self.protocol),
            strategy=self.strategy,
            steps=self.steps,
        )
        tuned = generated.tuned
        assert tuned is not None
        texts = [text.strip() for text in harness.decode(generated.answers, target=True)]

        unseen = [i for i, item in enumerate(data.test) if item.task in self.unseen]
        unseen_items = [data.test[i] for i in unseen]
        outcomes = [
            *self._score(harness, data.test, texts),
            *answer_bits(
                harness,
                [item.id for item in unseen_items],
                [answers.rows["test"][i] for i in unseen],
                [generated.nats[i] for i in unseen],
                answers.max_new_tokens,
            ),
            *answer_costs(generated.calls, generated.seconds, len(texts)),
            TaskOutcome("validation_loss", tuned.loss, split="validation"),
        ]
        prompts = tokenized.prompts["test"]
        samples = draw_samples(
            self.seed,
            self.samples,
            unseen_items,
            [prompts[i] for i in unseen],
            [texts[i] for i in unseen],
        )
        long, cut = answers.longer(SPLITS, eos=1), sum(tokenized.cut.values())
        count = sum(map(len, items.values()))
        notes = Notes(
            procedure=(
                f"tuned on {len(data.train):,} items of {len(self.tuned)} tasks; prompts of at "
                f"most {answers.room} tokens ({cut:,} of {count:,} were cut), answers of at most "
                f"{answers.max_new_tokens} and their end among them ({sum(long.values()):,} of "
                f"{count:,} are longer, but judged whole)"
            ),
            trials=Trials(tuned.trials, tuned.chosen),
            counts=data.counts,
            truncated=cut,
            details={
                "length": answers.max_new_tokens,
                "prompts_cut": tokenized.cut,
                "answers_cut": long,
            },
        )
        costs = {"seconds": tuned.seconds, "generation_seconds": generated.seconds}
        return Measurement(outcomes, notes, samples, costs, data.fingerprint)

    def control(self, harness: "Harness") -> Measurement:
        data = self.data()
        harness.progress({"done": 0, "total": 2, "stage": "nearest prompts"})
        nearest = harness.nearest_neighbors(
            [item.rendered for item in data.train], [item.rendered for item in data.test]
        )
        most_frequent = Counter(item.answers[0] for item in data.train).most_common(1)[0][0]
        of_task: dict[str, Counter[str]] = defaultdict(Counter)
        for item in data.test:
            of_task[item.task][item.answers[0]] += 1
        controls = {
            "most frequent answer of the tuned tasks": [most_frequent] * len(data.test),
            "answer of the nearest tuned prompt": [data.train[i].answers[0] for i in nearest],
            "most frequent answer of each task, told": [
                of_task[item.task].most_common(1)[0][0] for item in data.test
            ],
        }
        harness.progress({"done": 1, "total": 2, "stage": "scoring"})
        outcomes = [
            outcome
            for model, texts in controls.items()
            for outcome in self._score(harness, data.test, texts, model)
        ]
        return Measurement(outcomes, Notes(counts=data.counts), fingerprint=data.fingerprint)

    def _score(
        self,
        harness: "Harness",
        items: Sequence[PromptedItem],
        texts: Sequence[str],
        model: str = "",
    ) -> list[TaskOutcome]:
        """Return the metrics of unseen and of tuned tasks, item by item for the primary one, and
        the primary one of each task.
        """
        other = "chrf" if self.metric == "exact_match" else "exact_match"
        ids, references = [item.id for item in items], [item.answers for item in items]
        values = {}
        for metric in (self.metric, other):
            outcomes, _ = score_texts(harness, ids, texts, references, [metric])
            values[metric] = np.array([outcome.value for outcome in outcomes if outcome.item])
        primary, tasks = values[self.metric], np.array([item.task for item in items])
        unseen = np.isin(tasks, list(self.unseen))

        results: list[TaskOutcome] = []
        for ending, members in (("", unseen), ("_tuned", ~unseen)):
            if members.any():
                chosen = [id_ for id_, member in zip(ids, members, strict=True) if member]
                means = {f"{metric}{ending}": values[metric][members].mean() for metric in values}
                results += item_outcomes(
                    f"{self.metric}{ending}", chosen, primary[members], model=model
                )
                results += whole_outcomes(means, model=model)
        for task in dict.fromkeys(tasks.tolist()):
            value = float(primary[tasks == task].mean())
            results.append(TaskOutcome(self.metric, value, model=model, part=f"task/{task}"))
        return results
