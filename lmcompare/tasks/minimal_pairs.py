"""Which of two sentences that differ in one thing is the good one, asked without any training."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lmcompare.core import settings
from lmcompare.core.errors import InputError, nearest
from lmcompare.core.records import Notes
from lmcompare.data.cache import digest
from lmcompare.tasks import TASKS
from lmcompare.tasks._sentence_scores import by_ngrams, score_sentences
from lmcompare.tasks.base import Measurement, TaskOutcome

if TYPE_CHECKING:
    from lmcompare.evaluation.harness import Harness

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SentencePair:
    """A good sentence and a bad one, of one paradigm of a field of grammar."""

    id: str
    good: str
    bad: str
    paradigm: str
    field: str


@TASKS.register("minimal_pairs")
@dataclass(frozen=True)
class MinimalPairs:
    """The share of pairs whose good sentence a network finds likelier than the bad one (BLiMP, Warstadt et al. 2020).

    Nothing is fitted. Each network is asked by the route that suits it (``tasks.sentences``). By the likelihood of
    whole sentences, ``accuracy_by_likelihood`` asks all of them. Equal scores count as a half. The accuracy is over all
    pairs; ``accuracy_macro``, the mean over paradigms, is what BLiMP reports, and the same where each paradigm has as
    many pairs. A longer sentence tends to be less likely, so ``accuracy_equal_length`` is over the pairs with as many
    tokens on either side. Controls: chance, a unigram and a trigram model, and the shorter sentence.
    """

    __pydantic_config__ = settings.STRICT
    kind: ClassVar[str]
    family: ClassVar[Literal["understanding", "generation"]] = "understanding"
    primary_metric: ClassVar[str] = "accuracy"
    better: ClassVar[Literal["higher", "lower"]] = "higher"
    per_item: ClassVar[Mapping[str, tuple[str, str]]] = {
        "accuracy": ("correct", ""),
        "accuracy_by_likelihood": ("correct_by_likelihood", ""),
        "accuracy_equal_length": ("correct_equal_length", "equal_length"),
    }
    conditions: ClassVar[tuple[str, ...]] = ("pretrained",)
    columns: ClassVar[tuple[str, ...]] = ("good", "bad")

    source: object
    """where the pairs come from: a word of `lmcompare list sources`, or a mapping with its `kind`"""
    good: str = "good"
    """name of the column with the acceptable sentence"""
    bad: str = "bad"
    """name of the column with the other one"""
    paradigm: str = "paradigm"
    """name of the column with the paradigm; every pair is of the same if there is no such column"""
    field: str = "field"
    """name of the column with the field that the paradigm belongs to; likewise"""
    items: Annotated[int, Field(gt=0)] | None = 100
    """at most so many pairs of each paradigm, drawn at random; every one if it is null"""
    seed: int = 0
    """of the draw"""
    smallest_effect: Annotated[float, Field(gt=0)] = 0.01
    """smallest difference in accuracy that would matter; verdicts need it, fixed beforehand"""

    def describe(self) -> str:
        """Return one line for the report."""
        most = f"at most {self.items} pairs" if self.items else "all pairs"
        return (
            f"which sentence of a minimal pair is likelier, zero-shot ({most} of each paradigm; equal scores count as "
            "a half; accuracy is over all pairs, accuracy macro is the mean over paradigms)"
        )

    def pairs(self, harness: "Harness") -> tuple[list[SentencePair], dict[str, Any]]:
        """Return the pairs and what was counted: the same for every network and control.

        Raises:
            InputError: a column is missing, or there is no pair.
        """
        counts: Counter[str] = Counter(pairs=0, equal=0, duplicates=0, too_long=0)
        groups: dict[str, list[SentencePair]] = defaultdict(list)
        seen = set()
        for row in self.source.rows():  # type: ignore[attr-defined]
            for column in (self.good, self.bad):
                if column not in row:
                    raise InputError(
                        f"tasks: minimal_pairs: no column {column!r}{nearest(column, row)}"
                    )
            counts["pairs"] += 1
            good, bad = str(row[self.good]).strip(), str(row[self.bad]).strip()
            name, field = str(row.get(self.paradigm) or "all"), str(row.get(self.field) or "all")
            if good == bad or not good or not bad:
                counts["equal"] += 1
            elif (good, bad, name) in seen:
                counts["duplicates"] += 1
            else:
                seen.add((good, bad, name))
                groups[name].append(
                    SentencePair(f"{name}/{len(groups[name])}", good, bad, name, field)
                )
        drawn = []
        for number, name in enumerate(sorted(groups)):
            order = np.random.default_rng([self.seed, number]).permutation(len(groups[name]))[
                : self.items
            ]
            drawn += [groups[name][i] for i in sorted(order)]
        sizes = _sizes(harness, drawn)
        # bos and eos may stand around a sentence.
        kept = [
            pair
            for pair, size in zip(drawn, sizes, strict=True)
            if size.max() <= harness.context - 2
        ]
        counts["too_long"] = len(drawn) - len(kept)
        if not kept:
            raise InputError(
                f"tasks: minimal_pairs: wanted pairs that fit into sequence.length, got none of {len(drawn)}"
            )
        return kept, {
            **counts,
            "kept": len(kept),
            "paradigms": len({pair.paradigm for pair in kept}),
        }

    def measure(self, harness: "Harness") -> Measurement:
        """Score both sentences of each pair by the network under test."""
        pairs, counts = self.pairs(harness)
        scores = score_sentences(
            harness, [pair.good for pair in pairs] + [pair.bad for pair in pairs]
        )
        outcomes = list(_score(harness, pairs, scores.best))
        right = credit(scores.likelihood[: len(pairs)], scores.likelihood[len(pairs) :])
        outcomes += [
            TaskOutcome("correct_by_likelihood", float(value), pair.id)
            for pair, value in zip(pairs, right, strict=True)
        ]
        outcomes.append(TaskOutcome("accuracy_by_likelihood", float(right.mean())))
        notes = Notes(counts=counts, procedure=scores.route)
        return Measurement(outcomes, notes, fingerprints={"items": _fingerprint(pairs)})

    def control(self, harness: "Harness") -> Measurement:
        """Answer by chance, by n-gram models and by length."""
        pairs, counts = self.pairs(harness)
        scores = by_ngrams(harness, [pair.good for pair in pairs] + [pair.bad for pair in pairs])
        sides = {
            "chance": np.zeros(2 * len(pairs)),
            **scores,
            "shorter sentence": -_sizes(harness, pairs).T.ravel(),
        }
        outcomes = [one for arm, side in sides.items() for one in _score(harness, pairs, side, arm)]
        return Measurement(
            outcomes, Notes(counts=counts), fingerprints={"items": _fingerprint(pairs)}
        )


def credit(good: Floats, bad: Floats) -> Floats:
    """Return 1 where the good sentence has the higher score, 0 where the bad one has, 0.5 where they are equal.

    >>> credit(np.array([-1.0, -2.0, -3.0]), np.array([-2.0, -2.0, -1.0])).tolist()
    [1.0, 0.5, 0.0]
    """
    # The same summands in another order differ by rounding alone.
    equal = np.isclose(good, bad, rtol=1e-9, atol=1e-12)
    return np.where(equal, 0.5, (good > bad).astype(float))


def _score(
    harness: "Harness", pairs: Sequence[SentencePair], scores: Floats, arm: str = ""
) -> Iterator[TaskOutcome]:
    """Yield what each pair has won, and the accuracies of all pairs and of each part.

    Args:
        harness: the tools.
        pairs: n of them.
        scores: (2 n,) of all good sentences, then of all bad ones.
        arm: name of a control.
    """
    right, sizes = credit(scores[: len(pairs)], scores[len(pairs) :]), _sizes(harness, pairs)
    alike = (sizes[:, 0] == sizes[:, 1]).astype(float)
    for pair, value, equal in zip(pairs, right, alike, strict=True):
        yield TaskOutcome("correct", float(value), pair.id, model=arm)
        yield TaskOutcome("correct_equal_length", float(value * equal), pair.id, model=arm)
        yield TaskOutcome("equal_length", float(equal), pair.id, model=arm)
    parts: dict[tuple[str, str], list[float]] = defaultdict(list)
    for pair, value in zip(pairs, right, strict=True):
        parts["field", pair.field].append(float(value))
        parts["paradigm", pair.paradigm].append(float(value))
    for (kind, name), values in sorted(parts.items()):
        yield TaskOutcome("accuracy", float(np.mean(values)), model=arm, part=f"{kind}/{name}")
    macro = [np.mean(values) for (kind, _), values in parts.items() if kind == "paradigm"]
    yield TaskOutcome("accuracy", float(right.mean()), model=arm)
    yield TaskOutcome("accuracy_macro", float(np.mean(macro)), model=arm)
    if alike.any():
        yield TaskOutcome("accuracy_equal_length", float(right[alike > 0].mean()), model=arm)


def _sizes(harness: "Harness", pairs: Sequence[SentencePair]) -> Floats:
    """Return the tokens of the good and the bad sentence of each pair. Shape (pairs, 2)."""
    rows = harness.encode([text for pair in pairs for text in (pair.good, pair.bad)])
    return np.array([len(row) for row in rows], dtype=float).reshape(-1, 2)


def _fingerprint(pairs: Sequence[SentencePair]) -> str:
    return digest([[pair.id, pair.good, pair.bad] for pair in pairs])
