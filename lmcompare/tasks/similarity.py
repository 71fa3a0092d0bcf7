"""Semantic textual similarity: a number for a pair of texts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lmcompare.core import settings
from lmcompare.core.errors import InputError
from lmcompare.core.example import Ids
from lmcompare.core.records import Notes, Trials
from lmcompare.data.items import ItemSplits, TaskItem, build_item_splits
from lmcompare.data.tokenized_split import TokenizedSplit
from lmcompare.tasks import TASKS, Task
from lmcompare.tasks.base import (
    SPECIAL_TOKENS,
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

Floats = NDArray[np.float64]
PairRows = Mapping[str, list[tuple[Ids, ...]]]


@TASKS.register("similarity")
@dataclass(frozen=True)
class Similarity(Task):
    """The similarity of two texts, ranked as people ranked it (Spearman; Pearson beside it).

    zero_shot: the cosine of the embeddings, the pooling chosen on validation. The other protocols:
    a regression head on the pooled states u and v of both texts, each read by itself
    (``adaptation.heads.PairHead``). Controls: the same network from random initialization, the
    cosine of TF-IDF vectors, the difference in length.
    """

    family = "understanding"
    primary_metric = "spearman"
    per_item = {"spearman": ("jackknife", "")}
    conditions = ("pretrained", "scratch")
    columns = ("first", "second", "score")

    source: object
    """a word of `lmcompare list sources`, or a mapping with its `kind`"""
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
        how = "cosine of embeddings"
        if self.protocol != "zero_shot":
            how = f"regression head, {self.protocol}"
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
            if len(set(self._scores(getattr(items, split)))) < 2:
                raise InputError(
                    f"column {self.score!r}: wanted different scores in the {split} split, got one "
                    "alone"
                )
        return items

    def measure(self, harness: "Harness") -> Measurement:
        items = self.data()
        rows, truncated = self._tokenize(harness, items)
        costs: dict[str, float] = {}
        if self.protocol == "zero_shot":
            predictions, trials = self._cosines(harness, items, rows)
            validation = trials.chosen["validation_spearman"]
        else:
            adapted = self._finetune(harness, items, rows)
            predictions, validation = np.concatenate(adapted.predictions), adapted.score
            trials = Trials(adapted.trials, adapted.chosen)
            costs = {"seconds": adapted.seconds, "weights_trained": float(adapted.trained_weights)}
        outcomes = self._score(harness, items.test, predictions)
        outcomes.append(TaskOutcome("spearman", validation, split="validation"))
        notes = Notes(trials=trials, counts=items.counts, truncated=truncated)
        return Measurement(outcomes, notes, costs=costs, fingerprint=items.fingerprint)

    def control(self, harness: "Harness") -> Measurement:
        items = self.data()
        known = [item.fields[name] for item in items.train for name in (self.first, self.second)]

        def pairs(split: str) -> list[tuple[str, str]]:
            part: list[TaskItem] = getattr(items, split)
            return [(item.fields[self.first], item.fields[self.second]) for item in part]

        def length_differences(split: str) -> Floats:
            return np.array([-abs(len(a) - len(b)) for a, b in pairs(split)], dtype=float)

        controls: dict[str, Callable[[str], Floats]] = {
            "TF-IDF cosine": lambda split: harness.tfidf_cosine(known, pairs(split)),
            "difference in length": length_differences,
        }
        outcomes = control_outcomes(
            "spearman",
            controls,
            lambda values, model: self._score(harness, items.test, values, model),
            lambda values: _correlation(
                harness, "spearman", values, self._scores(items.validation)
            ),
        )
        return Measurement(outcomes, Notes(counts=items.counts), fingerprint=items.fingerprint)

    def _score(
        self, harness: "Harness", items: Sequence[TaskItem], predictions: Floats, model: str = ""
    ) -> list[TaskOutcome]:
        """Return what each item contributes to Spearman's correlation, and the metrics of the
        split.
        """
        scores, ids = self._scores(items), [item.id for item in items]
        values = {
            metric: _correlation(harness, metric, predictions, scores)
            for metric in ("spearman", "pearson")
        }
        return [
            *item_outcomes("jackknife", ids, jackknife(predictions, scores), model=model),
            *whole_outcomes(values, model=model),
        ]

    def _tokenize(self, harness: "Harness", items: ItemSplits) -> tuple[PairRows, int]:
        """Return the tokens of both texts of each item of each split, and how many texts were
        cut.
        """
        room, truncated = harness.context - SPECIAL_TOKENS, 0
        rows: dict[str, list[tuple[Ids, ...]]] = {}
        for split in SPLITS:
            part: list[TaskItem] = getattr(items, split)
            first, second = (
                harness.encode([item.fields[name] for item in part])
                for name in (self.first, self.second)
            )
            truncated += sum(len(row) > room for row in (*first, *second))
            rows[split] = [(a[:room], b[:room]) for a, b in zip(first, second, strict=True)]
        return rows, truncated

    def _cosines(
        self, harness: "Harness", items: ItemSplits, rows: PairRows
    ) -> tuple[Floats, Trials]:
        """Return the cosines of the test items, and the poolings that were tried on validation."""

        def cosines(split: str, poolings: Sequence[str]) -> dict[str, Floats]:
            first, second = (
                harness.model.pool_rows([row[side] for row in rows[split]], poolings=poolings)
                for side in (0, 1)
            )
            return {pooling: cosine(first[pooling], second[pooling]) for pooling in poolings}

        scores = self._scores(items.validation)
        tried: list[dict[str, Any]] = [
            {
                "pooling": pooling,
                "validation_spearman": _correlation(harness, "spearman", values, scores),
            }
            for pooling, values in cosines("validation", self.adaptation.pooling).items()
        ]
        chosen = max(tried, key=lambda trial: float(trial["validation_spearman"]))
        pooling = str(chosen["pooling"])
        return cosines("test", [pooling])[pooling], Trials(tried, chosen)

    def _finetune(self, harness: "Harness", items: ItemSplits, rows: PairRows) -> Any:
        known, validation = self._scores(items.train), self._scores(items.validation)
        # Standardized by the training scores: one learning rate serves any scale of them.
        parts = {
            split: TokenizedSplit(
                rows[split],
                list((self._scores(getattr(items, split)) - known.mean()) / known.std()),
            )
            for split in SPLITS
        }

        def validate(predictions: Sequence[Floats]) -> float:
            return _correlation(harness, "spearman", np.concatenate(predictions), validation)

        adaptation = self.adaptation.by(self.protocol)
        return harness.finetune_head("pair", parts, adaptation, validate, by="spearman")

    def _scores(self, items: Sequence[TaskItem]) -> Floats:
        """Return the scores. Shape (items,)."""
        scores = []
        for item in items:
            try:
                scores.append(float(item.fields[self.score]))
            except (TypeError, ValueError):
                scores.append(float("nan"))
            if not np.isfinite(scores[-1]):
                raise InputError(
                    f"row {item.id} of the source: wanted a number in column {self.score!r}, got "
                    f"{item.fields[self.score]!r}"
                )
        return np.array(scores)


def cosine(first: NDArray[Any], second: NDArray[Any]) -> Floats:
    """Return the cosine of each row of ``first`` with that of ``second``. Shape (rows,)."""
    u, v = (rows.astype(np.float64) for rows in (first, second))
    norms = np.linalg.norm(u, axis=1) * np.linalg.norm(v, axis=1)
    cosines: Floats = (u * v).sum(1) / np.maximum(norms, 1e-12)
    return cosines


def _correlation(harness: "Harness", metric: str, predictions: Floats, scores: Floats) -> float:
    """Return 'spearman' or 'pearson'; 0 where all predictions are the same."""
    values = harness.metric(metric, predictions=predictions.tolist(), references=scores.tolist())
    return float(values[metric])


def jackknife(predictions: Floats, scores: Floats) -> Floats:
    """Return n numbers whose mean is Spearman's correlation r and whose spread over items is that
    of r.

    r + (n - 1)(mean of r without one item - r without this item): the influence of each item (Efron
    & Tibshirani 1993, section 11.5), so that a correlation, which is no mean of items, is resampled
    and paired by items as means are.

    >>> jackknife(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 2.0, 4.0, 3.0])).round(3).tolist()
    [1.55, 1.55, 0.05, 0.05]
    """
    from scipy.stats import rankdata  # slow to import

    n = len(predictions)
    ranks = [(values, rankdata(values)) for values in (predictions, scores)]
    whole = _pearson(ranks[0][1], ranks[1][1])
    if n < 3 or np.ptp(predictions) == 0 or np.ptp(scores) == 0:
        return np.full(n, whole)
    without = np.empty(n)
    for i in range(n):
        # Without item i, those above it move down by one rank, those level with it by half a rank.
        kept = [
            np.delete(rank - (values > values[i]) - (values == values[i]) / 2, i)
            for values, rank in ranks
        ]
        without[i] = _pearson(kept[0], kept[1])
    influences: Floats = whole + (n - 1) * (without.mean() - without)
    return influences


def _pearson(a: Floats, b: Floats) -> float:
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / norm if norm else 0.0
