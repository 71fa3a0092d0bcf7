from dataclasses import dataclass
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from lmcompare import metrics
from lmcompare.data.labeled import labels_of
from lmcompare.tasks.classification import Classification, score


@dataclass(frozen=True)
class Toy:
    kind: ClassVar[str] = "toy"
    size: int = 100

    def rows(self):
        for i in range(self.size):
            yield {
                "text": f"text {i} {'good' if i % 4 else 'bad'}",
                "label": "pos" if i % 4 else "neg",
            }

    def fingerprint(self):
        return "toy"


class FakeHarness:
    context = 16
    seed = 1

    def __init__(self):
        self.progress = lambda event: None

    def metric(self, name, **inputs):
        return metrics.load(name).compute(**inputs)

    def encode(self, texts):
        return [np.arange(len(text.split()) * 5) for text in texts]

    def majority_class(self, data, split):
        return np.tile([0.25, 0.75], (len(getattr(data, split)), 1))

    def tfidf_classifier(self, data):
        return (
            np.eye(2)[labels_of(data.test)],
            np.eye(2)[labels_of(data.validation)],
            {"chosen": {"C": 1.0}},
        )

    def finetune_classifier(self, data, rows, adaptation):
        self.rows = rows
        return SimpleNamespace(
            probabilities=np.eye(2)[labels_of(data.test)],
            score=1.0,
            trials=[{}],
            chosen={},
            seconds=2.0,
        )


def whole(outcomes, model=""):
    return {
        o.metric + (f"/{o.part}" if o.part else ""): o.value
        for o in outcomes
        if not o.item and o.model == model and o.split == "test"
    }


def test_a_perfect_answerer_scores_the_maximum():
    found = Classification(Toy()).measure(FakeHarness())
    values = whole(found.outcomes)
    assert values["accuracy"] == values["f1_macro"] == values["matthews"] == 1
    assert values["ece"] == values["brier"] == values["nll"] == 0
    items = [o for o in found.outcomes if o.metric == "correct"]
    assert len(items) == 10
    assert {o.value for o in items} == {1.0}
    assert [o.value for o in found.outcomes if o.metric == "confidence"] == [1.0] * 10
    assert found.costs == {"seconds": 2.0}


def test_a_constant_answerer_scores_its_chance_level():
    values = whole(Classification(Toy()).control(FakeHarness()).outcomes, "majority")
    assert values["accuracy/class/pos"] == 1
    assert values["accuracy/class/neg"] == 0
    assert values["accuracy"] == 0.7 or values["accuracy"] == 0.8
    assert values["matthews"] == 0


def test_the_controls_have_names_of_their_own():
    outcomes = Classification(Toy()).control(FakeHarness()).outcomes
    assert {o.model for o in outcomes} == {"majority", "tf-idf + logistic regression"}
    assert whole(outcomes, "tf-idf + logistic regression")["accuracy"] == 1


def test_text_beyond_the_context_is_cut_and_counted():
    harness = FakeHarness()
    found = Classification(Toy()).measure(harness)
    assert found.notes.truncated == 100
    assert all(len(row) == 14 for rows in harness.rows.values() for row in rows)


def test_wrong_answers_by_hand():
    data = Classification(Toy()).data()
    probabilities = np.tile([0.8, 0.2], (len(data.test), 1))
    outcomes = list(score(FakeHarness(), data, probabilities))
    positives = labels_of(data.test).mean()
    expected = -(positives * np.log(0.2) + (1 - positives) * np.log(0.8))
    assert whole(outcomes)["nll"] == pytest.approx(expected)
    assert whole(outcomes)["accuracy"] == pytest.approx(1 - positives)


def test_describes_itself_in_one_line():
    assert (
        Classification(Toy()).describe()
        == "one label for each text (toy), by fine-tuning (3 epochs at most)"
    )
