"""Tasks learnt through templates, and tasks that are only tested."""

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import yaml

from lmcompare.core.errors import InputError
from lmcompare.core.settings import AdaptationSettings
from lmcompare.data.deduplication import duplicate_key
from lmcompare.execution.plan import plan
from lmcompare.experiments.experiment import parse
from lmcompare.tasks._instruction_mixture import InstructionTask
from lmcompare.tasks.instruction_following import InstructionFollowing
from tests.tasks.echo import Echo


@dataclass(frozen=True)
class Toy:
    """Numbers; the answer is what is made of each."""

    kind: ClassVar[str] = "toy"
    make: object = str
    first: int = 100
    size: int = 40

    def rows(self):
        for i in range(self.first, self.first + self.size):
            yield {"prompt": f"n{i}", "answer": self.make(i)}

    def fingerprint(self):
        return f"toy {self.first} {self.size} {id(self.make)}"


def half(i):
    return str(i % 2)


def double(i):
    return f"double {2 * i}"


ODD = InstructionTask(
    Toy(half), verbalizer={"0": "even", "1": "odd"}, template="Is {prompt} odd?\n"
)
TWICE = InstructionTask(Toy(double, 200), template="Twice {prompt}?\n")
BIG = InstructionTask(
    Toy(lambda i: "yes" if i % 4 else "no", 300, 20), template="Is {prompt} big?\n"
)


class FakeHarness(Echo):
    """Keeps the pairs as texts; no answer has an end."""

    ends = 0

    def generate_answers(self, pairs, **settings):
        done = super().generate_answers(pairs, **settings)
        self.pairs = {
            split: [tuple(self.decode(pair)) for pair in part] for split, part in pairs.items()
        }
        return done


def task(**more):
    return InstructionFollowing(
        **{"tuned": {"odd": ODD, "twice": TWICE}, "unseen": {"big": BIG}, **more}
    )


def whole(outcomes, model=""):
    return {
        o.metric + (f"/{o.part}" if o.part else ""): o.value
        for o in outcomes
        if not o.item and o.model == model and o.split == "test"
    }


@pytest.mark.parametrize("metric", ["exact_match", "chrf"])
def test_a_perfect_answerer_scores_the_maximum(metric):
    one = task(metric=metric)
    found = one.measure(FakeHarness())
    values = whole(found.outcomes)
    assert {values["exact_match"], values["exact_match_tuned"]} == {1}
    assert values["chrf"] == values["chrf_tuned"] == pytest.approx(100)
    for name in ("odd", "twice", "big"):
        assert values[f"{metric}/task/{name}"] == values[metric]
    assert values["bits_per_byte"] == pytest.approx(1)
    assert one.primary_metric == metric
    for name, number in ((metric, 20), (f"{metric}_tuned", 8)):
        items = [o.value for o in found.outcomes if o.metric == name and o.item]
        assert len(items) == number and np.mean(items) == pytest.approx(values[name])
        assert one.per_item[name] == (name, "")
    assert {sample["item"].partition("/")[0] for sample in found.samples} == {"big"}
    assert found.notes.counts["test_items"] == 28


def test_a_constant_is_at_chance_and_so_are_the_controls():
    values = whole(task().measure(FakeHarness(lambda text: "yes")).outcomes)
    assert (values["exact_match"], values["exact_match_tuned"]) == (0.75, 0)
    outcomes = task().control(FakeHarness()).outcomes
    told = whole(outcomes, "most frequent answer of each task, told")
    assert told["exact_match"] == told["exact_match/task/big"] == 0.75
    usual = whole(outcomes, "most frequent answer of the tuned tasks")
    assert usual["exact_match"] == usual["exact_match/task/twice"] == 0
    assert 0 < usual["exact_match/task/odd"] < 1
    assert whole(outcomes, "answer of the nearest tuned prompt")["exact_match"] == 0


def test_the_networks_read_templates_and_answer_in_words():
    harness = FakeHarness()
    found = task().measure(harness)
    assert {answer for prompt, answer in harness.pairs["train"] if "odd" in prompt} == {
        "even",
        "odd",
    }
    assert all(prompt.endswith("?\n") for part in harness.pairs.values() for prompt, _ in part)
    assert not any(
        "big" in prompt for split in ("train", "validation") for prompt, _ in harness.pairs[split]
    )
    assert sum("big" in prompt for prompt, _ in harness.pairs["test"]) == 20
    assert found.notes.procedure.startswith("tuned on 64 items of 2 tasks; prompts of at most ")


