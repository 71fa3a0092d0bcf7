"""Rescoring of a speech recognizer's N-best lists by a language model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lmcompare.core import settings
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
Finite = Annotated[float, Field(allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class NbestList:
    """The H hypotheses of an utterance, the recognizer's best first."""

    id: str
    group: str
    """utterances of one group (a speaker, a recording) are never in two splits"""
    reference: str
    texts: list[str]
    scores: Floats
    """(H,) the recognizer's log-scores, higher is better"""
    lengths: Floats
    """(H,) words of each hypothesis"""

    @property
    def words(self) -> int:
        """The number of words of the reference."""
        return len(self.reference.split())


@dataclass(frozen=True)
class ScoredList:
    """An N-best list with the word errors of its hypotheses and their log-likelihoods."""

    nbest: NbestList
    errors: Floats
    """(H,) words substituted, deleted or inserted"""
    nats: Floats | None = None
    """(H,) log p by a language model; None where a hypothesis does not fit into the context"""

    def best(self, lm_weight: float, word_bonus: float) -> int:
        """Return the hypothesis of highest combined score, of equals the recognizer's best; 0 if
        none is scored.
        """
        if self.nats is None:
            return 0
        bonus = word_bonus * self.nbest.lengths
        return int(np.argmax(self.nbest.scores + lm_weight * self.nats + bonus))


@dataclass(frozen=True)
class TunedWeights:
    """The weights chosen on the validation part: score + weight x nats + bonus x words."""

    lm_weight: float
    word_bonus: float
    wer: float
    """on the validation part"""


