"""Which of a speech recogniser's guesses a network would pick: N-best lists, rescored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
Finite = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True)
class Utterance:
    """What was said, and H guesses, the recogniser's best first.

    Attributes:
        id: of the utterance.
        group: utterances of one group (a speaker, a recording) are never in two splits.
        texts: (H,) the guesses.
        scores: (H,) the recogniser's log-scores, higher is better.
        sizes: (H,) words of each guess.
        errors: (H,) words substituted, left out or put in.
        words: of the reference.
    """

    id: str
    group: str
    texts: list[str]
    scores: Floats
    sizes: Floats
    errors: Floats
    words: int


@dataclass(frozen=True)
class TunedWeight:
    """The weights chosen on the validation part: score + weight x nats + bonus x words.

    Attributes:
        weight: of the language model's log p, nats.
        bonus: added for each word.
        wer: on the validation part.
    """

    weight: float
    bonus: float
    wer: float


@TASKS.register("nbest_rescoring")
@dataclass(frozen=True)
class NbestRescoring:
    """Word error rate of the guesses that a log-linear mix of recogniser and network picks (Salazar et al. 2020).

    The guess of the highest ``score + weight x log p + bonus x words`` is taken; weight and bonus are those of least
    error on a validation part, never on the test part. Each network's log p is by the route that suits it
    (``tasks.sentences``; a masked one's is a pseudo-log-likelihood); ``wer_by_likelihood`` is by the likelihood of the
    whole text, tuned likewise. Words are what white space divides, compared as they are. Where a guess is longer than
    the context, the recogniser's first guess stands, for every network. Controls: the first guess, a guess at random
    (its expected errors), the best guess of each list (oracle), and a unigram and a trigram model, tuned likewise.
    """

    __pydantic_config__ = settings.STRICT
    kind: ClassVar[str]
    family: ClassVar[Literal["understanding", "generation"]] = "understanding"
    primary_metric: ClassVar[str] = "wer"
    better: ClassVar[Literal["higher", "lower"]] = "lower"
    per_item: ClassVar[Mapping[str, tuple[str, str]]] = {
        "wer": ("errors", "words"),
        "wer_by_likelihood": ("errors_by_likelihood", "words"),
    }
    conditions: ClassVar[tuple[str, ...]] = ("pretrained",)
    columns: ClassVar[tuple[str, ...]] = ("reference", "hypotheses")

    source: object
    """where the lists come from: a row has `id`, `ref` and `nbest`, a list of mappings with `text` and `score`"""
    reference: str = "ref"
    """name of the column with what was said"""
    hypotheses: str = "nbest"
    """name of the column with the guesses"""
    logarithm: bool = False
    """take the logarithm of the scores: for a recogniser that gives probabilities, as PocketSphinx does"""
    group: str = ""
    """name of a column, such as the speaker's: utterances with the same value are in the same part"""
    validation: settings.Share = 0.3
    """share of the utterances, or of their groups, that chooses weight and bonus; the others are reported"""
    items: Annotated[int, Field(gt=1)] | None = None
    """at most so many utterances in all, the first ones of the source; every one if left out"""
    lm_weights: Annotated[tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...], Field(min_length=1)] = (
        0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2, 2.0, 4.0, 8.0,
    )  # fmt: skip
    """weights of the network to try, in the unit of the recogniser's score per nat"""
    word_bonuses: Annotated[tuple[Finite, ...], Field(min_length=1)] = (
        -8.0, -4.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 4.0, 8.0,
    )  # fmt: skip
    """bonuses for a word to try, in the unit of the recogniser's score"""
    seed: int = 0
    """of the split"""
    smallest_effect: Annotated[float, Field(gt=0)] = 0.005
    """smallest difference in word error rate that would matter; verdicts need it, fixed beforehand"""

    def describe(self) -> str:
        """Return one line for the report."""
        return (
            "which of a recogniser's guesses has the highest score + weight x log p + bonus x words, "
            f"weight and bonus chosen on a share of {self.validation:g} of the utterances; the others are reported"
        )

    def utterances(self) -> list[Utterance]:
        """Read the lists.

        Raises:
            InputError: a column, a text or a score is missing, a list is empty, or an id occurs twice.
        """
        found: list[Utterance] = []
        seen = set()
        for number, row in enumerate(self.source.rows()):  # type: ignore[attr-defined]
            if len(found) == self.items:
                break
            for column in (self.reference, self.hypotheses, *([self.group] if self.group else [])):
                if column not in row:
                    raise InputError(
                        f"tasks: nbest_rescoring: no column {column!r}{nearest(column, row)}"
                    )
            id_ = str(row.get("id", number))
            if id_ in seen:
                raise InputError(
                    f"tasks: nbest_rescoring: wanted ids that differ, got {id_!r} twice"
                )
            seen.add(id_)
            found.append(_utterance(id_, str(row[self.group] if self.group else id_), row, self))
        return found

    def split(self, utterances: Sequence[Utterance]) -> tuple[list[Utterance], list[Utterance]]:
        """Return the validation part and the test part; no group is in both.

        Raises:
            InputError: there are fewer than two groups.
        """
        groups = sorted({one.group for one in utterances})
        if len(groups) < 2:
            raise InputError(
                f"tasks: nbest_rescoring: wanted at least 2 utterances (or groups), got {len(groups)}"
            )
        count = min(max(1, round(self.validation * len(groups))), len(groups) - 1)
        order = np.random.default_rng(self.seed).permutation(len(groups))
        held = {groups[i] for i in order[:count]}
        return [one for one in utterances if one.group in held], [
            one for one in utterances if one.group not in held
        ]

    def measure(self, harness: "Harness") -> Measurement:
        """Tune the mix of recogniser and network on the validation part, and pick guesses in the test part."""
        validation, test = self.split(self.utterances())
        everyone = [*validation, *test]
        fits = _fits(harness, everyone)
        texts = [text for one, fit in zip(everyone, fits, strict=True) if fit for text in one.texts]
        scores = score_sentences(harness, texts)
        outcomes: list[TaskOutcome] = []
        chosen = {}
        for suffix, values in (("", scores.best), ("_by_likelihood", scores.likelihood)):
            picked, tuned = self.rescore(validation, test, _by_list(everyone, fits, values))
            outcomes += _wer(test, picked, suffix=suffix)
            outcomes += [
                TaskOutcome(f"weight{suffix}", tuned.weight),
                TaskOutcome(f"word_bonus{suffix}", tuned.bonus),
            ]
            outcomes.append(TaskOutcome(f"wer{suffix}", tuned.wer, split="validation"))
            chosen[f"wer{suffix}"] = {"weight": tuned.weight, "bonus": tuned.bonus}
        notes = replace(
            _notes(validation, test, fits), procedure=scores.route, details={"mix": chosen}
        )
        return Measurement(outcomes, notes, fingerprints={"items": _fingerprint(everyone)})

    def control(self, harness: "Harness") -> Measurement:
        """Pick the first, a random and the best guess, and rescore by n-gram models."""
        validation, test = self.split(self.utterances())
        everyone = [*validation, *test]
        fits = _fits(harness, everyone)
        outcomes = _wer(test, [float(one.errors[0]) for one in test], "1-best")
        outcomes += _wer(test, [float(one.errors.mean()) for one in test], "random")
        outcomes += _wer(test, [float(one.errors.min()) for one in test], "oracle")
        texts = [text for one, fit in zip(everyone, fits, strict=True) if fit for text in one.texts]
        for arm, values in by_ngrams(harness, texts).items():
            picked, tuned = self.rescore(validation, test, _by_list(everyone, fits, values))
            outcomes += _wer(test, picked, arm)
            outcomes += [
                TaskOutcome("weight", tuned.weight, model=arm),
                TaskOutcome("word_bonus", tuned.bonus, model=arm),
            ]
        return Measurement(
            outcomes, _notes(validation, test, fits), fingerprints={"items": _fingerprint(everyone)}
        )

    def rescore(
        self,
        validation: Sequence[Utterance],
        test: Sequence[Utterance],
        nats: Sequence[Floats | None],
    ) -> tuple[list[float], TunedWeight]:
        """Return the errors of what is picked in each list of the test part, and the weights that picked it.

        Args:
            validation: V lists that choose the weights.
            test: T lists.
            nats: (V + T) log p of the guesses of each list; None where they do not fit into the context.
        """
        known = list(zip(validation, nats, strict=False))
        words = sum(one.words for one in validation)
        best: tuple[float, float, float, float, float] | None = None
        for weight in self.lm_weights:
            for bonus in self.word_bonuses:
                errors = sum(one.errors[_pick(one, log_p, weight, bonus)] for one, log_p in known)
                # Of equally good ones that which departs least from the recogniser.
                tried = (float(errors), weight, abs(bonus), weight, bonus)
                best = tried if best is None else min(best, tried)
        assert best is not None
        tuned = TunedWeight(best[3], best[4], best[0] / words if words else float("nan"))
        picked = [
            float(one.errors[_pick(one, log_p, tuned.weight, tuned.bonus)])
            for one, log_p in zip(test, nats[len(validation) :], strict=True)
        ]
        return picked, tuned


