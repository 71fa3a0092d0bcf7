"""Labels as words: classification without a head, by ranking the words or by learning to answer with one."""

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

if TYPE_CHECKING:
    from lmcompare.evaluation.harness import Harness

AROUND = 2
"""Tokens that an objective may put around a prompt and its answer."""


@dataclass(frozen=True)
class Verbalizer:
    """How labels are said.

    Attributes:
        head: the template up to the label's word, white space before it left out; {text} stands for the text.
        completions: for each label, what follows: white space, its word, the rest of the template.
        labels: their names.
    """

    head: str
    completions: list[str]
    labels: tuple[str, ...]

    @classmethod
    def of(cls, template: str, words: Mapping[str, str], labels: Sequence[str]) -> "Verbalizer":
        """Put each label's word, by default its name, into the template.

        >>> Verbalizer.of("{text} It was {label}.", {"pos": "good"}, ("neg", "pos")).completions
        [' neg.', ' good.']

        Raises:
            InputError: a word for a label that there is not, or the same word for two.
        """
        unknown = [name for name in words if name not in labels]
        if unknown:
            raise InputError(f"verbalizer.{unknown[0]}: no such label{nearest(unknown[0], labels)}")
        said = [words.get(label, label) for label in labels]
        if len(set(said)) < len(said):
            raise InputError(
                f"verbalizer: wanted a word of its own for each label, got {', '.join(said)}"
            )
        before, _, after = template.partition("{label}")
        head, rest = before.rstrip(), after.format()
        return cls(head, [before[len(head) :] + word + rest for word in said], tuple(labels))

    def prompt(self, text: str) -> str:
        """Return the template with this text, up to the label's word."""
        return self.head.format(text=text)


@dataclass(frozen=True)
class VerbalizerScores:
    """What a network says of the test items.

    Attributes:
        probabilities: (items, classes).
        notes: for the report.
        accuracy: on validation, where something was chosen on it.
        seconds: of fine-tuning.
    """

    probabilities: NDArray[np.float64]
    notes: Notes
    accuracy: float | None = None
    seconds: float = 0.0


def check(template: str) -> None:
    """Refuse a template that does not hold the text and, after it, the label.

    Raises:
        InputError: so it is.
    """
    if fields_of(template) != ["text", "label"]:
        raise InputError(
            f"template: wanted {{text}} and after it {{label}}, each once, got {template!r}"
        )


def learn(
    harness: "Harness", data: LabeledSplits, worded: Verbalizer, adaptation: settings.Adaptation
) -> VerbalizerScores:
    """Fine-tune the network to answer each text with its label's word; it is asked which word is likeliest."""
    options = harness.encode(worded.completions, target=True)
    most = harness.context - max(map(len, options)) - 1 - AROUND
    pairs, truncated = {}, 0
    for split in ("train", "validation", "test"):
        items: list[LabeledItem] = getattr(data, split)
        fitted = [fit(harness, worded.prompt, item.text, most) for item in items]
        truncated += sum(cut for _, cut in fitted)
        prompts = harness.encode([text for text, _ in fitted])
        pairs[split] = [
            (prompt, options[item.label]) for prompt, item in zip(prompts, items, strict=True)
        ]
    found = harness.rank_answers(pairs, options, adaptation=adaptation)
    notes = Notes(trials=Trials(found.tuned.trials, found.tuned.chosen), truncated=truncated)
    return VerbalizerScores(
        found.probabilities, notes, found.validation_accuracy, found.tuned.seconds
    )


def rank(
    harness: "Harness", data: LabeledSplits, worded: Verbalizer, shots: int
) -> VerbalizerScores:
    """Ask the network as it is which label's word is likeliest after the text, and after ``shots`` solved examples.

    The likelihood is that of the word and of what the template puts after it: exact, or a masked network's chain.
    The examples are the first training items of each label in turn, the same for every network; each of them and the
    text itself may take an equal part of the context.
    """
    sizes = [len(row) for row in harness.encode(worded.completions, target=True)]
    room = harness.context - max(sizes) - AROUND
    examples = _turns(data.train, len(worded.labels))[:shots]
    before, truncated = "", 0
    for item in examples:

        def solved(text: str, completion: str = worded.completions[item.label]) -> str:
            return worded.prompt(text) + completion + "\n\n"

        text, cut = fit(harness, solved, item.text, room // (shots + 1))
        before, truncated = before + text, truncated + cut
    fitted = [
        fit(harness, lambda text: before + worded.prompt(text), item.text, room)
        for item in data.test
    ]
    prompts = [text for text, _ in fitted for _ in worded.completions]
    scores = harness.model.log_likelihood(prompts, worded.completions * len(fitted))
    nats = np.array([score.sum for score in scores]).reshape(len(fitted), len(worded.completions))
    likely = np.exp(nats - nats.max(1, keepdims=True))
    notes = Notes(
        truncated=truncated + sum(cut for _, cut in fitted),
        details={
            "fewshot": [item.id for item in examples],
            "likelihood": harness.model.objective.exactness,
        },
    )
    return VerbalizerScores(likely / likely.sum(1, keepdims=True), notes)


def _turns(items: Sequence[LabeledItem], classes: int) -> list[LabeledItem]:
    """Return the items so that the labels take turns, as long as each has some."""
    rank = [0] * classes
    order = []
    for place, item in enumerate(items):
        order.append((rank[item.label], item.label, place))
        rank[item.label] += 1
    return [items[place] for _, _, place in sorted(order)]
