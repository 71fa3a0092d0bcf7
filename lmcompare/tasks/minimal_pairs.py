"""Minimal pairs: which of two sentences that differ in one thing is likelier, zero-shot."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lmcompare.core.errors import InputError, nearest
from lmcompare.core.records import Notes
from lmcompare.data.cache import digest
from lmcompare.tasks import TASKS, Task
from lmcompare.tasks._sentence_scores import by_ngrams, score_sentences
from lmcompare.tasks.base import (
    SPECIAL_TOKENS,
    Measurement,
    TaskOutcome,
    item_outcomes,
    whole_outcomes,
)

if TYPE_CHECKING:
    from lmcompare.evaluation.harness import Harness

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SentencePair:
    """An acceptable sentence and an unacceptable one, of one paradigm of a field of grammar."""

    id: str
    good: str
    bad: str
    paradigm: str
    field: str


@TASKS.register("minimal_pairs")
@dataclass(frozen=True)
class MinimalPairs(Task):
    """Which of two sentences is likelier: accuracy (BLiMP, Warstadt et al. 2020).

    Nothing is trained. Each network scores sentences by the procedure that suits it;
    ``accuracy_by_likelihood`` is by the likelihood of whole sentences, for all networks. Equal
    scores count as a half. ``accuracy`` is over all pairs; ``accuracy_macro``, the mean over
    paradigms, is what BLiMP reports, and the same where each paradigm has as many pairs. A longer
    sentence tends to be less likely, so ``accuracy_equal_length`` is over the pairs with as many
    tokens on either side. Controls: chance, a unigram and a trigram model, and the shorter
    sentence.
    """

    family = "understanding"
    primary_metric = "accuracy"
    per_item = {
        "accuracy": ("correct", ""),
        "accuracy_by_likelihood": ("correct_by_likelihood", ""),
        "accuracy_equal_length": ("correct_equal_length", "equal_length"),
    }
    columns = ("good", "bad")

    source: object
    """a word of `lmcompare list sources`, or a mapping with its `kind`"""
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
        most = f"at most {self.items} pairs" if self.items else "all pairs"
        return (
            "which sentence of a minimal pair is likelier, zero-shot "
            f"({most} of each paradigm; equal scores count as a half; accuracy is over all pairs, "
            "accuracy macro is the mean over paradigms)"
        )

    def pairs(self, harness: "Harness") -> tuple[list[SentencePair], dict[str, Any]]:
        """Return the pairs and what was counted: the same for every network and control.

        Raises:
            InputError: a column is missing, or there is no pair.
        """
        paradigms, counts = self._read()
        drawn = []
        for number, name in enumerate(sorted(paradigms)):
            pairs = paradigms[name]
            order = np.random.default_rng([self.seed, number]).permutation(len(pairs))
            drawn += [pairs[i] for i in sorted(order[: self.items])]
        room = harness.context - SPECIAL_TOKENS
        sizes = _sizes(harness, drawn)
        kept = [pair for pair, size in zip(drawn, sizes, strict=True) if size.max() <= room]
        if not kept:
            raise InputError(
                "tasks: minimal_pairs: wanted pairs that fit into sequence.length, got none of "
                f"{len(drawn)}"
            )
        counts["too_long"] = len(drawn) - len(kept)
        used = {"kept": len(kept), "paradigms": len({pair.paradigm for pair in kept})}
        return kept, {**counts, **used}

    def _read(self) -> tuple[dict[str, list[SentencePair]], Counter[str]]:
        """Return the pairs of each paradigm, each once, and what was counted."""
        counts: Counter[str] = Counter(pairs=0, equal=0, duplicates=0, too_long=0)
        paradigms: dict[str, list[SentencePair]] = defaultdict(list)
        seen = set()
        for row in self.source.rows():  # type: ignore[attr-defined]
            for column in (self.good, self.bad):
                if column not in row:
                    problem = f"no column {column!r}{nearest(column, row)}"
                    raise InputError(f"tasks: minimal_pairs: {problem}")
            counts["pairs"] += 1
            good, bad = str(row[self.good]).strip(), str(row[self.bad]).strip()
            name, field = str(row.get(self.paradigm) or "all"), str(row.get(self.field) or "all")
            if good == bad or not good or not bad:
                counts["equal"] += 1
            elif (good, bad, name) in seen:
                counts["duplicates"] += 1
            else:
                seen.add((good, bad, name))
                id_ = f"{name}/{len(paradigms[name])}"
                paradigms[name].append(SentencePair(id_, good, bad, name, field))
        return paradigms, counts

    def measure(self, harness: "Harness") -> Measurement:
        pairs, counts = self.pairs(harness)
        scores = score_sentences(harness, _sentences(pairs))
        right = credit(*np.split(scores.likelihood, 2))
        outcomes = [
            *_score(harness, pairs, scores.best),
            *item_outcomes("correct_by_likelihood", [pair.id for pair in pairs], right),
            TaskOutcome("accuracy_by_likelihood", float(right.mean())),
        ]
        notes = Notes(counts=counts, procedure=scores.procedure)
        return Measurement(outcomes, notes, fingerprint=_fingerprint(pairs))

    def control(self, harness: "Harness") -> Measurement:
        pairs, counts = self.pairs(harness)
        controls = {
            "chance": np.zeros(2 * len(pairs)),
            **by_ngrams(harness, _sentences(pairs)),
            "shorter sentence": -_sizes(harness, pairs).T.ravel(),
        }
        outcomes = [
            outcome
            for model, scores in controls.items()
            for outcome in _score(harness, pairs, scores, model)
        ]
        return Measurement(outcomes, Notes(counts=counts), fingerprint=_fingerprint(pairs))


def credit(good: Floats, bad: Floats) -> Floats:
    """Return 1 where the good sentence has the higher score, 0 where the bad one has, 0.5 where
    they are equal.

    >>> credit(np.array([-1.0, -2.0, -3.0]), np.array([-2.0, -2.0, -1.0])).tolist()
    [1.0, 0.5, 0.0]
    """
    # The same summands in another order differ by rounding alone.
    equal = np.isclose(good, bad, rtol=1e-9, atol=1e-12)
    return np.where(equal, 0.5, (good > bad).astype(float))


def _score(
    harness: "Harness", pairs: Sequence[SentencePair], scores: Floats, model: str = ""
) -> list[TaskOutcome]:
    """Return the credit of each pair, and the accuracies of all pairs and of each part.

    ``scores`` are those of all good sentences, then of all bad ones. Shape (2 x pairs,).
    """
    right, sizes = credit(*np.split(scores, 2)), _sizes(harness, pairs)
    alike = (sizes[:, 0] == sizes[:, 1]).astype(float)
    parts: dict[tuple[str, str], list[float]] = defaultdict(list)
    for pair, value in zip(pairs, right, strict=True):
        parts["field", pair.field].append(float(value))
        parts["paradigm", pair.paradigm].append(float(value))
    macro = [np.mean(values) for (kind, _), values in parts.items() if kind == "paradigm"]
    values = {"accuracy": right.mean(), "accuracy_macro": np.mean(macro)}
    if alike.any():
        values["accuracy_equal_length"] = right[alike > 0].mean()
    ids = [pair.id for pair in pairs]
    return [
        *item_outcomes("correct", ids, right, model=model),
        *item_outcomes("correct_equal_length", ids, right * alike, model=model),
        *item_outcomes("equal_length", ids, alike, model=model),
        *whole_outcomes(values, model=model),
        *(
            TaskOutcome("accuracy", float(np.mean(part)), model=model, part=f"{kind}/{name}")
            for (kind, name), part in sorted(parts.items())
        ),
    ]


def _sentences(pairs: Sequence[SentencePair]) -> list[str]:
    return [pair.good for pair in pairs] + [pair.bad for pair in pairs]


def _sizes(harness: "Harness", pairs: Sequence[SentencePair]) -> Floats:
    """Return the tokens of the good and the bad sentence of each pair. Shape (pairs, 2)."""
    rows = harness.encode([text for pair in pairs for text in (pair.good, pair.bad)])
    return np.array([len(row) for row in rows], dtype=float).reshape(-1, 2)


def _fingerprint(pairs: Sequence[SentencePair]) -> str:
    return digest([[pair.id, pair.good, pair.bad] for pair in pairs])
