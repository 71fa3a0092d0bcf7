from dataclasses import dataclass
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from lmcompare.core.errors import InputError
from lmcompare.core.settings import AdaptationSettings
from lmcompare.evaluation.harness import Harness
from lmcompare.language_model import LanguageModel
from lmcompare.models.network import build_network
from lmcompare.objectives import OBJECTIVES
from lmcompare.tasks.question_answering import (
    QuestionAnswering,
    _nearest_sentence,
    _random_span,
    _words,
)


@dataclass(frozen=True)
class Toy:
    """Who played in a film: the two words before 'played'. Every fifth question has no answer, if
    asked.
    """

    kind: ClassVar[str] = "toy"
    size: int = 60
    unanswered: bool = False

    def rows(self):
        rng = np.random.default_rng(0)
        for i in range(self.size):
            name = " ".join(rng.choice(["Ann", "Bo", "Cy", "Di"], 2))
            before, after = (
                " ".join(rng.choice(["long", "short", "dull", "good"], 3)) for _ in range(2)
            )
            context = f"A {before} film.  {name} played it well. The {after} story of {i}."
            none = self.unanswered and i % 5 == 0
            yield {
                "context": context,
                "question": f"Who played the film {i}?",
                "answers": [] if none else [name],
                "starts": [] if none else [context.index(name)],
                "document": str(i // 3),
            }

    def fingerprint(self):
        return "toy"


class Perfect(Harness):
    def finetune_head(self, head, parts, adaptation, score, *, by, **options):
        self.parts, self.options = parts, {"head": head, **options}
        found = {
            name: [np.array([*wanted, 1.0 if wanted[0] >= 0 else -1.0]) for wanted in part.targets]
            for name, part in parts.items()
        }
        return SimpleNamespace(
            predictions=found["test"],
            score=score(found["validation"]),
            trials=[{}],
            chosen={},
            seconds=2.0,
            trained_weights=3,
        )


def make_harness(cls, tokenizer, model=None, context=128):
    return cls(SimpleNamespace(tokenizer=tokenizer), model, 1, context, 0, lambda event: None)


def whole(outcomes, model="", split="test"):
    return {
        o.metric + (f"/{o.part}" if o.part else ""): o.value
        for o in outcomes
        if not o.item and o.model == model and o.split == split
    }


@pytest.mark.parametrize("unanswered", [False, True])
@pytest.mark.parametrize("context", [128, 40])
def test_a_perfect_answerer_scores_the_maximum_also_in_windows(tokenizer, context, unanswered):
    one = make_harness(Perfect, tokenizer, context=context)
    task = QuestionAnswering(Toy(unanswered=unanswered))
    found = task.measure(one)
    assert whole(found.outcomes) == {"f1": 1.0, "exact_match": 1.0}
    assert whole(found.outcomes, split="validation") == {"f1": 1.0}
    assert one.options == {"head": "span", "longest": 30}
    assert (found.notes.details["windows"]["test"] > len(task.data().test)) == (context == 40)
    assert found.notes.truncated == found.notes.details["answers_in_no_window"] == 0
    assert len(found.samples) == 3
    assert {o.metric for o in found.outcomes if o.item} == {"overlap", "exact"}


def test_no_document_is_in_two_splits():
    data = QuestionAnswering(Toy()).data()
    documents = [
        {int(entry.id) // 3 for entry in part} for part in (data.train, data.validation, data.test)
    ]
    assert sum(map(len, documents)) == len(set.union(*documents)) == 20


def test_controls_score_their_chance_level(tokenizer):
    outcomes = QuestionAnswering(Toy(size=240)).control(make_harness(Harness, tokenizer)).outcomes
    assert {o.model for o in outcomes} == {"random span", "sentence nearest to the question"}
    assert whole(outcomes, "random span")["exact_match"] < 0.3
    assert 0 < whole(outcomes, "random span")["f1"] < 0.4
    # 'Ann Bo played it well': two words of five, without a word that is wrong.
    assert whole(outcomes, "sentence nearest to the question")["exact_match"] == 0
    for arm in ("random span", "sentence nearest to the question"):
        values = [o.value for o in outcomes if o.metric == "overlap" and o.model == arm]
        assert np.mean(values) == pytest.approx(whole(outcomes, arm)["f1"])


def test_the_sentence_that_shares_most_words_and_a_random_span():
    fields = {"context": "他住在北京。 河很长！ The end.", "question": "河多长?"}
    assert _nearest_sentence(fields) == "河很长！"
    assert _nearest_sentence({"context": "", "question": "what?"}) == ""
    rng = np.random.default_rng(0)
    spans = {_random_span("one two three", [2], rng) for _ in range(40)}
    assert spans == {"one two", "two three"}
    assert _random_span("one", [7], rng) == "one"
    assert [word[0] for word in _words("a 北京, bc")] == ["a", "北", "京", "bc"]


def test_an_answer_that_does_not_stand_where_it_should_is_said():
    @dataclass(frozen=True)
    class Shifted(Toy):
        def rows(self):
            yield from (row | {"starts": [row["starts"][0] + 1]} for row in super().rows())

    with pytest.raises(InputError, match="of the context, got"):
        QuestionAnswering(Shifted()).data()

    @dataclass(frozen=True)
    class Fewer(Toy):
        def rows(self):
            yield from (row | {"starts": []} for row in super().rows())

    with pytest.raises(InputError, match="as many starts as answers"):
        QuestionAnswering(Fewer()).data()


def test_describes_itself_in_one_line():
    said = "answers as spans of a passage (toy), by a span head (finetune)"
    assert QuestionAnswering(Toy()).describe() == said


@pytest.mark.parametrize("kind", ["causal", "masked", "seq2seq"])
def test_each_objective_answers_and_test_items_decide_nothing(kind, tokenizer, small):
    objective = OBJECTIVES[kind]()
    model = LanguageModel(
        build_network(small, objective.role, tokenizer.special, 1), tokenizer, objective
    )
    adaptation = AdaptationSettings(learning_rates=(1e-3,), epochs=1, batch_size=8)
    found = []
    for changed in (False, True):
        task = QuestionAnswering(Toy(size=40), adaptation=adaptation)
        data = task.data()
        for entry in data.test if changed else ():
            entry.fields.update(
                {"context": "Nothing of the kind is here.", "answers": ["here"], "starts": [23]}
            )
        object.__setattr__(task, "data", lambda data=data: data)
        found.append(task.measure(make_harness(Harness, tokenizer, model, context=64)))
    assert found[0].notes.trials.tried == found[1].notes.trials.tried
    assert whole(found[0].outcomes, split="validation") == whole(
        found[1].outcomes, split="validation"
    )
    assert {trial["learning_rate"] for trial in found[0].notes.trials.tried} == {1e-3}
