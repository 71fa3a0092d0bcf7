"""Classification without a head: verbalizers of labels, ranked zero-shot or generated after
tuning.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lmcompare.core import settings
from lmcompare.core.errors import InputError, nearest
from lmcompare.core.records import Notes, Trials
from lmcompare.data import LabeledItem, LabeledSplits
from lmcompare.tasks._prompts import fields_of, fit
from lmcompare.tasks.base import SPECIAL_TOKENS, SPLITS

if TYPE_CHECKING:
    from lmcompare.evaluation.harness import Harness


@dataclass(frozen=True)
class Verbalizer:
    """How a text and its label become a prompt and a completion."""

    head: str
    """the template up to the label's word, white space before it left out; {text} is the text"""
    completions: list[str]
    """of each label: white space, its word, the rest of the template"""
    labels: tuple[str, ...]

    @classmethod
    def of(cls, template: str, words: Mapping[str, str], labels: Sequence[str]) -> "Verbalizer":
        """Put each label's word, by default its name, into the template.

        >>> Verbalizer.of("{text} It was {label}.", {"pos": "good"}, ("neg", "pos")).completions
        [' neg.', ' good.']

        Raises:
            InputError: a word for an unknown label, or the same word for two labels.
        """
        unknown = [name for name in words if name not in labels]
        if unknown:
            raise InputError(f"verbalizer.{unknown[0]}: no such label{nearest(unknown[0], labels)}")
        chosen = [words.get(label, label) for label in labels]
        if len(set(chosen)) < len(chosen):
            raise InputError(
                f"verbalizer: wanted a word of its own for each label, got {', '.join(chosen)}"
            )
        before, _, after = template.partition("{label}")
        head, rest = before.rstrip(), after.format()
        return cls(head, [before[len(head) :] + word + rest for word in chosen], tuple(labels))

    def prompt(self, text: str) -> str:
        """Return the template with this text, up to the label's word."""
        return self.head.format(text=text)


@dataclass(frozen=True)
class VerbalizerScores:
    """What a network predicts for the test items."""

    probabilities: NDArray[np.float64]
    """(items, classes)"""
    notes: Notes
    validation_accuracy: float | None = None
    """where something was chosen on it"""
    seconds: float = 0.0
    """of fine-tuning"""


def check_template(template: str) -> None:
    """Refuse a template that does not hold the text and, after it, the label.

    Raises:
        InputError: so it is.
    """
    if fields_of(template) != ["text", "label"]:
        raise InputError(
            f"template: wanted {{text}} and after it {{label}}, each once, got {template!r}"
        )


def tune_and_rank(
    harness: "Harness", data: LabeledSplits, verbalizer: Verbalizer, adaptation: settings.Adaptation
) -> VerbalizerScores:
    """Fine-tune the network to generate the verbalizer of the label, and rank the verbalizers."""
    completions = harness.encode(verbalizer.completions, target=True)
    room = harness.context - max(map(len, completions)) - 1 - SPECIAL_TOKENS
    pairs, truncated = {}, 0
    for split in SPLITS:
        items: list[LabeledItem] = getattr(data, split)
        fitted = [fit(harness, verbalizer.prompt, item.text, room) for item in items]
        truncated += sum(cut for _, cut in fitted)
        prompts = harness.encode([text for text, _ in fitted])
        pairs[split] = [
            (prompt, completions[item.label]) for prompt, item in zip(prompts, items, strict=True)
        ]
    ranked = harness.rank_answers(pairs, completions, adaptation=adaptation)
    tuned = ranked.tuned
    notes = Notes(trials=Trials(tuned.trials, tuned.chosen), truncated=truncated)
    return VerbalizerScores(ranked.probabilities, notes, ranked.validation_accuracy, tuned.seconds)


def rank(
    harness: "Harness", data: LabeledSplits, verbalizer: Verbalizer, num_fewshot: int
) -> VerbalizerScores:
    """Rank the verbalizers after each test text, and after ``num_fewshot`` examples before it.

    The likelihood is that of the word and of the rest of the template: exact, or by the chain rule
    of a masked network. The examples are the first training items of each label in turn, the same
    for every network; each of them and the text itself may take an equal share of the context.
    """
    longest = max(len(row) for row in harness.encode(verbalizer.completions, target=True))
    room = harness.context - longest - SPECIAL_TOKENS
    examples = _alternating(data.train, len(verbalizer.labels))[:num_fewshot]
    before, truncated = "", 0
    for item in examples:

        def solved(text: str, completion: str = verbalizer.completions[item.label]) -> str:
            return verbalizer.prompt(text) + completion + "\n\n"

        example, was_cut = fit(harness, solved, item.text, room // (num_fewshot + 1))
        before, truncated = before + example, truncated + was_cut
    fitted = [
        fit(harness, lambda text: before + verbalizer.prompt(text), item.text, room)
        for item in data.test
    ]
    prompts = [text for text, _ in fitted for _ in verbalizer.completions]
    scores = harness.model.log_likelihood(prompts, verbalizer.completions * len(fitted))
    nats = np.array([score.sum for score in scores]).reshape(len(fitted), -1)  # (items, classes)
    likely = np.exp(nats - nats.max(1, keepdims=True))
    notes = Notes(
        truncated=truncated + sum(was_cut for _, was_cut in fitted),
        details={
            "fewshot": [item.id for item in examples],
            "likelihood": harness.model.objective.exactness,
        },
    )
    return VerbalizerScores(likely / likely.sum(1, keepdims=True), notes)


def _alternating(items: Sequence[LabeledItem], classes: int) -> list[LabeledItem]:
    """Return the items so that the labels take turns, as long as each has some."""
    rank = [0] * classes
    order = []
    for place, item in enumerate(items):
        order.append((rank[item.label], item.label, place))
        rank[item.label] += 1
    return [items[place] for _, _, place in sorted(order)]
