from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from rapidfuzz.distance import Levenshtein

from lmcompare import metrics
from lmcompare.core.errors import InputError
from lmcompare.evaluation.ngram_model import TrigramModel
from lmcompare.objectives.causal import Causal
from lmcompare.tasks.nbest_rescoring import NbestRescoring

SAID = ["the film was good", "a bad film", "who played it well", "", "never a dull film"]


def listed(number):
    """The first guess is wrong in one word (two where nothing was said), the third is right."""
    said = SAID[number % len(SAID)]
    near = f"{said} x".strip() if said else "x y"
    return [
        {"text": near, "score": -1.0},
        {"text": "x x x", "score": -1.5},
        {"text": said, "score": -2.0},
    ]


ROWS = tuple(
    {"id": f"u{n}", "ref": SAID[n % len(SAID)], "nbest": listed(n), "speaker": f"s{n // 10}"}
    for n in range(40)
)


@dataclass(frozen=True)
class Toy:
    kind: ClassVar[str] = "toy"
    given: tuple = ROWS

    def rows(self):
        yield from self.given


class Model:
    objective = Causal()
    tokenizer = SimpleNamespace(special=SimpleNamespace(mask=-1))

    def __init__(self, value):
        self.value = value

    def log_likelihood(self, prompts, texts, method=None):
        assert all(texts)
        return [SimpleNamespace(sum=self.value(text)) for text in texts]


class FakeHarness:
    context, seed = 32, 1

    def __init__(self, value=lambda text: 0.0):
        self.model = Model(value)
        self.progress = lambda event: None

    def encode(self, texts):
        return [np.array([ord(c) % 97 for c in text], dtype=np.int64) for text in texts]

    def metric(self, name, **inputs):
        return metrics.load(name).compute(**inputs)

    def unigram(self):
        return np.full(97, -np.log(97))

    def trigram_baseline(self):
        return TrigramModel(np.arange(500) % 97, 97)


def word_errors(reference, hypothesis):
    return Levenshtein.distance(reference.split(), hypothesis.split())


def hears(text):
    return -10.0 * text.split().count("x")


def whole(found, model="", split="test"):
    return {
        o.metric + (f"/{o.part}" if o.part else ""): o.value
        for o in found.outcomes
        if not o.item and o.model == model and o.split == split
    }


def sums(found, metric, model=""):
    return sum(
        o.value for o in found.outcomes if o.metric == metric and o.item and o.model == model
    )


def test_one_who_knows_reaches_the_oracle():
    found, controls = (
        NbestRescoring(Toy()).measure(FakeHarness(hears)),
        NbestRescoring(Toy()).control(FakeHarness()),
    )
    assert (
        whole(found)["wer"]
        == whole(found)["wer_by_likelihood"]
        == whole(controls, "oracle")["wer"]
        == 0
    )
    assert whole(found, split="validation")["wer"] == 0
    assert whole(found)["weight"] > 0


def test_one_who_knows_nothing_gets_no_weight_and_the_first_guess():
    task = NbestRescoring(Toy(), word_bonuses=(0.0,))
    found, controls = task.measure(FakeHarness()), task.control(FakeHarness())
    assert whole(found)["weight"] == whole(found)["word_bonus"] == 0
    assert whole(found)["wer"] == whole(controls, "1-best")["wer"] > 0


def test_a_random_guess_has_its_expected_errors():
    task = NbestRescoring(Toy())
    controls = task.control(FakeHarness())
    _, test = task.split(task.utterances())
    assert sums(controls, "errors", "random") == pytest.approx(
        sum(np.mean([word_errors(one.reference, text) for text in one.texts]) for one in test)
    )
    assert (
        whole(controls, "oracle")["wer"]
        < whole(controls, "1-best")["wer"]
        < whole(controls, "random")["wer"]
    )
    assert {o.model for o in controls.outcomes} == {
        "1-best",
        "random",
        "oracle",
        "unigram",
        "trigram",
    }


def test_an_utterance_in_which_nothing_was_said_keeps_its_errors():
    found = NbestRescoring(Toy(), word_bonuses=(0.0,)).measure(FakeHarness())
    words = {o.item: o.value for o in found.outcomes if o.metric == "words"}
    errors = {o.item: o.value for o in found.outcomes if o.metric == "errors"}
    silent = [item for item, value in words.items() if value == 0]
    assert silent and all(errors[item] == 2 for item in silent)
    assert whole(found)["wer"] == sums(found, "errors") / sums(found, "words")
    spoken = [item for item in words if words[item]]
    dropped = sum(errors[item] for item in spoken) / sum(words[item] for item in spoken)
    assert dropped < whole(found)["wer"]  # leaving them out would flatter


