from dataclasses import dataclass
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from lmcompare.core.errors import InputError
from lmcompare.core.example import SpecialTokens
from lmcompare.evaluation.ngram_model import TrigramModel
from lmcompare.objectives.causal import Causal
from lmcompare.objectives.masked import Masked as MaskedObjective
from lmcompare.tasks.minimal_pairs import MinimalPairs, credit

ROWS = [
    {
        "good": f"{who} {verb}s {n}",
        "bad": f"{who} {verb} {n}",
        "paradigm": f"agreement_{verb}",
        "field": "morphology",
    }
    for verb in ("sleep", "run")
    for n, who in enumerate(("she", "he", "it", "who"))
]
ROWS += [
    {"good": f"b a {n}", "bad": f"a b {n}", "paradigm": "order", "field": "syntax"}
    for n in range(4)
]


@dataclass(frozen=True)
class Toy:
    kind: ClassVar[str] = "toy"
    given: tuple = tuple(ROWS)

    def rows(self):
        yield from self.given

    def fingerprint(self):
        return "toy"


class Model:
    """Scores a sentence by a function of its text."""

    objective = Causal()
    tokenizer = SimpleNamespace(special=SimpleNamespace(mask=-1))

    def __init__(self, value):
        self.value = value

    def log_likelihood(self, prompts, texts, method=None):
        assert prompts == [""] * len(texts)
        return [SimpleNamespace(sum=self.value(text)) for text in texts]


class FakeHarness:
    """One token a character."""

    context, seed = 20, 1

    def __init__(self, value=len):
        self.model = Model(value)
        self.progress = lambda event: None

    def encode(self, texts):
        return [np.array([ord(c) % 97 for c in text], dtype=np.int64) for text in texts]

    def unigram(self):
        return np.full(97, -np.log(97))

    def trigram_baseline(self):
        return TrigramModel(np.arange(500) % 97, 97)


def whole(found, model=""):
    return {
        o.metric + (f"/{o.part}" if o.part else ""): o.value
        for o in found.outcomes
        if not o.item and o.model == model
    }


def knows(text):
    return float(text.split()[1].endswith("s") or text.startswith("b"))


def test_one_who_knows_has_all_and_one_who_errs_has_none():
    right, wrong = (
        whole(MinimalPairs(Toy()).measure(FakeHarness(value)))
        for value in (knows, lambda text: -knows(text))
    )
    assert right["accuracy"] == right["accuracy_macro"] == right["accuracy_by_likelihood"] == 1
    assert right["accuracy_equal_length"] == 1
    assert wrong["accuracy"] == wrong["accuracy_macro"] == wrong["accuracy/field/syntax"] == 0


def test_who_cannot_tell_has_a_half():
    found = MinimalPairs(Toy()).measure(FakeHarness(lambda text: -3.0))
    assert {o.value for o in found.outcomes if o.metric == "correct"} == {0.5}
    assert whole(found)["accuracy"] == 0.5


def test_paradigms_and_fields_have_their_own_accuracy_and_the_macro_is_their_mean():
    rows = (
        *ROWS,
        *(
            {"good": f"b a {n}", "bad": f"a b {n}", "paradigm": "order", "field": "syntax"}
            for n in "xyzw"
        ),
    )
    values = whole(
        MinimalPairs(Toy(rows)).measure(FakeHarness(lambda text: float(text.startswith("b"))))
    )
    assert values["accuracy/paradigm/order"] == values["accuracy/field/syntax"] == 1
    assert values["accuracy/paradigm/agreement_run"] == values["accuracy/field/morphology"] == 0.5
    assert values["accuracy"] == (8 * 1 + 8 * 0.5) / 16
    assert values["accuracy_macro"] == pytest.approx((1 + 0.5 + 0.5) / 3)


def test_controls():
    found = MinimalPairs(Toy()).control(FakeHarness())
    assert {o.model for o in found.outcomes} == {"chance", "unigram", "trigram", "shorter sentence"}
    assert whole(found, "chance")["accuracy"] == 0.5
    # Every token is as likely, so the shorter sentence is the likelier one: the bad one, of eight pairs.
    assert (
        whole(found, "unigram")["accuracy"]
        == whole(found, "shorter sentence")["accuracy"]
        == (8 * 0 + 4 * 0.5) / 12
    )
    assert whole(found, "shorter sentence")["accuracy_equal_length"] == 0.5


def test_a_pair_of_unequal_length_stays_in_the_sums():
    outcomes = MinimalPairs(Toy()).measure(FakeHarness(knows)).outcomes
    below = [o.value for o in outcomes if o.metric == "equal_length"]
    assert len(below) == 12 and sum(below) == 4


def test_a_network_that_gets_a_sentence_word_by_word_is_asked_so():
    seen = []

    class Masked(Model):
        objective = MaskedObjective()
        tokenizer = SimpleNamespace(
            special=SpecialTokens(0, 1, 2, 4, (), np.arange(5, 9), np.ones(9, bool))
        )

        def log_likelihood(self, prompts, texts, method=None):
            seen.append(method)
            return [SimpleNamespace(sum=knows(text) if method else -knows(text)) for text in texts]

    harness = FakeHarness()
    harness.model = Masked(None)
    found = MinimalPairs(Toy()).measure(harness)
    assert seen == [None, "pll-word-l2r"]
    assert (whole(found)["accuracy"], whole(found)["accuracy_by_likelihood"]) == (1, 0)
    assert "Kauf & Ivanova 2023" in found.notes.procedure


def test_the_pairs_are_the_same_for_all_and_drawn_from_each_paradigm():
    task = MinimalPairs(Toy(), items=2, seed=3)
    pairs, counts = task.pairs(FakeHarness())
    assert [pair.paradigm for pair in pairs] == sorted(
        ["agreement_sleep", "agreement_run", "order"] * 2
    )
    assert pairs == task.pairs(FakeHarness())[0] and len({pair.id for pair in pairs}) == 6
    assert counts["kept"] == 6 and counts["paradigms"] == 3
    assert task.measure(FakeHarness()).fingerprint == task.control(FakeHarness()).fingerprint


def test_what_is_no_pair_is_left_out_and_counted():
    odd = [
        {"good": "同じ", "bad": "同じ"},
        {"good": "x" * 19, "bad": "y"},
        {"good": "一 ", "bad": "二\r"},
    ] * 2
    pairs, counts = MinimalPairs(Toy(tuple(odd))).pairs(FakeHarness())
    assert [(pair.good, pair.bad, pair.paradigm, pair.field) for pair in pairs] == [
        ("一", "二", "all", "all")
    ]
    assert (counts["equal"], counts["duplicates"], counts["too_long"]) == (2, 2, 1)


def test_what_cannot_be_asked_is_said():
    with pytest.raises(InputError, match="no column 'good'; did you mean 'goods'"):
        MinimalPairs(Toy(({"goods": "a", "bad": "b"},))).pairs(FakeHarness())
    with pytest.raises(
        InputError, match="wanted pairs that fit into sequence.length, got none of 0"
    ):
        MinimalPairs(Toy(())).pairs(FakeHarness())


def test_what_differs_by_rounding_is_a_tie():
    rounded = np.array([0.1 + 0.2]), np.array([0.3])
    assert credit(*rounded).tolist() == [0.5]
    assert (
        MinimalPairs(Toy())
        .describe()
        .startswith("which sentence of a minimal pair is likelier, zero-shot (at most")
    )
