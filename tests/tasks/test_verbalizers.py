from dataclasses import dataclass
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from lmcompare import metrics
from lmcompare.core.errors import InputError
from lmcompare.tasks._verbalizers import Verbalizer
from lmcompare.tasks.classification import Classification


@dataclass(frozen=True)
class Toy:
    kind: ClassVar[str] = "toy"

    def rows(self):
        for i in range(100):
            yield {
                "text": f"text {i} {'good' if i % 4 else 'bad'}",
                "label": "pos" if i % 4 else "neg",
            }

    def fingerprint(self):
        return "toy"


class Model:
    """Finds the completion likeliest that holds what the text after the last example says."""

    objective = SimpleNamespace(exactness="chain")

    def log_likelihood(self, prompts, completions):
        self.asked = list(zip(prompts, completions, strict=True))
        return [
            SimpleNamespace(
                sum=0.0 if ("bad" in prompt.split("\n\n")[-1]) == ("neg" in said) else -9.0
            )
            for prompt, said in self.asked
        ]


class FakeHarness:
    """One token a character."""

    seed, context = 1, 120

    def __init__(self):
        self.model, self.progress = Model(), lambda event: None

    def encode(self, texts, target=False):
        return [np.array([ord(c) for c in text], dtype=np.int64) for text in texts]

    def decode(self, rows):
        return ["".join(map(chr, row)) for row in rows]

    def metric(self, name, **inputs):
        return metrics.load(name).compute(**inputs)

    def rank_answers(self, pairs, options, *, adaptation):
        self.pairs = pairs
        rows = [
            [np.array_equal(option, answer) for option in options] for _, answer in pairs["test"]
        ]
        tuned = SimpleNamespace(trials=[{}], chosen={}, seconds=2.0)
        return SimpleNamespace(
            probabilities=np.array(rows, dtype=float), validation_accuracy=1.0, tuned=tuned
        )


def accuracy(found):
    (value,) = (
        o.value for o in found.outcomes if (o.metric, o.split, o.part) == ("accuracy", "test", "")
    )
    return value


def test_the_prompt_ends_before_the_label():
    worded = Verbalizer.of("{text} It was {label}.", {"pos": "good"}, ("neg", "pos"))
    assert worded.prompt("So.") == "So. It was"


@pytest.mark.parametrize("num_fewshot", [0, 1, 3])
def test_every_verbalizer_is_scored_after_every_text(num_fewshot):
    harness = FakeHarness()
    found = Classification(
        Toy(), protocol="few_shot" if num_fewshot else "zero_shot", num_fewshot=num_fewshot
    ).measure(harness)
    assert accuracy(found) == 1
    prompts = [prompt for prompt, _ in harness.model.asked]
    assert len(prompts) == 2 * found.notes.counts["test_items"]
    assert {said for _, said in harness.model.asked} == {" neg", " pos"}
    assert all(
        prompt.endswith("\nLabel:") and prompt.count("\n\n") == num_fewshot for prompt in prompts
    )
    assert all(len(prompt) <= 120 - 4 - 2 for prompt in prompts)
    assert len(found.notes.details["fewshot"]) == num_fewshot
    assert found.notes.details["likelihood"] == "chain"
    assert found.notes.truncated == 0


def test_where_the_context_is_short_each_example_and_the_text_are_cut():
    harness = FakeHarness()
    harness.context = 60
    found = Classification(Toy(), protocol="few_shot", num_fewshot=3).measure(harness)
    assert found.notes.truncated == 3 + found.notes.counts["test_items"]
    assert {len(prompt) for prompt, _ in harness.model.asked} == {60 - 4 - 2}


def test_examples_of_the_labels_take_turns_and_come_from_training():
    harness = FakeHarness()
    task = Classification(Toy(), protocol="few_shot", num_fewshot=2)
    found = task.measure(harness)
    first, second, _ = harness.model.asked[0][0].split("\n\n")
    assert (first.endswith("neg"), second.endswith("pos")) == (True, True)
    assert set(found.notes.details["fewshot"]) <= {item.id for item in task.data().train}


def test_text_to_text_learns_the_words():
    harness = FakeHarness()
    task = Classification(
        Toy(),
        protocol="text_to_text",
        template="{text} It was {label}.",
        verbalizer={"neg": "bad", "pos": "good"},
    )
    found = task.measure(harness)
    assert accuracy(found) == 1
    assert {harness.decode([answer])[0] for _, answer in harness.pairs["train"]} == {
        " bad.",
        " good.",
    }
    assert all(
        harness.decode([prompt])[0].endswith(" It was") for prompt, _ in harness.pairs["train"]
    )
    (validated,) = (o.value for o in found.outcomes if o.split == "validation")
    assert validated == 1
    assert found.notes.details["completions"] == [" bad.", " good."]


def test_a_long_text_is_cut_so_that_the_word_still_fits():
    harness = FakeHarness()
    harness.context = 20
    found = Classification(Toy(), protocol="text_to_text").measure(harness)
    assert all(len(prompt) == 20 - 4 - 1 - 2 for prompt, _ in harness.pairs["train"])
    assert all(
        harness.decode([prompt])[0].endswith("\nLabel:") for prompt, _ in harness.pairs["train"]
    )
    assert found.notes.truncated == 100


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"num_fewshot": 2}, "num_fewshot: wanted 0 with protocol 'finetune'"),
        ({"protocol": "few_shot"}, "num_fewshot: wanted 1 or more with protocol 'few_shot'"),
        ({"verbalizer": {"pos": "good"}}, "verbalizer: wanted none with protocol 'finetune'"),
        ({"template": "{label} {text}"}, "template: wanted {text} and after it {label}"),
        ({"template": "{text}"}, "template: wanted {text} and after it {label}"),
    ],
)
def test_settings_that_cannot_be(more, message):
    with pytest.raises(InputError, match=message):
        Classification(Toy(), **more)


def test_words_for_labels_that_are_not_there_or_alike():
    with pytest.raises(InputError, match="verbalizer.poss: no such label"):
        Classification(Toy(), protocol="text_to_text", verbalizer={"poss": "good"}).measure(
            FakeHarness()
        )
    with pytest.raises(InputError, match="wanted a word of its own for each label, got good, good"):
        Classification(
            Toy(), protocol="text_to_text", verbalizer={"pos": "good", "neg": "good"}
        ).measure(FakeHarness())