def _utterance(id_: str, group: str, row: Mapping[str, Any], task: NbestRescoring) -> Utterance:
    where = f"tasks: nbest_rescoring: utterance {id_!r}: {task.hypotheses}"
    guesses = row[task.hypotheses]
    if not isinstance(guesses, list | tuple) or not guesses:
        raise InputError(f"{where}: wanted a list of at least one guess, got {guesses!r}")
    for guess in guesses:
        score = guess.get("score") if isinstance(guess, Mapping) else None
        good = isinstance(score, int | float) and not isinstance(score, bool) and np.isfinite(score)
        good = good and (score > 0 or not task.logarithm)  # type: ignore[operator]
        if not good or not isinstance(guess.get("text"), str):
            wanted = "a score above 0" if task.logarithm else "a finite score"
            raise InputError(f"{where}: wanted mappings with a text and {wanted}, got {guess!r}")
    guesses = sorted(guesses, key=lambda guess: -guess["score"])
    texts = [" ".join(guess["text"].split()) for guess in guesses]
    said = str(row[task.reference] or "")
    scores = np.array([guess["score"] for guess in guesses], dtype=float)
    return Utterance(
        id=id_,
        group=group,
        texts=texts,
        scores=np.log(scores) if task.logarithm else scores,
        sizes=np.array([len(text.split()) for text in texts], dtype=float),
        errors=np.array([word_errors(said, text) for text in texts], dtype=float),
        words=len(said.split()),
    )


