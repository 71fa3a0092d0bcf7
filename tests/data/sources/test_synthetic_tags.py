"""Sentences whose tags are a function of one neighbor, and of nothing else."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from lmcompare.core.errors import InputError
from lmcompare.core.settings import AdaptationSettings
from lmcompare.data.sources.synthetic_tags import CLASSES, EDGE, SyntheticTags
from lmcompare.evaluation.harness import Harness
from lmcompare.experiments.experiment import parse
from lmcompare.language_model import LanguageModel
from lmcompare.models.network import build_network
from lmcompare.objectives import OBJECTIVES
from lmcompare.tasks.tagging import Tagging


def make_harness(cls, tokenizer, model=None):
    return cls(SimpleNamespace(tokenizer=tokenizer), model, 1, 64, 0, lambda event: None)


def accuracy(result, model=""):
    (value,) = (
        o.value
        for o in result.outcomes
        if (o.metric, o.split, o.model, o.part) == ("accuracy", "test", model, "")
    )
    return value


@pytest.mark.parametrize("distance", [1, 2, 11])
@pytest.mark.parametrize("side", ["left", "right", "both"])
def test_the_tag_is_a_function_of_the_neighbour_only(side, distance):
    source = SyntheticTags(side, distance, items=300, words=40)
    classes = source.classes()
    for row in source.rows():
        tokens = row["tokens"]
        for i, tag in enumerate(row["tags"]):
            left = classes[tokens[i - distance]] if i >= distance else EDGE
            right = classes[tokens[i + distance]] if i + distance < len(tokens) else EDGE
            assert tag == {"left": left, "right": right, "both": f"{left}+{right}"}[side]


def test_left_and_right_are_mirror_images():
    left, right, both = (
        list(SyntheticTags(side, 2, items=50).rows()) for side in ("left", "right", "both")
    )
    source = SyntheticTags("right", 2)
    for of_left, of_right, of_both in zip(left, right, both, strict=True):
        assert of_left["tokens"] == of_right["tokens"] == of_both["tokens"]
        assert of_left["tags"] == source.tags(of_right["tokens"][::-1], source.classes())[::-1]
        assert of_both["tags"] == [
            f"{a}+{b}" for a, b in zip(of_left["tags"], of_right["tags"], strict=True)
        ]


def test_words_are_different_frequent_and_evenly_classed_and_all_is_drawn_with_the_seed():
    source = SyntheticTags(items=3000)
    assert Counter(source.classes().values()) == dict.fromkeys(CLASSES, 50)
    counts = Counter(word for row in source.rows() for word in row["tokens"])
    assert len(counts) == 200 and min(counts.values()) > 100
    assert {len(word) for word in counts} == {4}
    assert all(
        " ".join(row["tokens"]) == row["text"] and len(row["tokens"]) == 12 for row in source.rows()
    )
    assert list(source.rows()) == list(SyntheticTags(items=3000).rows())
    other = SyntheticTags(items=3000, seed=1)
    assert next(other.rows()) != next(source.rows())
    assert (
        len(
            {
                source.fingerprint(),
                other.fingerprint(),
                SyntheticTags("left", items=3000).fingerprint(),
            }
        )
        == 3
    )
    assert len(SyntheticTags(words=4900).classes()) == 4900


def test_a_neighbour_beyond_the_sentence_is_refused():
    with pytest.raises(InputError, match=r"distance: wanted less than length \(12\), got 12"):
        SyntheticTags(distance=12)
    task = {
        "kind": "tagging",
        "scheme": "words",
        "source": {"kind": "synthetic_tags", "distance": 3, "length": 3},
    }
    with pytest.raises(InputError) as caught:
        parse(
            {
                "name": "a",
                "corpus": {"source": "synthetic_tags"},
                "models": {"c": "causal"},
                "tasks": {"t": task},
            }
        )
    assert "tasks.t.source.distance: wanted less than length (3), got 3" in caught.value.problems


def test_a_perfect_answerer_scores_the_maximum_and_the_word_alone_says_nothing(tokenizer):
    class Perfect(Harness):
        def finetune_head(self, head, parts, adaptation, score, *, by, outputs):
            result = {
                name: [np.eye(outputs)[expected] for expected in part.targets]
                for name, part in parts.items()
            }
            return SimpleNamespace(
                predictions=result["test"],
                score=score(result["validation"]),
                trials=[{}],
                chosen={},
                seconds=2.0,
                trained_weights=3,
            )

    for side in ("left", "right"):
        task = Tagging(SyntheticTags(side), scheme="words")
        assert accuracy(task.measure(make_harness(Perfect, tokenizer))) == 1
        # One of four classes, where there is a neighbour: 11 words of 12.
        control = task.control(make_harness(Harness, tokenizer))
        assert accuracy(control, "most frequent tag of each word") == pytest.approx(
            11 / 12 / 4, abs=0.03
        )


@pytest.mark.parametrize("kind", ["causal", "masked", "seq2seq"])
def test_the_mask_decides_which_side_is_learnt_and_not_the_objective(kind, tokenizer, small):
    """From random weights: attention to the right side solves it, without it chance is the best."""
    objective = OBJECTIVES[kind]()
    result = {}
    for attention in ("bidirectional", "causal"):
        adaptation = AdaptationSettings(
            learning_rates=(1e-2,), epochs=4, batch_size=16, pooling=("mean",), attention=attention
        )
        for side in ("left", "right"):
            model = LanguageModel(
                build_network(small, objective.role, tokenizer.special, 1), tokenizer, objective
            )
            task = Tagging(
                SyntheticTags(side, items=300, words=8, length=5),
                scheme="words",
                test=0.3,
                adaptation=adaptation,
            )
            result[attention, side] = accuracy(
                task.measure(make_harness(Harness, tokenizer, model))
            )
    chance = 1 / 5 + 4 / 5 / 4  # the last word's tag is known, of the others one of four
    blind = result.pop(("causal", "right"))
    assert blind < chance + 0.15 < 0.85 < min(result.values()), (blind, result)
