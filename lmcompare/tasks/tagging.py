"""Token classification: named entities, parts of speech."""

from collections import Counter, defaultdict
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lmcompare.core import settings
from lmcompare.core.errors import InputError
from lmcompare.core.records import Notes, Trials
from lmcompare.data.items import ItemSplits, TaskItem, build_item_splits
from lmcompare.tasks import TASKS, Task
from lmcompare.tasks._words import TokenizedWords, tokenize_words
from lmcompare.tasks.base import (
    SPLITS,
    Measurement,
    TaskOutcome,
    control_outcomes,
    described,
    item_outcomes,
    whole_outcomes,
)

if TYPE_CHECKING:
    from lmcompare.evaluation.harness import Harness

Tags = Sequence[Sequence[str]]
OUTSIDE = "O"


@TASKS.register("tagging")
@dataclass(frozen=True)
class Tagging(Task):
    """One tag for each word, by the same head on the states of its tokens.

    Of an encoder-decoder these are the states of its encoder. Entities in BIO tags are scored whole
    (F1 of seqeval), other tags by the accuracy of words. A tag that no training item has cannot be
    predicted: each is an error, and they are counted. Controls: the same network from random
    initialization, the most frequent tag of each word, and one tag for all.
    """

    family = "understanding"
    per_item = {"f1": ("twice_hits", "said_and_wanted"), "accuracy": ("right_words", "words")}
    conditions = ("pretrained", "scratch")
    columns = ("tokens", "tags")

    source: object
    """where the items come from: rows with a list of words and one of tags, as of `conll`,
    `brown`"""
    scheme: Literal["entities", "words"] = "entities"
    """entities: BIO tags, scored by whole entities (F1); words: any tags, scored by words
    (accuracy)"""
    tokens: str = "tokens"
    """name of the column with the words"""
    tags: str = "tags"
    """name of the column with their tags"""
    group: str | None = None
    """a column such as `document`: its items are never in two splits"""
    validation: settings.Share = 0.1
    """share of the items that chooses the trial"""
    test: settings.Share = 0.1
    """share of the items that is reported"""
    items: Annotated[int, Field(gt=0)] | None = None
    """at most so many items in all; every one if left out"""
    seed: int = 0
    """of the split"""
    smallest_effect: Annotated[float, Field(gt=0)] = 0.01
    """smallest difference in the primary metric that would matter; verdicts need it, fixed
    beforehand"""
    protocol: Literal["finetune", "linear_probe", "lora"] = "finetune"
    """what is trained: all weights; a head alone, on a frozen network; a head and low-rank
    matrices"""
    adaptation: settings.AdaptationSettings = field(default_factory=settings.AdaptationSettings)
    """how the networks are adapted"""

    @property
    def primary_metric(self) -> str:
        """F1 of entities, or accuracy of words."""
        return "f1" if self.scheme == "entities" else "accuracy"

    def describe(self) -> str:
        what = "the entities of each text" if self.scheme == "entities" else "one tag for each word"
        source = described(self.source)
        return f"{what} ({source}), by a head on the states of its words ({self.protocol})"

    def data(self) -> ItemSplits:
        """Return the items, split.

        Raises:
            InputError: words and tags differ in number, or no tag of an entity is there.
        """
        items = build_item_splits(
            self.source,
            (self.tokens, self.tags),
            validation=self.validation,
            test=self.test,
            items=self.items,
            seed=self.seed,
            unique=(self.tokens,),
            group=self.group,
        )
        for item in (*items.train, *items.validation, *items.test):
            words, tags = item.fields[self.tokens], item.fields[self.tags]
            if not isinstance(words, list) or not isinstance(tags, list) or len(words) != len(tags):
                raise InputError(
                    f"row {item.id} of the source: wanted lists of as many tags as words in "
                    f"{self.tokens!r} and {self.tags!r}, got {_count(tags)} and {_count(words)}"
                )
        if self.scheme == "entities":
            known = {tag for tags in self._tags(items.train) for tag in tags}
            if not any(tag.startswith(("B-", "I-")) for tag in known):
                raise InputError(
                    "scheme: 'entities' wants tags such as B-PER, I-PER and O in column "
                    f"{self.tags!r}, got {', '.join(sorted(known)[:5])}; wanted `scheme: words` "
                    "for other tags"
                )
        return items

    def _tags(self, items: Sequence[TaskItem]) -> list[list[str]]:
        return [item.fields[self.tags] for item in items]

    def measure(self, harness: "Harness") -> Measurement:
        items = self.data()
        labels = sorted({tag for tags in self._tags(items.train) for tag in tags})
        number = {tag: i for i, tag in enumerate(labels)}
        tokenized: dict[str, TokenizedWords] = {}
        for split in SPLITS:
            part: list[TaskItem] = getattr(items, split)
            words = [item.fields[self.tokens] for item in part]
            ids = [np.array([number.get(tag, -1) for tag in tags]) for tags in self._tags(part)]
            tokenized[split] = tokenize_words(harness, words, ids)

        def tags_of(split: str, predictions: Sequence[NDArray[np.float64]]) -> list[list[str]]:
            rows = tokenized[split].per_item(predictions)  # (words, labels) each
            return [[labels[i] for i in row.argmax(1)] for row in rows]

        def validate(predictions: Sequence[NDArray[np.float64]]) -> float:
            tags = tags_of("validation", predictions)
            return self._values(harness, items.validation, tags)[self.primary_metric]

        adapted = harness.finetune_head(
            "words",
            {split: words.split for split, words in tokenized.items()},
            self.adaptation.by(self.protocol),
            validate,
            by=self.primary_metric,
            outputs=len(labels),
        )
        outcomes = self._score(harness, items.test, tags_of("test", adapted.predictions))
        outcomes.append(TaskOutcome(self.primary_metric, adapted.score, split="validation"))
        unseen = self._unseen(items.test, labels)
        notes = Notes(
            trials=Trials(adapted.trials, adapted.chosen),
            counts=items.counts,
            truncated=sum(words.truncated for words in tokenized.values()),
            details={
                "labels": labels,
                "items_in_several_rows": sum(words.divided for words in tokenized.values()),
                "unseen_tags": unseen,
                "test_words_of_unseen_tags": sum(unseen.values()),
            },
        )
        costs = {"seconds": adapted.seconds, "weights_trained": float(adapted.trained_weights)}
        return Measurement(outcomes, notes, costs=costs, fingerprint=items.fingerprint)

    def control(self, harness: "Harness") -> Measurement:
        items = self.data()
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for item in items.train:
            for word, tag in zip(item.fields[self.tokens], item.fields[self.tags], strict=True):
                counts[word][tag] += 1
        totals: Counter[str] = sum(counts.values(), Counter())
        most_frequent = totals.most_common(1)[0][0]
        constant = OUTSIDE if self.scheme == "entities" else most_frequent
        # Ties go to the tag that is more frequent in all.
        of_word = {
            word: max(tags, key=lambda tag: (tags[tag], totals[tag], tag))
            for word, tags in counts.items()
        }

        def by_word(split: str) -> Tags:
            rows = [item.fields[self.tokens] for item in getattr(items, split)]
            return [[of_word.get(word, most_frequent) for word in row] for row in rows]

        def by_constant(split: str) -> Tags:
            rows = [item.fields[self.tokens] for item in getattr(items, split)]
            return [[constant] * len(row) for row in rows]

        metric = self.primary_metric
        outcomes = control_outcomes(
            metric,
            {"most frequent tag of each word": by_word, f"tag {constant} throughout": by_constant},
            lambda tags, model: self._score(harness, items.test, tags, model),
            lambda tags: self._values(harness, items.validation, tags)[metric],
        )
        notes = Notes(
            counts=items.counts, details={"unseen_tags": self._unseen(items.test, totals)}
        )
        return Measurement(outcomes, notes, fingerprint=items.fingerprint)

    def _score(
        self, harness: "Harness", items: Sequence[TaskItem], predicted: Tags, model: str = ""
    ) -> list[TaskOutcome]:
        """Return the counts of each item that F1 and accuracy are the ratios of, and the metrics of
        the split and of its parts: the types of the entities, or the ten most frequent tags.
        """
        ids, counts = [item.id for item in items], self._counts(harness, items, predicted)
        records = [metric for metric in counts if metric not in ("said", "wanted")]
        return [
            *(
                outcome
                for metric in records
                for outcome in item_outcomes(metric, ids, counts[metric], model=model)
            ),
            *whole_outcomes(self._values(harness, items, predicted), model=model),
            *(
                TaskOutcome(self.primary_metric, value, model=model, part=part)
                for part, value in self._parts(harness, items, predicted).items()
            ),
        ]

    def _parts(
        self, harness: "Harness", items: Sequence[TaskItem], predicted: Tags
    ) -> dict[str, float]:
        wanted = self._tags(items)
        if self.scheme == "entities":
            types = {tag[2:] for tags in wanted for tag in tags if tag != OUTSIDE}
            values = harness.metric(
                "seqeval", predictions=list(predicted), references=wanted, per_type=True
            )
            return {f"entity/{kind}": values[f"f1_{kind}"] for kind in sorted(types)}
        right: Counter[str] = Counter()
        for row, reference in zip(predicted, wanted, strict=True):
            right.update(b for a, b in zip(row, reference, strict=True) if a == b)
        totals = Counter(tag for tags in wanted for tag in tags)
        return {f"tag/{tag}": right[tag] / count for tag, count in totals.most_common(10)}

    def _counts(
        self, harness: "Harness", items: Sequence[TaskItem], predicted: Tags
    ) -> dict[str, list[float]]:
        """Return what is counted in each item: right words and words; and hits, predicted and true
        entities.
        """
        wanted = self._tags(items)
        counts = {
            "right_words": [
                float(sum(a == b for a, b in zip(row, reference, strict=True)))
                for row, reference in zip(predicted, wanted, strict=True)
            ],
            "words": [float(len(reference)) for reference in wanted],
        }
        if self.scheme == "entities":
            values: Any = harness.metric(
                "seqeval", predictions=list(predicted), references=wanted, per_item=True
            )
            hits, said, true = ([float(row[i]) for row in values["items"]] for i in range(3))
            counts |= {
                "twice_hits": [2 * count for count in hits],
                "said_and_wanted": [a + b for a, b in zip(said, true, strict=True)],
                "said": said,
                "wanted": true,
            }
        return counts

    def _values(
        self, harness: "Harness", items: Sequence[TaskItem], predicted: Tags
    ) -> dict[str, float]:
        """Return the metrics of a split: ratios of sums."""
        counts = self._counts(harness, items, predicted)
        totals = {name: sum(values) for name, values in counts.items()}
        values = {"accuracy": totals["right_words"] / totals["words"]}
        if self.scheme == "entities":
            values["f1"] = totals["twice_hits"] / max(totals["said_and_wanted"], 1)
            values["precision"] = totals["twice_hits"] / 2 / max(totals["said"], 1)
            values["recall"] = totals["twice_hits"] / 2 / max(totals["wanted"], 1)
        return values

    def _unseen(self, items: Sequence[TaskItem], labels: Container[str]) -> dict[str, int]:
        """Return how many words have a tag that no training item has, by tag."""
        tags = (tag for tags in self._tags(items) for tag in tags)
        return dict(Counter(tag for tag in tags if tag not in labels))


def _count(value: Any) -> str:
    return str(len(value)) if isinstance(value, list) else type(value).__name__
