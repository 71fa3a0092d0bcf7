from dataclasses import dataclass
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from scipy.stats import spearmanr

from lmcompare.core.errors import InputError
from lmcompare.core.settings import AdaptationSettings
from lmcompare.evaluation.harness import Harness
from lmcompare.language_model import LanguageModel
from lmcompare.models.network import build_network
from lmcompare.objectives import OBJECTIVES
from lmcompare.tasks.similarity import Similarity, cosine, jackknife

WORDS = "the film was a good bad dull long short story with an actor who played it well".split()


@dataclass(frozen=True)
class Toy:
    """Pairs of texts of eight words; the score is how many of them are the same."""

    kind: ClassVar[str] = "toy"
    size: int = 120

    def rows(self):
        rng = np.random.default_rng(0)
        for i in range(self.size):
            one = rng.choice(WORDS, 8)
            shared = int(rng.integers(0, 9))
            two = np.array(
                [word if k < shared else str(rng.integers(100)) for k, word in enumerate(one)]
            )
            yield {
                "first": " ".join(one),
                "second": " ".join(two),
                "score": f"{shared / 2:.1f}",
                "row": i,
            }

    def fingerprint(self):
        return "toy"


class Perfect(Harness):
    def finetune_head(self, head, parts, adaptation, score, *, by, **options):
        self.parts, self.head = parts, head
        found = {
            name: [np.array([wanted]) for wanted in part.targets] for name, part in parts.items()
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


def items(outcomes, model=""):
    return [o.value for o in outcomes if o.item and o.model == model]


def test_a_perfect_answerer_scores_the_maximum(tokenizer):
    one = make_harness(Perfect, tokenizer)
    found = Similarity(Toy(), protocol="finetune").measure(one)
    assert whole(found.outcomes) == {"spearman": pytest.approx(1), "pearson": pytest.approx(1)}
    assert whole(found.outcomes, split="validation") == {"spearman": pytest.approx(1)}
    assert items(found.outcomes) == pytest.approx([1.0] * 12)
    assert one.head == "pair"
    wanted = one.parts["train"].targets
    assert (np.mean(wanted), np.std(wanted)) == (pytest.approx(0), pytest.approx(1))


def test_controls_by_shared_words_and_by_length(tokenizer):
    outcomes = Similarity(Toy()).control(make_harness(Harness, tokenizer)).outcomes
    assert {o.model for o in outcomes} == {"TF-IDF cosine", "difference in length"}
    assert whole(outcomes, "TF-IDF cosine")["spearman"] > 0.8
    for arm in ("TF-IDF cosine", "difference in length"):
        assert np.mean(items(outcomes, arm)) == pytest.approx(whole(outcomes, arm)["spearman"])


def test_an_answer_that_is_always_the_same_scores_nothing():
    wanted = np.array([1.0, 2.0, 2.0, 4.0, 5.0])
    assert jackknife(np.ones(5), wanted).tolist() == [0.0] * 5


def test_the_mean_of_what_items_add_is_spearmans_correlation():
    rng = np.random.default_rng(0)
    said, wanted = rng.normal(size=40).round(1), rng.normal(size=40).round(1)
    r = spearmanr(said, wanted).statistic
    found = jackknife(said, wanted)
    assert found.mean() == pytest.approx(r)
    without = spearmanr(np.delete(said, 3), np.delete(wanted, 3)).statistic
    every = [spearmanr(np.delete(said, i), np.delete(wanted, i)).statistic for i in range(40)]
    assert found[3] == pytest.approx(r + 39 * (np.mean(every) - without))
    assert jackknife(np.array([1.0, 2, 3, 4]), np.array([1.0, 2, 4, 3])).round(3).tolist() == [
        1.55,
        1.55,
        0.05,
        0.05,
    ]


def test_cosine_by_hand():
    found = cosine(
        np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]),
        np.array([[2.0, 0.0], [1.0, 0.0], [1.0, 1.0]]),
    )
    assert found.tolist() == pytest.approx([1.0, 0.5**0.5, 0.0])


def test_a_score_that_is_no_number_is_said():
    @dataclass(frozen=True)
    class Bad(Toy):
        def rows(self):
            yield from (
                row | {"score": "high" if row["row"] == 7 else row["score"]}
                for row in super().rows()
            )

    with pytest.raises(InputError, match="wanted a number in column 'score', got 'high'"):
        Similarity(Bad()).data()

    @dataclass(frozen=True)
    class Same(Toy):
        def rows(self):
            yield from (row | {"score": 3} for row in super().rows())

    with pytest.raises(InputError, match="wanted different scores in the train split"):
        Similarity(Same()).data()


def test_text_beyond_the_context_is_cut_and_counted(tokenizer):
    one = make_harness(Perfect, tokenizer, context=6)
    assert Similarity(Toy(), protocol="finetune").measure(one).notes.truncated == 240
    assert all(len(row) == 4 for pair in one.parts["train"].rows for row in pair)


def test_describes_itself_in_one_line():
    assert Similarity(Toy()).describe() == "how alike two texts are (toy), by cosine of embeddings"


@pytest.mark.parametrize("protocol", ["zero_shot", "finetune"])
@pytest.mark.parametrize("kind", ["causal", "masked", "seq2seq"])
def test_each_objective_by_each_protocol_and_test_items_decide_nothing(
    kind, protocol, tokenizer, small
):
    objective = OBJECTIVES[kind]()
    model = LanguageModel(
        build_network(small, objective.role, tokenizer.special, 1), tokenizer, objective
    )
    adaptation = AdaptationSettings(learning_rates=(1e-3,), epochs=1, batch_size=16)
    found = []
    for changed in (False, True):
        task = Similarity(Toy(), protocol=protocol, adaptation=adaptation)
        data = task.data()
        for entry in data.test if changed else ():
            entry.fields.update(
                {"first": entry.fields["second"], "score": -float(entry.fields["score"])}
            )
        object.__setattr__(task, "data", lambda data=data: data)
        found.append(task.measure(make_harness(Harness, tokenizer, model)))
    assert found[0].notes.trials.tried == found[1].notes.trials.tried
    assert found[0].notes.trials.chosen == found[1].notes.trials.chosen
    assert len({trial["pooling"] for trial in found[0].notes.trials.tried}) == 3
    assert whole(found[0].outcomes, split="validation") == whole(
        found[1].outcomes, split="validation"
    )
    assert protocol == "finetune" or whole(found[0].outcomes)["spearman"] > 0.5