def word_errors(reference: str, guess: str) -> int:
    """Return the least number of words to substitute, leave out or put in (Levenshtein), by the library under jiwer.

    >>> word_errors("the film was good", "the films was"), word_errors("", "uh huh")
    (2, 2)
    """
    from rapidfuzz.distance import Levenshtein  # here, since a task is a light file

    return int(Levenshtein.distance(reference.split(), guess.split()))


def _pick(one: Utterance, nats: Floats | None, weight: float, bonus: float) -> int:
    """Return the place of the guess of highest score, of equals the recogniser's best; 0 if nothing is known."""
    if nats is None:
        return 0
    return int(np.argmax(one.scores + weight * nats + bonus * one.sizes))


def _fits(harness: "Harness", utterances: Sequence[Utterance]) -> list[bool]:
    """Return whether each guess of an utterance fits into the context, bos and eos around it."""
    return [max(map(len, harness.encode(one.texts))) <= harness.context - 2 for one in utterances]


def _by_list(
    utterances: Sequence[Utterance], fits: Sequence[bool], values: Floats
) -> list[Floats | None]:
    """Cut the values of all guesses that fit into one row a list; None for a list that does not fit."""
    found: list[Floats | None] = []
    first = 0
    for one, fit in zip(utterances, fits, strict=True):
        found.append(values[first : first + len(one.texts)] if fit else None)
        first += len(one.texts) if fit else 0
    return found


def _wer(
    test: Sequence[Utterance], errors: Sequence[float], arm: str = "", *, suffix: str = ""
) -> list[TaskOutcome]:
    """Return errors and words of each utterance, and their ratio over all.

    An utterance without words stays: what was heard in it are errors.
    """
    words = sum(one.words for one in test)
    if not words:
        raise InputError(
            "tasks: nbest_rescoring: wanted references with words in the test part, got none"
        )
    outcomes = [TaskOutcome(f"wer{suffix}", sum(errors) / words, model=arm)]
    for one, value in zip(test, errors, strict=True):
        outcomes.append(TaskOutcome(f"errors{suffix}", value, one.id, model=arm))
        if not suffix:
            outcomes.append(TaskOutcome("words", float(one.words), one.id, model=arm))
    return outcomes


def _notes(
    validation: Sequence[Utterance], test: Sequence[Utterance], fits: Sequence[bool]
) -> Notes:
    counts = {
        "validation": len(validation),
        "test": len(test),
        "longer than the context": sum(not fit for fit in fits),
    }
    guesses = sum(len(one.texts) for one in (*validation, *test))
    return Notes(counts={"utterances": counts, "guesses": guesses})


def _fingerprint(utterances: Sequence[Utterance]) -> str:
    return digest(
        [[one.id, one.texts, one.scores.tolist(), one.errors.tolist()] for one in utterances]
    )
