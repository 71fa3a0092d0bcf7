"""How alike two texts are: a number for a pair."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lmcompare.core import settings
from lmcompare.core.errors import InputError
from lmcompare.core.example import Ids
from lmcompare.core.records import Notes, Trials
from lmcompare.data.items import ItemSplits, TaskItem, build_item_splits
from lmcompare.data.tokenized_split import TokenizedSplit
from lmcompare.tasks import TASKS
from lmcompare.tasks.base import Measurement, TaskOutcome, described

if TYPE_CHECKING:
    from lmcompare.evaluation.harness import Harness

Values = NDArray[np.float64]

SPLITS = ("train", "validation", "test")


@TASKS.register("similarity")
@dataclass(frozen=True)
class Similarity:
    """How alike two texts are, ranked as people ranked them (Spearman; Pearson beside it).

    zero_shot: the cosine of the embeddings, the pooling chosen on validation. The other protocols:
        a regression head on
    the pooled states u and v of both texts, each read by itself (``adaptation.heads.PairHead``).
    Controls: the same network from random initialisation, the cosine of TF-IDF vectors, the
        difference in length.
    """

    __pydantic_config__ = settings.STRICT
    kind: ClassVar[str]
    family: ClassVar[Literal["understanding", "generation"]] = "understanding"
    primary_metric: ClassVar[str] = "spearman"
    better: ClassVar[Literal["higher", "lower"]] = "higher"
    per_item: ClassVar[Mapping[str, tuple[str, str]]] = {"spearman": ("jackknife", "")}
    conditions: ClassVar[tuple[str, ...]] = ("pretrained", "scratch")
    columns: ClassVar[tuple[str, ...]] = ("first", "second", "score")

    source: object
    """where the pairs come from: a word of `lmcompare list sources`, or a mapping with its
    `kind`"""
    protocol: Literal["zero_shot", "finetune", "linear_probe", "lora"] = "zero_shot"
    """zero_shot: cosine of the embeddings; the others: a regression head, trained with all weights,
    alone, by LoRA"""
    first: str = "first"
    """name of the column with one text"""
    second: str = "second"
    """name of the column with the other"""
    score: str = "score"
    """name of the column with the number: more is more alike"""
    group: str | None = None
    """a column such as `document`: its items are never in two splits"""
    validation: settings.Share = 0.1
    """share of the items that chooses the pooling and the trial"""
    test: settings.Share = 0.1
    """share of the items that is reported"""
    items: Annotated[int, Field(gt=0)] | None = None
    """at most so many items in all; every one if left out"""
    seed: int = 0
    """of the split"""
    smallest_effect: Annotated[float, Field(gt=0)] = 0.02
    """smallest difference in Spearman's correlation that would matter; verdicts need it, fixed
    beforehand"""
    adaptation: settings.AdaptationSettings = field(default_factory=settings.AdaptationSettings)
    """how the networks are adapted; of zero_shot `pooling` alone counts"""

    def describe(self) -> str:
        """Return one line for the report."""
        how = (
            "cosine of embeddings"
            if self.protocol == "zero_shot"
            else f"regression head, {self.protocol}"
        )
        return f"how alike two texts are ({described(self.source)}), by {how}"

    def data(self) -> ItemSplits:
        """Return the items, split; the score of each is a number.

        Raises:
            InputError: a score is no number, or all of a split are the same.
        """
        items = build_item_splits(
            self.source,
            (self.first, self.second, self.score),
            validation=self.validation,
            test=self.test,
            items=self.items,
            seed=self.seed,
            unique=(self.first, self.second),
            group=self.group,
        )
        for split in SPLITS:
            if len(set(self._wanted(getattr(items, split)))) < 2:
                raise InputError(
                    f"column {self.score!r}: wanted different scores in the {split} split, got one alone"
                )
        return items

    def measure(self, harness: "Harness") -> Measurement:
        """Score the test pairs by the network under test."""
        items = self.data()
        rows, truncated = {}, 0
        for split in SPLITS:
            rows[split], over = self._encoded(harness, getattr(items, split))
            truncated += over
        costs: dict[str, float] = {}
        if self.protocol == "zero_shot":
            said, best, tried, chosen = self._cosine(harness, items, rows)
        else:
            adapted = self._regression(harness, items, rows, self.adaptation.by(self.protocol))
            said, best = np.concatenate(adapted.predictions), adapted.score
            tried, chosen = adapted.trials, adapted.chosen
            costs = {"seconds": adapted.seconds, "weights_trained": float(adapted.trained_weights)}
        outcomes = list(self.score_of(harness, items.test, said))
        outcomes.append(TaskOutcome("spearman", best, split="validation"))
        notes = Notes(trials=Trials(tried, chosen), counts=items.counts, truncated=truncated)
        return Measurement(outcomes, notes, costs=costs, fingerprints={"items": items.fingerprint})

    def control(self, harness: "Harness") -> Measurement:
        """Score the test pairs by the words they share, and by their lengths."""
        items = self.data()
        outcomes: list[TaskOutcome] = []
        for split in ("validation", "test"):
            entries: list[TaskItem] = getattr(items, split)
            pairs = [(entry.fields[self.first], entry.fields[self.second]) for entry in entries]
            known = [
                entry.fields[name] for entry in items.train for name in (self.first, self.second)
            ]
            said = {
                "TF-IDF cosine": harness.tfidf_cosine(known, pairs),
                "difference in length": np.array(
                    [-abs(len(one) - len(other)) for one, other in pairs], dtype=float
                ),
            }
            for arm, values in said.items():
                if split == "test":
                    outcomes += self.score_of(harness, entries, values, arm)
                else:
                    value = correlation(harness, "spearman", values, self._wanted(entries))
                    outcomes.append(TaskOutcome("spearman", value, split=split, model=arm))
        return Measurement(
            outcomes, Notes(counts=items.counts), fingerprints={"items": items.fingerprint}
        )

    def score_of(
        self, harness: "Harness", entries: Sequence[TaskItem], said: Values, arm: str = ""
    ) -> Iterator[TaskOutcome]:
        """Yield what each item adds to Spearman's correlation, and the metrics of the split."""
        wanted = self._wanted(entries)
        for entry, value in zip(entries, jackknife(said, wanted), strict=True):
            yield TaskOutcome("jackknife", float(value), entry.id, model=arm)
        for metric in ("spearman", "pearson"):
            yield TaskOutcome(metric, correlation(harness, metric, said, wanted), model=arm)

    def _encoded(
        self, harness: "Harness", entries: Sequence[TaskItem]
    ) -> tuple[list[tuple[Ids, ...]], int]:
        """Return the tokens of both texts of each item, and how many texts were cut; bos and eos
        stand around them."""
        room = harness.context - 2
        first, second = (
            harness.encode([entry.fields[name] for entry in entries])
            for name in (self.first, self.second)
        )
        over = sum(len(row) > room for row in (*first, *second))
        return [(one[:room], other[:room]) for one, other in zip(first, second, strict=True)], over

    def _cosine(
        self, harness: "Harness", items: ItemSplits, rows: Mapping[str, list[tuple[Ids, ...]]]
    ) -> tuple[Values, float, list[dict[str, Any]], dict[str, Any]]:
        """Return the cosines of the test items, the validation score, and what was tried and
        chosen."""

        def cosines(split: str, menu: Sequence[str]) -> dict[str, Values]:
            sides = [
                harness.model.pool_rows([row[side] for row in rows[split]], poolings=menu)
                for side in (0, 1)
            ]
            return {pooling: cosine(sides[0][pooling], sides[1][pooling]) for pooling in menu}

        wanted = self._wanted(items.validation)
        trials: list[dict[str, Any]] = [
            {
                "pooling": pooling,
                "validation_spearman": correlation(harness, "spearman", said, wanted),
            }
            for pooling, said in cosines("validation", self.adaptation.pooling).items()
        ]
        chosen = max(trials, key=lambda trial: trial["validation_spearman"])
        said = cosines("test", [chosen["pooling"]])[chosen["pooling"]]
        return said, chosen["validation_spearman"], trials, chosen

    def _regression(
        self,
        harness: "Harness",
        items: ItemSplits,
        rows: Mapping[str, list[tuple[Ids, ...]]],
        adaptation: settings.Adaptation,
    ) -> Any:
        known, wanted = self._wanted(items.train), self._wanted(items.validation)
        # Standardised by the training scores: one learning rate serves any scale of them.
        parts = {
            split: TokenizedSplit(
                rows[split],
                list((self._wanted(getattr(items, split)) - known.mean()) / known.std()),
            )
            for split in SPLITS
        }

        def judge(answers: Sequence[Values]) -> float:
            return correlation(harness, "spearman", np.concatenate(answers), wanted)

        return harness.finetune_head("pair", parts, adaptation, judge, by="spearman")

    def _wanted(self, entries: Sequence[TaskItem]) -> Values:
        """Return the scores. Shape (items,)."""
        found = []
        for entry in entries:
            try:
                found.append(float(entry.fields[self.score]))
            except (TypeError, ValueError):
                found.append(float("nan"))
            if not np.isfinite(found[-1]):
                raise InputError(
                    f"row {entry.id} of the source: wanted a number in column {self.score!r}, got "
                    f"{entry.fields[self.score]!r}"
                )
        return np.array(found)