def test_nothing_that_is_tested_is_learnt_from():
    """An unseen task asks other things of prompts that a tuned one has; and test answers decide
    nothing.
    """
    again = InstructionTask(Toy(double, 100), template="Double {prompt}!\n", items=10)
    one = task(unseen={"again": again})
    data = one.data()
    tested = {duplicate_key(asked.prompt) for asked in data.test}
    assert not tested & {
        duplicate_key(asked.prompt) for part in (data.train, data.validation) for asked in part
    }
    assert data.counts["held_out"] > 0
    assert data.counts["train_items"] == len(data.train)
    harness, other = FakeHarness(), FakeHarness()
    one.measure(harness)
    task(unseen={"again": replace(again, source=Toy(str, 100))}).measure(other)
    assert [
        harness.pairs[split] == other.pairs[split] for split in ("train", "validation", "test")
    ] == [True, True, False]
    with pytest.raises(
        InputError, match="tuned: wanted items for train whose prompts no task tests, got none"
    ):
        task(tuned={"odd": ODD}, unseen={"again": replace(again, items=None)}).data()


def test_chinese_line_ends_and_empty_answers():
    def chinese(i):
        return ["", "", "好的"][i % 3] if i % 2 else [" ", "不行\r\n啊"]

    harness = FakeHarness()
    unseen = InstructionTask(Toy(chinese), template="问：{prompt}\r\n答：")
    found = task(tuned={"twice": TWICE}, unseen={"问题": unseen}, metric="chrf").measure(harness)
    values = whole(found.outcomes)
    assert (values["exact_match"], values["chrf/task/问题"]) == (1, pytest.approx(100))
    assert {real for prompt, real in harness.pairs["test"] if "问" in prompt} == {
        "好的",
        "不行\r\n啊",
    }
    assert found.notes.counts["empty"] == 14 - 1
    assert len([o for o in found.outcomes if o.metric == "chrf" and o.item]) == 27


def test_prompts_beyond_the_context_are_cut_and_counted():
    harness = FakeHarness()
    harness.context = 26
    found = task(tuned={"odd": ODD}).measure(harness)
    assert found.notes.details["length"] == 5
    assert found.notes.details["prompts_cut"]["test"] == 0
    harness.context = 19
    found = task(tuned={"odd": ODD}).measure(harness)
    assert found.notes.truncated == found.notes.counts["train_items"] + 4 + 4 + 20
    assert all(len(prompt) <= 19 - 2 - 5 for part in harness.pairs.values() for prompt, _ in part)


def test_settings_that_cannot_be():
    for more, message in (
        ({"unseen": {"odd": ODD}}, "unseen.odd: wanted a task that is not tuned on"),
        ({"unseen": {"a/b": BIG}}, "wanted names without '/', got 'a/b'"),
    ):
        with pytest.raises(InputError, match=message):
            task(**more)
    with pytest.raises(InputError, match=r"template: wanted \{prompt\} in it"):
        InstructionTask(Toy(), template="no")
    with pytest.raises(InputError, match="template: wanted none that tells the answer"):
        InstructionTask(Toy(), template="{prompt}{answer}")
    with pytest.raises(InputError, match="verbalizer.a: wanted a word, got ' '"):
        InstructionTask(Toy(), verbalizer={"a": " "})
    with pytest.raises(InputError, match=r"tuned\.odd\.verbalizer\.2: no such label; known: 0, 1"):
        task(tuned={"odd": replace(ODD, verbalizer={"2": "two"})}).data()


