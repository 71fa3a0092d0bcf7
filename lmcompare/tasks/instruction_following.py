"""InstructionFollowing followed: a network learns some tasks through templates and is tested on
tasks that it never saw."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from lmcompare.core import settings
from lmcompare.core.errors import InputError
from lmcompare.core.records import Notes, Trials
from lmcompare.tasks import TASKS
from lmcompare.tasks._instruction_mixture import (
    SPLITS,
    InstructionItem,
    InstructionMixture,
    InstructionTask,
    mix,
)
from lmcompare.tasks._prompts import TruncationSide, fit, length_for
from lmcompare.tasks._text_metrics import bits_of, score_texts
from lmcompare.tasks.base import Measurement, TaskOutcome, described

if TYPE_CHECKING:
    from lmcompare.evaluation.harness import Harness

AROUND = 2
"""Tokens that an objective may put around a prompt and its answer."""


@TASKS.register("instruction_following")
@dataclass(frozen=True)
class InstructionFollowing:
    """Instruction following: every network is tuned on a mixture of tasks, then answers unseen ones
    (Wei et al. 2022).

    All tasks are text to text, through templates; the loss is on the answers alone
    (``transduction``). Nothing of an unseen task is learnt from: its items are all tested,
    zero-shot. The primary metric is the mean over all items of the unseen tasks; ``<metric>_tuned``
    is that over the test items of the tuned ones; each task is also shown alone.

    Controls: the most frequent answer of the tuned tasks, the answer of the nearest tuned prompt
        (TF-IDF), and the most
    frequent answer of each task by itself, told from its test items: what a constant can get.
    """

    __pydantic_config__ = settings.STRICT
    kind: ClassVar[str]
    family: ClassVar[Literal["understanding", "generation"]] = "generation"
    better: ClassVar[Literal["higher", "lower"]] = "higher"
    conditions: ClassVar[tuple[str, ...]] = ("pretrained", "scratch")
    columns: ClassVar[tuple[str, ...]] = ()
    sections: ClassVar[Mapping[str, type[InstructionTask]]] = {
        "tuned": InstructionTask,
        "unseen": InstructionTask,
    }

    tuned: Annotated[dict[str, InstructionTask], Field(min_length=1)]
    """name -> task that is learnt: its source, prompt, answer, words, template, items"""
    unseen: Annotated[dict[str, InstructionTask], Field(min_length=1)]
    """name -> task that is only tested; the same keys"""
    validation: settings.Share = 0.1
    """share of the items of each tuned task that chooses the trial"""
    test: settings.Share = 0.1
    """share of the items of each tuned task that is tested"""
    seed: int = 0
    """of the splits and of the samples"""
    max_new_tokens: Annotated[int, Field(gt=1)] | None = None
    """tokens of an answer and its end, at most; if left out, what 95% of the training answers
    need"""
    truncation_side: TruncationSide = "right"
    """which end of a prompt is cut off that is too long for the context"""
    metric: Literal["exact_match", "chrf"] = "exact_match"
    """the primary metric: the mean over the items of the unseen tasks"""
    strategy: Literal["confidence", "left_to_right", "mask_predict"] = "confidence"
    """the order in which a masked network unmasks"""
    steps: Annotated[int, Field(gt=0)] | None = None
    """calls of a masked network for an answer; what the strategy says if left out"""
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
        """Refuse names that are used twice, and what is no way to learn answers.

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
            object.__setattr__(
                self, "smallest_effect", {"exact_match": 0.01, "chrf": 1.0}[self.metric]
            )

    @property
    def primary_metric(self) -> str:
        """What ``metric`` chooses."""
        return self.metric

    @property
    def per_item(self) -> Mapping[str, tuple[str, str]]:
        """Means over items; bits are summed over answers, and so are bytes."""
        means = {name: (name, "") for name in (self.metric, f"{self.metric}_tuned")}
        return {**means, "bits_per_byte": ("bits", "bytes")}

    def describe(self) -> str:
        """Return one line for the report."""
        said = [
            ", ".join(f"{name} ({described(one.source)})" for name, one in tasks.items())
            for tasks in (self.tuned, self.unseen)
        ]
        epochs = f"{self.adaptation.epochs} epochs at most"
        return f"unseen tasks, zero-shot: {said[1]}; after fine-tuning on {said[0]} ({epochs})"

    def data(self) -> InstructionMixture:
        """Return the items of all tasks; what is learnt from holds no prompt that is tested, in any
        task.

        Raises:
            InputError: a task has too few items, or ``words`` for a label that there is not.
        """
        return mix(
            self.tuned, self.unseen, validation=self.validation, test=self.test, seed=self.seed
        )

    def measure(self, harness: "Harness") -> Measurement:
        """Fine-tune the network under test on the tuned tasks and let it answer the test items of
        all."""
        data = self.data()
        rows = {
            split: harness.encode([asked.answers[0] for asked in getattr(data, split)], target=True)
            for split in SPLITS
        }
        length = (
            min(self.max_new_tokens, harness.context // 2)
            if self.max_new_tokens
            else length_for(rows["train"], harness.context)
        )
        most = harness.context - length - AROUND
        pairs, prompts, cut = {}, [], {}
        for split in SPLITS:
            fitted = [
                fit(harness, one.render, one.prompt, most, self.truncation_side)
                for one in getattr(data, split)
            ]
            prompts = [text for text, _ in fitted]
            cut[split] = sum(was_cut for _, was_cut in fitted)
            pairs[split] = list(zip(harness.encode(prompts), rows[split], strict=True))
        done = harness.generate_answers(
            pairs,
            length=length,
            adaptation=self.adaptation.by(self.protocol),
            strategy=self.strategy,
            steps=self.steps,
        )
        tuned = done.tuned
        assert tuned is not None
        texts = [text.strip() for text in harness.decode(done.answers, target=True)]
        outcomes = self._score(harness, data.test, texts)
        unseen = [i for i, asked in enumerate(data.test) if asked.task in self.unseen]
        outcomes += bits_of(
            harness,
            [data.test[i].item for i in unseen],
            [rows["test"][i] for i in unseen],
            [done.nats[i] for i in unseen],
            length,
            harness.model.objective.exactness,
        )
        outcomes.append(TaskOutcome("validation_loss", tuned.loss, split="validation"))
        outcomes.append(TaskOutcome("calls_per_answer", done.calls))
        outcomes.append(TaskOutcome("seconds_per_generation", done.seconds / len(texts)))
        # The same items for every arm, so that a reader compares like with like.
        drawn = [
            unseen[i]
            for i in np.random.default_rng([self.seed, 1]).permutation(len(unseen))[: self.samples]
        ]
        samples = [
            {
                "item": data.test[i].item.id,
                "prompt": prompts[i],
                "text": texts[i],
                "reference": data.test[i].answers[0],
            }
            for i in drawn
        ]
        long = {split: sum(len(row) >= length for row in rows[split]) for split in SPLITS}
        items = sum(map(len, rows.values()))
        notes = Notes(
            procedure=f"tuned on {len(data.train):,} items of {len(self.tuned)} tasks; prompts of at most {most} tokens "
            f"({sum(cut.values()):,} of {items:,} were cut), answers of at most {length} and their end among them "
            f"({sum(long.values()):,} of {items:,} are longer, but judged whole)",
            trials=Trials(tuned.trials, tuned.chosen),
            counts=data.counts,
            truncated=sum(cut.values()),
            details={"length": length, "prompts_cut": cut, "answers_cut": long},
        )
        costs = {"seconds": tuned.seconds, "generation_seconds": done.seconds}
        return Measurement(outcomes, notes, samples, costs, {"items": data.fingerprint})

    def control(self, harness: "Harness") -> Measurement:
        """Answer the test items without any network."""
        data = self.data()
        harness.progress({"done": 0, "total": 2, "stage": "nearest prompts"})
        near = harness.nearest_neighbors(
            [asked.whole for asked in data.train], [asked.whole for asked in data.test]
        )
        usual = Counter(asked.answers[0] for asked in data.train).most_common(1)[0][0]
        own: dict[str, Counter[str]] = defaultdict(Counter)
        for asked in data.test:
            own[asked.task][asked.answers[0]] += 1
        arms = {
            "most frequent answer of the tuned tasks": [usual] * len(data.test),
            "answer of the nearest tuned prompt": [data.train[i].answers[0] for i in near],
            "most frequent answer of each task, told": [
                own[one.task].most_common(1)[0][0] for one in data.test
            ],
        }
        harness.progress({"done": 1, "total": 2, "stage": "scoring"})
        outcomes = [
            one
            for arm, texts in arms.items()
            for one in self._score(harness, data.test, texts, arm)
        ]
        return Measurement(
            outcomes, Notes(counts=data.counts), fingerprints={"items": data.fingerprint}
        )

    def _score(
        self,
        harness: "Harness",
        asked: Sequence[InstructionItem],
        texts: Sequence[str],
        arm: str = "",
    ) -> list[TaskOutcome]:
        """Return the metrics of unseen and of tuned tasks, item by item for the primary one; and
        that of each task."""
        ids, wanted = [one.item.id for one in asked], [one.answers for one in asked]
        found, _ = score_texts(harness, ids, texts, wanted, [self.metric])
        values = [one.value for one in found if one.item]
        other, _ = score_texts(
            harness, ids, texts, wanted, ["chrf" if self.metric == "exact_match" else "exact_match"]
        )
        beside = [one.value for one in other if one.item]
        name, second, outcomes = self.metric, other[0].metric, []
        groups: dict[str, list[int]] = defaultdict(list)
        tasks: dict[str, list[int]] = defaultdict(list)
        for i, one in enumerate(asked):
            ending = "" if one.task in self.unseen else "_tuned"
            outcomes.append(TaskOutcome(f"{name}{ending}", values[i], one.item.id, model=arm))
            groups[ending].append(i)
            tasks[one.task].append(i)
        for ending, members in groups.items():
            outcomes.append(
                TaskOutcome(
                    f"{name}{ending}", float(np.mean([values[i] for i in members])), model=arm
                )
            )
            outcomes.append(
                TaskOutcome(
                    f"{second}{ending}", float(np.mean([beside[i] for i in members])), model=arm
                )
            )
        for task, members in tasks.items():
            outcomes.append(
                TaskOutcome(
                    name,
                    float(np.mean([values[i] for i in members])),
                    model=arm,
                    part=f"task/{task}",
                )
            )
        return outcomes
