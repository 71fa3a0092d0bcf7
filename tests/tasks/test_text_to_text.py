from dataclasses import dataclass
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from lmcompare.core.errors import InputError
from lmcompare.core.settings import AdaptationSettings
from lmcompare.tasks.text_to_text import TextToText
from tests.tasks.echo import Echo

NUMBERS = "zero one two three four five six seven eight nine".split()


@dataclass(frozen=True)
class Toy:
    """Each prompt is four numbers in digits, its answer the same in words."""

    kind: ClassVar[str] = "toy"
    size: int = 60
    several: bool = False

    def rows(self):
        for i in range(1000, 1000 + self.size):
            words = " ".join(NUMBERS[int(digit)] for digit in str(i))
            answer = [words, words.upper()] if self.several else words
            yield {
                "prompt": " ".join(str(i)),
                "answer": answer,
                "language": "en",
                "document": str(i // 10),
            }

    def fingerprint(self):
        return "toy"


def whole(outcomes, model=""):
    return {
        o.metric + (f"/{o.part}" if o.part else ""): o.value
        for o in outcomes
        if not o.item and o.model == model and o.split == "test"
    }


EVERY = ("chrf", "rouge", "exact_match", "squad_f1", "bleu", "ter")


@pytest.mark.parametrize("metric", ["chrf", "rouge", "exact_match", "squad_f1"])
def test_a_perfect_answerer_scores_the_maximum(metric):
    task = TextToText(Toy(), metric=metric, metrics=EVERY)
    found = task.measure(Echo())
    values = whole(found.outcomes)
    for name, most in {
        "chrf": 100,
        "bleu": 100,
        "ter": 0,
        "rougeL": 1,
        "exact_match": 1,
        "squad_f1": 1,
    }.items():
        assert values[name] == pytest.approx(most)
    items = [o.value for o in found.outcomes if o.metric == task.primary_metric and o.item]
    assert len(items) == found.notes.counts["test_items"] == 6
    assert np.mean(items) == values[task.primary_metric]
    assert task.per_item[task.primary_metric] == (task.primary_metric, "")
    assert set(found.notes.details["signatures"]) == {"chrf", "bleu", "ter"}


@pytest.mark.parametrize("says", [lambda text: "", lambda text: "???"], ids=["nothing", "nonsense"])
def test_no_answer_scores_the_minimum(says):
    values = whole(TextToText(Toy(), metrics=EVERY).measure(Echo(says)).outcomes)
    for name in ("chrf", "corpus_chrf", "rougeL", "exact_match", "squad_f1"):
        assert values[name] == 0
    assert values["bleu"] < 1
    assert values["ter"] > 99


def test_bits_of_the_real_answer_and_its_end():
    found = TextToText(Toy(), max_new_tokens=200).measure(Echo())
    bits = [o.value for o in found.outcomes if o.metric == "bits"]
    size = [o.value for o in found.outcomes if o.metric == "bytes"]
    assert [b - s for b, s in zip(bits, size, strict=True)] == pytest.approx([1] * 6)
    assert whole(found.outcomes)["bits_per_byte"] == pytest.approx(sum(bits) / sum(size))
    assert {o.exactness for o in found.outcomes if o.metric == "bits"} == {"exact"}
    assert found.costs == {"seconds": 2.0, "generation_seconds": 3.0}
    assert whole(found.outcomes)["calls_per_answer"] == 7


def test_controls_are_far_from_the_maximum_and_have_names_of_their_own():
    outcomes = TextToText(Toy(), metrics=EVERY).control(Echo()).outcomes
    arms = {
        "answer of the nearest prompt",
        "most frequent answer",
        "copy of the prompt",
        "lead of the prompt",
    }
    assert {o.model for o in outcomes} == arms
    for arm in arms:
        assert whole(outcomes, arm)["exact_match"] == 0
        assert whole(outcomes, arm)["chrf"] < 95
    assert (
        whole(outcomes, "answer of the nearest prompt")["chrf"]
        > whole(outcomes, "copy of the prompt")["chrf"]
    )


def test_a_copy_is_right_where_the_answer_is_the_prompt():
    @dataclass(frozen=True)
    class Same(Toy):
        def rows(self):
            for row in super().rows():
                yield row | {"prompt": row["answer"]}

    assert (
        whole(TextToText(Same()).control(Echo()).outcomes, "copy of the prompt")["exact_match"] == 1
    )


def test_the_template_is_what_the_network_reads():
    harness = Echo()
    TextToText(Toy(), template="{language}: {prompt} ->").measure(harness)
    prompt, answer = harness.pairs["train"][0]
    assert harness.decode([prompt])[0].startswith("en: 1 ")
    assert harness.decode([prompt])[0].endswith(" ->")
    assert harness.decode([answer])[0].startswith("one ")


def test_a_prompt_beyond_the_context_is_cut_and_counted_and_so_is_an_answer():
    harness = Echo()
    harness.context = 12
    found = TextToText(Toy(), template="{prompt}=").measure(harness)
    assert harness.length == 6  # half the context: the answers are longer
    assert all(len(prompt) == 4 for prompt, _ in harness.pairs["train"])
    assert all(harness.decode([prompt])[0].endswith("=") for prompt, _ in harness.pairs["train"])
    assert found.notes.truncated == 60
    assert found.notes.details["answers_cut"] == {"train": 48, "validation": 6, "test": 6}
    assert "prompts of at most 4 tokens (60 of 60 were cut)" in found.notes.procedure
    assert (
        "answers of at most 6 and their end among them (60 of 60 are longer"
        in found.notes.procedure
    )
    assert {o.value for o in found.outcomes if o.metric == "bytes"} == {6}


def test_no_prompt_is_in_two_splits_and_no_group_either():
    data = TextToText(Toy(), group="document", validation=0.2, test=0.2).data()
    tens = [
        {item.fields["prompt"][:5] for item in part}
        for part in (data.train, data.validation, data.test)
    ]
    assert not tens[0] & tens[1] | tens[0] & tens[2] | tens[1] & tens[2]


def test_any_of_several_answers_is_right_and_the_first_is_learnt():
    harness = Echo(lambda text: text.upper())
    values = whole(TextToText(Toy(several=True), metrics=EVERY).measure(harness).outcomes)
    assert values["chrf"] == pytest.approx(100)
    assert harness.decode([harness.pairs["train"][0][1]])[0].startswith("one ")


def test_samples_are_the_same_items_for_every_arm():
    first, second = (
        TextToText(Toy()).measure(Echo(says)).samples for says in (str.upper, str.title)
    )
    assert [s["item"] for s in first] == [s["item"] for s in second]
    assert len(first) == 3
    assert all(s["text"] == s["reference"].upper() for s in first)


def test_chinese_answers():
    @dataclass(frozen=True)
    class Chinese(Toy):
        def rows(self):
            for row in super().rows():
                yield row | {
                    "answer": "".join("零一二三四五六七八九"[int(d)] for d in row["prompt"].split())
                    + "好的"
                }

    task = TextToText(Chinese(), metric="rouge", metrics=EVERY, chinese=True)
    values = whole(task.measure(Echo()).outcomes)
    assert (values["rougeL"], values["ter"]) == (1, 0)
    assert values["bleu"] == pytest.approx(100)
    assert 0 < whole(task.measure(Echo(lambda text: text[:2])).outcomes)["rougeL"] < 1


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"template": "no"}, r"template: wanted \{prompt\} in it, got 'no'"),
        (
            {"template": "{prompt} {answer}"},
            r"template: wanted none that tells the answer, got \{answer\}",
        ),
        (
            {"adaptation": AdaptationSettings(attention="causal")},
            "adaptation.attention: wanted own or bidirectional",
        ),
    ],
)
def test_settings_that_cannot_be(more, message):
    with pytest.raises(InputError, match=message):
        TextToText(Toy(), **more)