@TASKS.register("nbest_rescoring")
@dataclass(frozen=True)
class NbestRescoring(Task):
    """Word error rate of what recognizer and network choose together (Salazar et al. 2020).

    The hypothesis of the highest ``score + lm_weight x log p + word_bonus x words`` is taken; both
    weights are those of least error on a validation part, never on the test part. Each network's
    log p is by the procedure that suits it (a masked one's is a pseudo-log-likelihood);
    ``wer_by_likelihood`` is by the likelihood of the whole text, tuned likewise. Words are what
    white space divides, compared as they are. Where a hypothesis is longer than the context, the
    recognizer's first one stands, for every network. Controls: the first hypothesis, a random one
    (its expected errors), the best of each list (oracle), and a unigram and a trigram model, tuned
    likewise.
    """

    family = "understanding"
    primary_metric = "wer"
    better = "lower"
    per_item = {"wer": ("errors", "words"), "wer_by_likelihood": ("errors_by_likelihood", "words")}
    columns = ("reference", "hypotheses")

    source: object
    """where the lists come from: a row has `id`, `ref` and `nbest`, a list of mappings with `text`
    and `score`"""
    reference: str = "ref"
    """name of the column with the reference transcript"""
    hypotheses: str = "nbest"
    """name of the column with the hypotheses"""
    logarithm: bool = False
    """take the logarithm of the scores: for a recognizer that gives probabilities, as PocketSphinx
    does"""
    group: str = ""
    """name of a column, such as the speaker's: utterances with the same value are in the same
    part"""
    validation: settings.Share = 0.3
    """share of the utterances, or of their groups, that chooses the weights; the others are
    reported"""
    items: Annotated[int, Field(gt=1)] | None = None
    """at most so many utterances in all, the first ones of the source; every one if left out"""
    lm_weights: Annotated[tuple[NonNegative, ...], Field(min_length=1)] = (
        0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2, 2.0, 4.0, 8.0,
    )  # fmt: skip
    """weights of the network to try, in the unit of the recognizer's score per nat"""
    word_bonuses: Annotated[tuple[Finite, ...], Field(min_length=1)] = (
        -8.0, -4.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 4.0, 8.0,
    )  # fmt: skip
    """bonuses for a word to try, in the unit of the recognizer's score"""
    seed: int = 0
    """of the split"""
    smallest_effect: Annotated[float, Field(gt=0)] = 0.005
    """smallest difference in word error rate that would matter; verdicts need it, fixed
    beforehand"""

    def describe(self) -> str:
        return (
            "which of a recognizer's hypotheses has the highest score + weight x log p + bonus x "
            f"words, weight and bonus chosen on a share of {self.validation:g} of the utterances; "
            "the others are reported"
        )

    def utterances(self) -> list[NbestList]:
        """Read the lists.

        Raises:
            InputError: a column, a text or a score is missing, a list is empty, or an id occurs
                twice.
        """
        lists: dict[str, NbestList] = {}
        columns = (self.reference, self.hypotheses, *([self.group] if self.group else []))
        for number, row in enumerate(self.source.rows()):  # type: ignore[attr-defined]
            if len(lists) == self.items:
                break
            for column in columns:
                if column not in row:
                    problem = f"no column {column!r}{nearest(column, row)}"
                    raise InputError(f"tasks: nbest_rescoring: {problem}")
            id_ = str(row.get("id", number))
            if id_ in lists:
                raise InputError(
                    f"tasks: nbest_rescoring: wanted ids that differ, got {id_!r} twice"
                )
            lists[id_] = self._parse(id_, row)
        return list(lists.values())

    def _parse(self, id_: str, row: Mapping[str, Any]) -> NbestList:
        where = f"tasks: nbest_rescoring: utterance {id_!r}: {self.hypotheses}"
        hypotheses = row[self.hypotheses]
        if not isinstance(hypotheses, list | tuple) or not hypotheses:
            raise InputError(
                f"{where}: wanted a list of at least one hypothesis, got {hypotheses!r}"
            )
        for hypothesis in hypotheses:
            if not self._is_scored(hypothesis):
                wanted = "a score above 0" if self.logarithm else "a finite score"
                raise InputError(
                    f"{where}: wanted mappings with a text and {wanted}, got {hypothesis!r}"
                )
        hypotheses = sorted(hypotheses, key=lambda hypothesis: -hypothesis["score"])
        texts = [" ".join(hypothesis["text"].split()) for hypothesis in hypotheses]
        scores = np.array([hypothesis["score"] for hypothesis in hypotheses], dtype=float)
        return NbestList(
            id=id_,
            group=str(row[self.group]) if self.group else id_,
            reference=str(row[self.reference] or ""),
            texts=texts,
            scores=np.log(scores) if self.logarithm else scores,
            lengths=np.array([len(text.split()) for text in texts], dtype=float),
        )

    def _is_scored(self, hypothesis: Any) -> bool:
        if not isinstance(hypothesis, Mapping) or not isinstance(hypothesis.get("text"), str):
            return False
        score = hypothesis.get("score")
        if not isinstance(score, int | float) or isinstance(score, bool):
            return False
        return bool(np.isfinite(score)) and (score > 0 or not self.logarithm)

    def split(self, lists: Sequence[NbestList]) -> tuple[list[NbestList], list[NbestList]]:
        """Return the validation part and the test part; no group is in both.

        Raises:
            InputError: there are fewer than two groups.
        """
        groups = sorted({nbest.group for nbest in lists})
        if len(groups) < 2:
            raise InputError(
                "tasks: nbest_rescoring: wanted at least 2 utterances (or groups), got "
                f"{len(groups)}"
            )
        count = min(max(1, round(self.validation * len(groups))), len(groups) - 1)
        order = np.random.default_rng(self.seed).permutation(len(groups))
        held_out = {groups[i] for i in order[:count]}
        return (
            [nbest for nbest in lists if nbest.group in held_out],
            [nbest for nbest in lists if nbest.group not in held_out],
        )

    def _prepare(self, harness: "Harness") -> tuple[list[ScoredList], list[ScoredList], list[bool]]:
        """Return the validation and the test part with their errors, and which lists fit into the
        context.
        """
        parts = self.split(self.utterances())
        lists = [nbest for part in parts for nbest in part]
        errors = iter(_word_errors(harness, lists))
        validation, test = ([ScoredList(nbest, next(errors)) for nbest in part] for part in parts)
        room = harness.context - SPECIAL_TOKENS
        fits = [max(map(len, harness.encode(nbest.texts))) <= room for nbest in lists]
        return validation, test, fits

    def measure(self, harness: "Harness") -> Measurement:
        validation, test, fits = self._prepare(harness)
        scores = score_sentences(harness, _fitting_texts([*validation, *test], fits))
        outcomes: list[TaskOutcome] = []
        chosen = {}
        for suffix, nats in (("", scores.best), ("_by_likelihood", scores.likelihood)):
            errors, tuned = self.rescore(*_with_nats(validation, test, fits, nats))
            outcomes += [*_wer(test, errors, suffix=suffix), *_tuned(tuned, suffix=suffix)]
            outcomes.append(TaskOutcome(f"wer{suffix}", tuned.wer, split="validation"))
            chosen[f"wer{suffix}"] = {"weight": tuned.lm_weight, "bonus": tuned.word_bonus}
        notes = replace(
            _notes(validation, test, fits), procedure=scores.procedure, details={"mix": chosen}
        )
        return Measurement(outcomes, notes, fingerprint=_fingerprint(validation, test))

    def control(self, harness: "Harness") -> Measurement:
        validation, test, fits = self._prepare(harness)
        outcomes = [
            *_wer(test, [float(one.errors[0]) for one in test], "1-best"),
            *_wer(test, [float(one.errors.mean()) for one in test], "random"),
            *_wer(test, [float(one.errors.min()) for one in test], "oracle"),
        ]
        texts = _fitting_texts([*validation, *test], fits)
        for model, nats in by_ngrams(harness, texts).items():
            errors, tuned = self.rescore(*_with_nats(validation, test, fits, nats))
            outcomes += [*_wer(test, errors, model), *_tuned(tuned, model)]
        notes = _notes(validation, test, fits)
        return Measurement(outcomes, notes, fingerprint=_fingerprint(validation, test))

    def rescore(
        self, validation: Sequence[ScoredList], test: Sequence[ScoredList]
    ) -> tuple[list[float], TunedWeights]:
        """Return the errors of the chosen hypothesis of each test list, and the weights that chose
        it.
        """
        trials = []
        for weight in self.lm_weights:
            for bonus in self.word_bonuses:
                errors = sum(one.errors[one.best(weight, bonus)] for one in validation)
                # Of equally good weights those that depart least from the recognizer.
                trials.append((float(errors), weight, abs(bonus), weight, bonus))
        errors, *_, weight, bonus = min(trials)
        words = sum(one.nbest.words for one in validation)
        tuned = TunedWeights(weight, bonus, errors / words if words else float("nan"))
        return [float(one.errors[one.best(weight, bonus)]) for one in test], tuned


