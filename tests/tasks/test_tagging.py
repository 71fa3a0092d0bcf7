from dataclasses import dataclass
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from lmcompare.core.errors import InputError
from lmcompare.core.settings import AdaptationSettings
from lmcompare.data.sources.conll import Conll
from lmcompare.evaluation.harness import Harness
from lmcompare.language_model import LanguageModel
from lmcompare.models.network import build_network
from lmcompare.objectives import OBJECTIVES
from lmcompare.tasks.tagging import Tagging


@dataclass(frozen=True)
class Toy:
    """Names after 'the' are persons, of one word or two; the last sentences have a tag of their own
    if asked.
    """

    kind: ClassVar[str] = "toy"
    size: int = 60
    tag: str = "B-PER"

    def rows(self):
        rng = np.random.default_rng(0)
        for i in range(self.size):
            words = [
                str(i),
                *rng.choice(["film", "story", "actor", "long"], rng.integers(2, 6)).tolist(),
            ]
            tags = ["O"] * len(words)
            words[1:1], tags[1:1] = (
                (["who", "played"], ["B-PER", "I-PER"]) if i % 2 else (["heart"], [self.tag])
            )
            yield {"tokens": words, "tags": tags, "document": str(i)}

    def fingerprint(self):
        return "toy"


class Perfect(Harness):
    def finetune_head(self, head, parts, adaptation, score, *, by, **options):
        self.parts, self.options = parts, {"head": head, **options}
        eye = np.eye(options["outputs"] + 1)
        found = {
            name: [eye[wanted][:, :-1] for wanted in part.targets] for name, part in parts.items()
        }
        return SimpleNamespace(
            predictions=found["test"],
            score=score(found["validation"]),
            trials=[{}],
            chosen={},
            seconds=2.0,
            trained_weights=3,
        )


def make_harness(cls, tokenizer, model=None, context=64):
    return cls(SimpleNamespace(tokenizer=tokenizer), model, 1, context, 0, lambda event: None)


def whole(outcomes, model="", split="test"):
    return {
        o.metric + (f"/{o.part}" if o.part else ""): o.value
        for o in outcomes
        if not o.item and o.model == model and o.split == split
    }


def ratio(outcomes, task, metric, model=""):
    above, below = task.per_item[metric]
    sums = {
        name: sum(o.value for o in outcomes if o.item and o.metric == name and o.model == model)
        for name in (above, below)
    }
    return sums[above] / sums[below]


def test_a_perfect_answerer_scores_the_maximum_also_in_pieces(tokenizer):
    for context in (64, 10):
        one = make_harness(Perfect, tokenizer, context=context)
        found = Tagging(Toy()).measure(one)
        assert set(whole(found.outcomes).values()) == {1.0}
        assert whole(found.outcomes, split="validation") == {"f1": 1.0}
        assert (found.notes.details["items_in_several_rows"] > 0) == (context == 10)
        assert one.options == {"head": "words", "outputs": 3}
        assert len({o.item for o in found.outcomes if o.item}) == 6
    assert found.notes.truncated == 0
    assert found.costs == {"seconds": 2.0, "weights_trained": 3.0}


def test_the_metrics_are_ratios_of_the_sums_over_items(tokenizer):
    task = Tagging(Toy(tag="O"))
    outcomes = task.control(make_harness(Harness, tokenizer)).outcomes
    arm = "most frequent tag of each word"
    for metric in ("f1", "accuracy"):
        assert ratio(outcomes, task, metric, arm) == pytest.approx(whole(outcomes, arm)[metric])


def test_controls_score_their_chance_level(tokenizer):
    task = Tagging(Toy())
    outcomes = task.control(make_harness(Harness, tokenizer)).outcomes
    assert {o.model for o in outcomes} == {"most frequent tag of each word", "tag O throughout"}
    constant = whole(outcomes, "tag O throughout")
    tags = [tag for entry in task.data().test for tag in entry.fields["tags"]]
    assert constant["f1"] == constant["recall"] == constant["f1/entity/PER"] == 0
    assert constant["accuracy"] == pytest.approx(tags.count("O") / len(tags))
    assert whole(outcomes, "most frequent tag of each word")["f1"] == 1  # no word has two tags here