def test_the_smallest_effect_is_a_point_of_the_metric():
    assert TextToText(Toy()).smallest_effect == 1
    assert TextToText(Toy(), metric="rouge").smallest_effect == 0.01
    assert TextToText(Toy(), smallest_effect=2.5).smallest_effect == 2.5


def test_describes_itself_in_one_line():
    assert TextToText(Toy()).describe() == (
        "answer for each prompt (toy), by fine-tuning (3 epochs at most); chrF of greedy answers"
    )


def shots(count):
    return {"protocol": "few_shot" if count else "zero_shot", "num_fewshot": count}


class AsItIs(Echo):
    """Is not tuned; writes what ``says`` makes of the real answer, and goes on."""

    def generate_answers(self, pairs, *, length, adaptation, strategy, steps):
        assert adaptation is None and set(pairs) == {"test"}
        found = super().generate_answers(
            pairs, length=length, adaptation=adaptation, strategy=strategy, steps=steps
        )
        found.nats = [np.full(min(len(real), length), -np.log(2)) for _, real in pairs["test"]]
        found.tuned = None
        return found


@pytest.mark.parametrize("num_fewshot", [0, 2])
def test_a_network_as_it_is_answers_up_to_the_blank_line(num_fewshot):
    harness = AsItIs(lambda text: f"{text}\n\n9 9 9 9")
    harness.context = 400
    found = TextToText(
        Toy(), **shots(num_fewshot), template="Q: {prompt}\nA: ", metrics=EVERY
    ).measure(harness)
    values = whole(found.outcomes)
    assert (values["exact_match"], values["bits_per_byte"]) == (1, 1)
    assert found.notes.trials is None and "validation_loss" not in {
        o.metric for o in found.outcomes
    }
    assert found.notes.procedure.startswith(
        f"after {num_fewshot} examples (0 of their answers were cut); "
    )
    assert found.costs == {"generation_seconds": 3.0}
    ((prompt, answer), *_) = harness.pairs["test"]
    read, real = harness.decode([prompt, answer])
    assert read.endswith("\nA:") and real.startswith(
        " "
    )  # as a tokenizer cuts words, not after the space
    assert read.count("Q: ") == num_fewshot + 1
    if not num_fewshot:
        return
    train = {item.id: item.fields for item in TextToText(Toy()).data().train}
    assert len(found.notes.details["fewshot"]) == 2 and set(found.notes.details["fewshot"]) <= set(
        train
    )
    solved = [train[one] for one in found.notes.details["fewshot"]]
    before = "".join(f"Q: {one['prompt']}\nA: {one['answer']}\n\n" for one in solved)
    assert all(
        text.startswith(before)
        for text in harness.decode([prompt for prompt, _ in harness.pairs["test"]])
    )