def _word_errors(harness: "Harness", lists: Sequence[NbestList]) -> list[Floats]:
    """Return the word errors of the hypotheses of each list."""
    texts = [text for nbest in lists for text in nbest.texts]
    references = [nbest.reference for nbest in lists for _ in nbest.texts]
    values = harness.metric("wer", predictions=texts, references=references, per_item=True)
    errors = np.array([errors for errors, _ in values["items"]], dtype=float)
    return np.split(errors, np.cumsum([len(nbest.texts) for nbest in lists])[:-1])


def _fitting_texts(lists: Sequence[ScoredList], fits: Sequence[bool]) -> list[str]:
    return [text for one, fit in zip(lists, fits, strict=True) if fit for text in one.nbest.texts]


def _with_nats(
    validation: Sequence[ScoredList], test: Sequence[ScoredList], fits: Sequence[bool], nats: Floats
) -> tuple[list[ScoredList], list[ScoredList]]:
    """Return the lists with the nats of their hypotheses; ``nats`` are those of
    ``_fitting_texts``.
    """
    scored, first = [], 0
    for one, fit in zip([*validation, *test], fits, strict=True):
        size = len(one.nbest.texts) if fit else 0
        scored.append(replace(one, nats=nats[first : first + size] if fit else None))
        first += size
    return scored[: len(validation)], scored[len(validation) :]


def _wer(
    test: Sequence[ScoredList], errors: Sequence[float], model: str = "", *, suffix: str = ""
) -> list[TaskOutcome]:
    """Return errors and words of each utterance, and their ratio over all.

    An utterance whose reference is empty stays: what was recognized in it are errors.
    """
    ids, words = [one.nbest.id for one in test], [one.nbest.words for one in test]
    if not sum(words):
        raise InputError(
            "tasks: nbest_rescoring: wanted references with words in the test part, got none"
        )
    return [
        TaskOutcome(f"wer{suffix}", sum(errors) / sum(words), model=model),
        *item_outcomes(f"errors{suffix}", ids, errors, model=model),
        *([] if suffix else item_outcomes("words", ids, words, model=model)),
    ]


def _tuned(tuned: TunedWeights, model: str = "", *, suffix: str = "") -> list[TaskOutcome]:
    weights = {f"weight{suffix}": tuned.lm_weight, f"word_bonus{suffix}": tuned.word_bonus}
    return whole_outcomes(weights, model=model)


def _notes(
    validation: Sequence[ScoredList], test: Sequence[ScoredList], fits: Sequence[bool]
) -> Notes:
    counts = {
        "validation": len(validation),
        "test": len(test),
        "longer than the context": sum(not fit for fit in fits),
    }
    hypotheses = sum(len(one.nbest.texts) for one in (*validation, *test))
    return Notes(counts={"utterances": counts, "hypotheses": hypotheses})


def _fingerprint(validation: Sequence[ScoredList], test: Sequence[ScoredList]) -> str:
    content = [
        [one.nbest.id, one.nbest.texts, one.nbest.scores.tolist(), one.errors.tolist()]
        for one in (*validation, *test)
    ]
    return digest(content)