def test_nothing_of_the_test_part_is_tuned_on():
    task = NbestRescoring(Toy())
    _, test = task.split(task.utterances())
    changed = {one.id for one in test}
    rows = tuple(
        {**row, "ref": "x x x", "nbest": [*row["nbest"][1:], {"text": "x", "score": 9.0}]}
        if row["id"] in changed
        else row
        for row in ROWS
    )
    before, after = (
        task.measure(FakeHarness(hears)),
        replace(task, source=Toy(rows)).measure(FakeHarness(hears)),
    )
    assert before.notes.details["mix"] == after.notes.details["mix"]
    assert whole(before, split="validation") == whole(after, split="validation")
    assert whole(before)["wer"] != whole(after)["wer"]


def test_no_speaker_is_in_both_parts():
    task = NbestRescoring(Toy(), group="speaker", validation=0.5)
    validation, test = task.split(task.utterances())
    assert {one.group for one in validation} | {one.group for one in test} == {
        "s0",
        "s1",
        "s2",
        "s3",
    }
    assert not {one.group for one in validation} & {one.group for one in test}


def test_a_list_that_does_not_fit_keeps_its_first_guess():
    long = {
        "id": "long",
        "ref": "a",
        "nbest": [{"text": "x" * 31, "score": 0.0}, {"text": "a", "score": -1.0}],
    }
    rows = (*ROWS, *({**long, "id": f"long {n}"} for n in range(10)))
    found = NbestRescoring(Toy(rows)).measure(
        FakeHarness(lambda text: hears(text) if len(text) < 31 else 1 / 0)
    )
    assert found.notes.counts["utterances"]["longer than the context"] == 10
    errors = {o.item: o.value for o in found.outcomes if o.metric == "errors"}
    assert {value for item, value in errors.items() if item.startswith("long")} == {1.0}


def test_guesses_are_ordered_by_the_recogniser_and_white_space_is_one():
    row = {
        "ref": "a  b\r\n",
        "nbest": [{"text": " a  c", "score": -3}, {"text": "a\tb\r", "score": -2}],
    }
    one, two = NbestRescoring(Toy((row, row))).utterances()
    assert (one.id, two.id, one.texts, one.words) == ("0", "1", ["a b", "a c"], 2)
    assert one.lengths.tolist() == [2.0, 2.0]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"refs": "a", "nbest": []}, "no column 'ref'; did you mean 'refs'"),
        (
            {"id": "u7", "ref": "a", "nbest": []},
            "utterance 'u7': nbest: wanted a list of at least one hypothesis",
        ),
        ({"ref": "a", "nbest": ["a"]}, "wanted mappings with a text and a finite score, got 'a'"),
        ({"ref": "a", "nbest": [{"text": "a", "score": float("nan")}]}, "a finite score"),
        ({"ref": "a", "nbest": [{"text": "a", "score": True}]}, "a finite score"),
    ],
)
def test_rows_that_are_no_lists_are_refused(row, message):
    with pytest.raises(InputError, match=message):
        NbestRescoring(Toy((row,))).utterances()


def test_too_few():
    task = NbestRescoring(Toy(ROWS[:1]))
    with pytest.raises(InputError, match="wanted at least 2 utterances"):
        task.split(task.utterances())
    with pytest.raises(InputError, match="'u0' twice"):
        NbestRescoring(Toy((ROWS[0], ROWS[0]))).utterances()
    silent = tuple({**row, "ref": ""} for row in ROWS)
    with pytest.raises(InputError, match="wanted references of one word or more"):
        NbestRescoring(Toy(silent)).measure(FakeHarness())
    assert len(NbestRescoring(Toy(), items=7).utterances()) == 7


def test_word_errors_are_levenshtein_distances():
    task = NbestRescoring(Toy())
    errors = {
        o.item: o.value
        for o in task.control(FakeHarness()).outcomes
        if (o.model, o.metric) == ("1-best", "errors")
    }
    lists = {one.id: one for one in task.split(task.utterances())[1]}
    assert lists
    for id_, one in lists.items():
        assert errors[id_] == word_errors(one.reference, one.texts[0])


def test_probabilities_are_mixed_by_their_logarithms():
    rows = tuple(
        {
            **row,
            "nbest": [{**guess, "score": float(np.exp(guess["score"]))} for guess in row["nbest"]],
        }
        for row in ROWS
    )
    plain, logs = NbestRescoring(Toy()), NbestRescoring(Toy(given=rows), logarithm=True)
    for one, other in zip(plain.utterances(), logs.utterances(), strict=True):
        assert one.texts == other.texts and np.allclose(one.scores, other.scores)
    nothing = ({**ROWS[0], "nbest": [{"text": "a", "score": 0.0}]},)
    assert NbestRescoring(Toy(given=nothing)).utterances()[0].scores == [0.0]
    with pytest.raises(InputError, match="wanted mappings with a text and a score above 0, got"):
        NbestRescoring(Toy(given=nothing), logarithm=True).utterances()
