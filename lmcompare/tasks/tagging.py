"""One tag for each word: named entities, parts of speech."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lmcompare.core import settings
from lmcompare.core.errors import InputError
from lmcompare.core.records import Notes, Trials
from lmcompare.data.items import ItemSplits, TaskItem, build_item_splits
from lmcompare.tasks import TASKS
from lmcompare.tasks._words import TokenizedWords, cut
from lmcompare.tasks.base import Measurement, TaskOutcome, described

if TYPE_CHECKING:
    from lmcompare.evaluation.harness import Harness

SPLITS = ("train", "validation", "test")
OUTSIDE = "O"


@TASKS.register("tagging")
@dataclass(frozen=True)
class Tagging:
    """One tag for each word, by the same head on the states of its tokens (an encoder-decoder's: of
    its encoder).

    Entities in BIO tags are scored whole (F1 of seqeval), other tags by the accuracy of words. A
    tag that no training item has cannot be said: each is an error, and they are counted. Controls:
    the same network from random initialisation, the most frequent tag of each word, and one tag for
    all.
    """

    __pydantic_config__ = settings.STRICT
    kind: ClassVar[str]
    family: ClassVar[Literal["understanding", "generation"]] = "understanding"
    better: ClassVar[Literal["higher", "lower"]] = "higher"
    per_item: ClassVar[Mapping[str, tuple[str, str]]] = {
        "f1": ("twice_hits", "said_and_wanted"),
        "accuracy": ("right_words", "words"),
    }
    conditions: ClassVar[tuple[str, ...]] = ("pretrained", "scratch")
    columns: ClassVar[tuple[str, ...]] = ("tokens", "tags")

    source: object
    """where the items come from: rows with a list of words and one of tags, such as `conll` or
    `brown` yield"""
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
        """Return one line for the report."""
        what = "the entities of each text" if self.scheme == "entities" else "one tag for each word"
        return f"{what} ({described(self.source)}), by a head on the states of its words ({self.protocol})"

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
        for entry in (*items.train, *items.validation, *items.test):
            words, tags = entry.fields[self.tokens], entry.fields[self.tags]
            if not isinstance(words, list) or not isinstance(tags, list) or len(words) != len(tags):
                raise InputError(
                    f"row {entry.id} of the source: wanted lists of as many tags as words in {self.tokens!r} and "
                    f"{self.tags!r}, got {_count(tags)} and {_count(words)}"
                )
        if self.scheme == "entities":
            known = {tag for entry in items.train for tag in entry.fields[self.tags]}
            if not any(tag.startswith(("B-", "I-")) for tag in known):
                raise InputError(
                    f"scheme: 'entities' wants tags such as B-PER, I-PER and O in column {self.tags!r}, got "
                    f"{', '.join(sorted(known)[:5])}; wanted `scheme: words` for other tags"
                )
        return items

    def measure(self, harness: "Harness") -> Measurement:
        """Put the head on the network under test and tag the test items."""
        items = self.data()
        labels = sorted({tag for entry in items.train for tag in entry.fields[self.tags]})
        number = {tag: i for i, tag in enumerate(labels)}
        cuts: dict[str, TokenizedWords] = {}
        for split in SPLITS:
            entries: list[TaskItem] = getattr(items, split)
            wanted = [
                np.array([number.get(tag, -1) for tag in entry.fields[self.tags]])
                for entry in entries
            ]
            cuts[split] = cut(harness, [entry.fields[self.tokens] for entry in entries], wanted)

        def tags(split: str, answers: Sequence[NDArray[np.float64]]) -> list[list[str]]:
            return [[labels[i] for i in row.argmax(1)] for row in cuts[split].joined(answers)]

        def judge(answers: Sequence[NDArray[np.float64]]) -> float:
            return self._values(harness, items.validation, tags("validation", answers))[
                self.primary_metric
            ]

        parts = {split: one.part for split, one in cuts.items()}
        adapted = harness.finetune_head(
            "words",
            parts,
            self.adaptation.by(self.protocol),
            judge,
            by=self.primary_metric,
            outputs=len(labels),
        )
        outcomes = list(self.score(harness, items.test, tags("test", adapted.predictions)))
        outcomes.append(TaskOutcome(self.primary_metric, adapted.score, split="validation"))
        unseen = self._unseen(items.test, labels)
        notes = Notes(
            trials=Trials(adapted.trials, adapted.chosen),
            counts=items.counts,
            truncated=sum(one.truncated for one in cuts.values()),
            details={
                "labels": labels,
                "items_in_several_rows": sum(one.divided for one in cuts.values()),
                "unseen_tags": unseen,
                "test_words_of_unseen_tags": sum(unseen.values()),
            },
        )
        costs = {"seconds": adapted.seconds, "weights_trained": float(adapted.trained_weights)}
        return Measurement(outcomes, notes, costs=costs, fingerprints={"items": items.fingerprint})

    def control(self, harness: "Harness") -> Measurement:
        """Tag the test items without a network."""
        items = self.data()
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for entry in items.train:
            for word, tag in zip(entry.fields[self.tokens], entry.fields[self.tags], strict=True):
                counts[word][tag] += 1
        totals: Counter[str] = sum(counts.values(), Counter())
        usual = OUTSIDE if self.scheme == "entities" else totals.most_common(1)[0][0]
        often = totals.most_common(1)[0][0]
        # Ties go to the tag that is more frequent in all.
        of_word = {
            word: max(tags, key=lambda tag: (tags[tag], totals[tag], tag))
            for word, tags in counts.items()
        }
        outcomes: list[TaskOutcome] = []
        answers: dict[str, Any] = {
            "most frequent tag of each word": lambda word: of_word.get(word, often),
            f"tag {usual} throughout": lambda word: usual,
        }
        for done, (arm, answer) in enumerate(answers.items()):
            harness.progress({"done": done, "total": len(answers), "stage": arm})
            for split in ("test", "validation"):
                entries: list[TaskItem] = getattr(items, split)
                said = [[answer(word) for word in entry.fields[self.tokens]] for entry in entries]
                if split == "test":
                    outcomes += self.score(harness, entries, said, arm)
                else:
                    value = self._values(harness, entries, said)[self.primary_metric]
                    outcomes.append(TaskOutcome(self.primary_metric, value, split=split, model=arm))
        unseen = self._unseen(items.test, totals)
        notes = Notes(counts=items.counts, details={"unseen_tags": unseen})
        return Measurement(outcomes, notes, fingerprints={"items": items.fingerprint})

    def score(
        self,
        harness: "Harness",
        entries: Sequence[TaskItem],
        said: Sequence[Sequence[str]],
        arm: str = "",
    ) -> Iterator[TaskOutcome]:
        """Yield the counts of each item that F1 and accuracy are the ratios of, and the metrics of
        the split and parts.

        The parts are the types of the entities, or the ten most frequent tags.
        """
        for entry, counts in zip(entries, self._counts(harness, entries, said), strict=True):
            for metric, value in counts.items():
                if metric not in ("said", "wanted"):
                    yield TaskOutcome(metric, value, entry.id, model=arm)
        for metric, value in self._values(harness, entries, said).items():
            yield TaskOutcome(metric, value, model=arm)
        for part, value in self._parts(harness, entries, said).items():
            yield TaskOutcome(self.primary_metric, value, model=arm, part=part)

    def _parts(
        self, harness: "Harness", entries: Sequence[TaskItem], said: Sequence[Sequence[str]]
    ) -> dict[str, float]:
        """Return F1 of each type of entity that is there, or the share of right words of each of
        the frequent tags."""
        wanted: list[list[str]] = [entry.fields[self.tags] for entry in entries]
        if self.scheme == "entities":
            types = {tag[2:] for tags in wanted for tag in tags if tag != OUTSIDE}
            found = harness.metric(
                "seqeval", predictions=list(said), references=wanted, per_type=True
            )
            return {f"entity/{kind}": found[f"f1_{kind}"] for kind in sorted(types)}
        right: Counter[str] = Counter()
        for one, other in zip(said, wanted, strict=True):
            right.update(b for a, b in zip(one, other, strict=True) if a == b)
        totals = Counter(tag for tags in wanted for tag in tags)
        return {f"tag/{tag}": right[tag] / count for tag, count in totals.most_common(10)}

    def _counts(
        self, harness: "Harness", entries: Sequence[TaskItem], said: Sequence[Sequence[str]]
    ) -> list[dict[str, float]]:
        """Return the counts of each item."""
        wanted = [entry.fields[self.tags] for entry in entries]
        counts = [
            {
                "right_words": float(sum(a == b for a, b in zip(one, other, strict=True))),
                "words": float(len(other)),
            }
            for one, other in zip(said, wanted, strict=True)
        ]
        if self.scheme == "entities":
            found: Any = harness.metric(
                "seqeval", predictions=list(said), references=wanted, per_item=True
            )
            for one, (hits, here, there) in zip(counts, found["items"], strict=True):
                one |= {"twice_hits": 2.0 * hits, "said_and_wanted": float(here + there)}
                one |= {"said": float(here), "wanted": float(there)}
        return counts

    def _values(
        self, harness: "Harness", entries: Sequence[TaskItem], said: Sequence[Sequence[str]]
    ) -> dict[str, float]:
        """Return the metrics of a split: ratios of sums."""
        counts = self._counts(harness, entries, said)
        totals = {name: sum(one[name] for one in counts) for name in counts[0]}
        values = {"accuracy": totals["right_words"] / totals["words"]}
        if self.scheme == "entities":
            values["f1"] = totals["twice_hits"] / max(totals["said_and_wanted"], 1)
            values["precision"] = totals["twice_hits"] / 2 / max(totals["said"], 1)
            values["recall"] = totals["twice_hits"] / 2 / max(totals["wanted"], 1)
        return values

    def _unseen(self, entries: Sequence[TaskItem], labels: Any) -> dict[str, int]:
        """Return how many test words have a tag that no training item has, by tag."""
        return dict(
            Counter(
                tag for entry in entries for tag in entry.fields[self.tags] if tag not in labels
            )
        )


def _count(value: Any) -> str:
    return str(len(value)) if isinstance(value, list) else type(value).__name__