def cosine(first: NDArray[Any], second: NDArray[Any]) -> Values:
    """Return the cosine of each row of ``first`` with that of ``second``. Shape (rows,)."""
    one, other = (rows.astype(np.float64) for rows in (first, second))
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    found: Values = (one * other).sum(1) / np.maximum(lengths, 1e-12)
    return found


def correlation(harness: "Harness", metric: str, said: Values, wanted: Values) -> float:
    """Return 'spearman' or 'pearson'; answers that are all the same tell nothing apart and have
    0."""
    return float(
        harness.metric(metric, predictions=said.tolist(), references=wanted.tolist())[metric]
    )


def jackknife(said: Values, wanted: Values) -> Values:
    """Return n numbers whose mean is Spearman's correlation r and whose spread over items is that
    of r.

    r + (n - 1)(mean of r without one item - r without this item): the influence of each item (Efron
    & Tibshirani 1993, section 11.5), so that a correlation, which is no mean of items, is drawn
    from items and paired as means are.

    >>> jackknife(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 2.0, 4.0, 3.0])).round(3).tolist()
    [1.55, 1.55, 0.05, 0.05]
    """
    n = len(said)
    if n < 3 or np.ptp(said) == 0 or np.ptp(wanted) == 0:
        return np.full(n, _pearson(_ranks(said), _ranks(wanted)))
    ranks = [(values, _ranks(values)) for values in (said, wanted)]
    without = np.empty(n)
    for i in range(n):
        # Without item i, those above it move down by one rank, those level with it by half a rank.
        kept = [
            np.delete(rank - (values > values[i]) - (values == values[i]) / 2, i)
            for values, rank in ranks
        ]
        without[i] = _pearson(kept[0], kept[1])
    found: Values = _pearson(ranks[0][1], ranks[1][1]) + (n - 1) * (without.mean() - without)
    return found


def _ranks(values: Values) -> Values:
    """Return ranks from 1; equal values share their mean rank."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Values = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return ranks


def _pearson(one: Values, other: Values) -> float:
    one, other = one - one.mean(), other - other.mean()
    below = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / below if below else 0.0