def test_shots_are_the_same_for_every_network_and_no_test_item_is_among_them():
    task = TextToText(Toy(), **shots(3))
    found = []
    for context in (400, 300):
        harness = AsItIs(str.upper)
        harness.context = context
        found.append(task.measure(harness).notes.details["fewshot"])
    assert found[0] == found[1] == [item.id for item in task.data().train[:3]]


def test_shots_are_cut_to_the_context_and_counted():
    harness = AsItIs()
    harness.context = 60
    found = TextToText(
        Toy(), **shots(1), max_new_tokens=8, template="{prompt}=", fewshot_delimiter=";"
    ).measure(harness)
    assert found.notes.details["answers_cut"] == {"fewshot": 1, "test": 6}
    assert found.notes.details["prompts_cut"] == {"fewshot": 0, "test": 0}
    assert all(len(prompt) <= 60 - 8 - 2 for prompt, _ in harness.pairs["test"])
    assert "(1 of their answers were cut)" in found.notes.procedure
    harness.context = 24
    found = TextToText(
        Toy(), **shots(1), max_new_tokens=8, template="{prompt}=", fewshot_delimiter=";"
    ).measure(harness)
    assert found.notes.details["prompts_cut"] == {"fewshot": 1, "test": 6}
    assert found.notes.truncated == 7
    assert all(harness.decode([prompt])[0].endswith("=") for prompt, _ in harness.pairs["test"])
    with pytest.raises(
        InputError, match="num_fewshot: wanted fewer than 9, each with 1 tokens of the context"
    ):
        TextToText(
            Toy(), **shots(9), max_new_tokens=8, template="{prompt}=", fewshot_delimiter=";"
        ).measure(harness)
    with pytest.raises(
        InputError, match="num_fewshot: wanted at most the 48 training items, got 49"
    ):
        TextToText(Toy(), **shots(49)).measure(AsItIs())


def test_settings_of_shots_that_cannot_be():
    with pytest.raises(InputError, match="adaptation: wanted none with protocol 'zero_shot'"):
        TextToText(Toy(), protocol="zero_shot", adaptation=AdaptationSettings(epochs=1))
    with pytest.raises(
        InputError,
        match="fewshot_delimiter: wanted only with protocols zero_shot and few_shot, got ';'",
    ):
        TextToText(Toy(), fewshot_delimiter=";")
    assert "after 4 examples; chrF" in TextToText(Toy(), **shots(4)).describe()


@pytest.mark.parametrize("kind", ["causal", "masked", "seq2seq"])
def test_each_objective_answers_as_it_is(kind, tokenizer, small):
    from lmcompare.evaluation.harness import Harness
    from lmcompare.language_model import FACES
    from lmcompare.models.network import build_network
    from lmcompare.objectives import OBJECTIVES

    objective = OBJECTIVES[kind]()
    network = build_network(small, objective.role, tokenizer.special, 1)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    model = FACES[objective.role](network, tokenizer, objective)
    harness = Harness(SimpleNamespace(tokenizer=tokenizer), model, 1, 128, 0, lambda event: None)
    found = TextToText(Toy(), **shots(2), max_new_tokens=8, template="{prompt} = ").measure(harness)
    values = whole(found.outcomes)
    assert values["chrf"] < 30 and values["bits_per_byte"] > 1
    assert values["calls_per_answer"] <= 8
    assert {o.exactness for o in found.outcomes if o.metric == "bits"} == {objective.exactness}
    assert all(tensor.equal(before[name]) for name, tensor in network.state_dict().items())