def test_yaml_becomes_the_task_and_back_and_mistakes_have_their_path(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\r\nfine,1\r\nbad,0\r\n")
    (tmp_path / "b.csv").write_text("question,answer\nwho,me\n")
    source = {"kind": "csv", "path": str(tmp_path / "a.csv")}
    labels = {
        "source": source,
        "prompt": "text",
        "answer": "label",
        "verbalizer": {"1": "good"},
        "template": "{text}?",
    }
    replies = {"source": {"kind": "csv", "path": str(tmp_path / "b.csv")}, "prompt": "question"}
    given = {
        "kind": "instruction_following",
        "tuned": {"labels": labels},
        "unseen": {"replies": replies},
    }

    def experiment(given):
        arms = {"c": {"objective": "causal"}}
        return parse(
            {"name": "a", "corpus": {"source": source}, "models": arms, "tasks": {"follow": given}}
        )

    one = experiment(given)
    assert one.tasks["follow"].unseen["replies"].source.kind == "csv"
    assert parse(yaml.safe_load(one.dump())) == one
    key = {cell.name: cell.key for cell in plan(one)}["follow/control"]
    (tmp_path / "b.csv").write_text("question,answer\nwho,you\n")
    assert {cell.name: cell.key for cell in plan(one)}["follow/control"] != key

    wrong = {
        **given,
        "unseen": {"replies": {**replies, "promt": "a", "template": "no"}, "none": {"prompt": "a"}},
    }
    wrong["tuned"] = {"labels": {**labels, "source": "cvs"}}
    with pytest.raises(InputError) as caught:
        experiment(wrong)
    said = "\n".join(caught.value.problems)
    assert "tasks.follow.tuned.labels.source: no source 'cvs'; did you mean 'csv'?" in said
    assert "tasks.follow.unseen.replies.promt: no such key; did you mean 'prompt'?" in said
    assert "tasks.follow.unseen.none.source: missing" in said
    assert len(caught.value.problems) == 3
    with pytest.raises(
        InputError, match=r"^tasks.follow.tuned.labels.template: wanted \{prompt\} in it, got 'no'$"
    ):
        experiment({**given, "tuned": {"labels": {**labels, "template": "no"}}})

    wrong = {**given, "unseen": {"replies": {**replies, "prompt": "qestion"}}}
    wrong["tuned"] = {"labels": {**labels, "verbalizer": {"01": "good"}}}
    with pytest.raises(InputError) as caught:
        plan(experiment(wrong))
    assert caught.value.problems == [
        "tasks.follow.tuned.labels.verbalizer.01: no such label in column 'label'; did you mean '1'?",
        "tasks.follow.unseen.replies.prompt: the source has no column 'qestion'; did you mean 'question'?",
    ]
    (tmp_path / "b.csv").unlink()
    with pytest.raises(InputError, match=r"tasks\.follow\.unseen\.replies\.source: .*b\.csv"):
        plan(experiment(given))


def test_describes_itself_in_one_line():
    assert task(
        tuned={"twice": replace(TWICE, source=Toy())}, unseen={"big": replace(BIG, source=Toy())}
    ).describe() == (
        "unseen tasks, zero-shot: big (toy); after fine-tuning on twice (toy) (3 epochs at most)"
    )


@pytest.mark.parametrize("kind", ["causal", "masked", "seq2seq"])
def test_each_objective_learns_the_tuned_tasks_and_answers_the_unseen_one(kind, tokenizer, small):
    from lmcompare.evaluation.harness import Harness
    from lmcompare.language_model import FACES
    from lmcompare.models.network import build_network
    from lmcompare.objectives import OBJECTIVES

    films = InstructionTask(Toy(lambda i: "good", size=60), template="The film {prompt}: ")
    story = InstructionTask(Toy(lambda i: "bad", 400, 60), template="The story {prompt}: ")
    unseen = InstructionTask(Toy(lambda i: "dull", 700, 10), template="The actor {prompt}: ")
    objective = OBJECTIVES[kind]()
    network = build_network(small, objective.role, tokenizer.special, 1)
    model = FACES[objective.role](network, tokenizer, objective)
    adaptation = AdaptationSettings(learning_rates=(1e-2,), epochs=8, batch_size=8)
    one = InstructionFollowing(
        {"films": films, "story": story}, {"actor": unseen}, adaptation=adaptation
    )
    found = one.measure(
        Harness(SimpleNamespace(tokenizer=tokenizer), model, 1, 64, 0, lambda event: None)
    )
    values = whole(found.outcomes)
    assert values["exact_match_tuned"] > 0.8
    assert values["exact_match"] == values["exact_match/task/actor"] == 0