def test_words_are_scored_by_accuracy(tokenizer):
    task = Tagging(Toy(), scheme="words")
    assert (task.primary_metric, Tagging(Toy()).primary_metric) == ("accuracy", "f1")
    found = task.measure(make_harness(Perfect, tokenizer))
    assert whole(found.outcomes) == dict.fromkeys(
        ("accuracy", *(f"accuracy/tag/{t}" for t in "O B-PER I-PER".split())), 1.0
    )
    controls = task.control(make_harness(Harness, tokenizer)).outcomes
    assert {o.model for o in controls} == {"most frequent tag of each word", "tag O throughout"}
    constant = whole(controls, "tag O throughout")
    assert [constant[f"accuracy/tag/{tag}"] for tag in ("O", "B-PER", "I-PER")] == [1, 0, 0]


def test_a_tag_that_no_training_item_has_is_an_error_and_counted(tokenizer):
    tested = {entry.id for entry in Tagging(Toy()).data().test}

    @dataclass(frozen=True)
    class Late(Toy):
        def rows(self):
            for i, row in enumerate(super().rows()):
                late = str(i) in tested
                yield row | {
                    "tags": ["B-NEW" if late and tag == "B-PER" else tag for tag in row["tags"]]
                }

    task = Tagging(Late())
    found = task.measure(make_harness(Perfect, tokenizer))
    assert (
        found.notes.details["unseen_tags"] == {"B-NEW": 6}
        and found.notes.details["test_words_of_unseen_tags"] == 6
    )
    assert found.notes.details["labels"] == ["B-PER", "I-PER", "O"]
    assert whole(found.outcomes)["f1"] == 0
    assert 0 < whole(found.outcomes)["accuracy"] < 1


def test_what_is_not_tagged_right_is_said(tokenizer):
    @dataclass(frozen=True)
    class Short(Toy):
        def rows(self):
            yield from ({"tokens": ["a", str(i)], "tags": ["O"]} for i in range(20))

    with pytest.raises(InputError, match="as many tags as words"):
        Tagging(Short()).data()

    @dataclass(frozen=True)
    class Nouns(Toy):
        def rows(self):
            yield from ({"tokens": ["a", str(i)], "tags": ["DT", "CD"]} for i in range(20))

    with pytest.raises(InputError, match=r"wanted `scheme: words`"):
        Tagging(Nouns()).data()
    assert Tagging(Nouns(), scheme="words").data().test


def test_describes_itself_in_one_line():
    assert Tagging(Toy()).describe() == (
        "the entities of each text (toy), by a head on the states of its words (finetune)"
    )
    assert "(toy size=9)" in Tagging(Toy(9)).describe()
    assert (
        "(conll path=a.conll, b.conll joined='')"
        in Tagging(Conll(("/x/a.conll", "b.conll"), joined="")).describe()
    )


@pytest.mark.parametrize("kind", ["causal", "masked", "seq2seq"])
def test_each_objective_tags_and_test_items_decide_nothing(kind, tokenizer, small):
    objective = OBJECTIVES[kind]()
    model = LanguageModel(
        build_network(small, objective.role, tokenizer.special, 1), tokenizer, objective
    )
    adaptation = AdaptationSettings(learning_rates=(1e-2,), epochs=6, batch_size=8)
    found = []
    for tag in ("B-PER", "O"):
        task = Tagging(Toy(), adaptation=adaptation)
        data = task.data()
        for entry in data.test if tag == "O" else ():
            entry.fields["tags"] = ["O"] * len(entry.fields["tags"])
            entry.fields["tokens"] = entry.fields["tokens"][::-1]
        object.__setattr__(task, "data", lambda data=data: data)
        found.append(task.measure(make_harness(Harness, tokenizer, model)))
    assert found[0].notes.trials.tried == found[1].notes.trials.tried
    assert whole(found[0].outcomes, split="validation") == whole(
        found[1].outcomes, split="validation"
    )
    assert whole(found[0].outcomes)["f1"] > 0.8 > whole(found[1].outcomes)["f1"]
