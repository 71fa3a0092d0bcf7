from types import SimpleNamespace

import numpy as np
import pytest

from lmcompare.core.errors import InputError
from lmcompare.evaluation.ngram_model import TrigramModel
from lmcompare.generation.sampling import DecodedTokens
from lmcompare.objectives.causal import Causal
from lmcompare.objectives.masked import Masked
from lmcompare.tasks.infilling import Infilling

LETTERS = "abcdefgh"
SPECIAL = SimpleNamespace(mask=4)
CAUSAL, MASKED = Causal(), Masked()


class Model:
    """Gives the true spans ``true`` nats a token and all others ``other``; writes what ``write``
    says.
    """

    tokenizer = SimpleNamespace(special=SPECIAL)

    def __init__(self, task, objective=MASKED, true=-1.0, other=-2.0, writes=lambda span: span):
        self.task, self.objective, self.values, self.writes = task, objective, (true, other), writes

    def score_gaps(self, gaps, whole=False):
        true = {
            q.masked.left.tobytes() + q.masked.span.tobytes() + q.masked.right.tobytes()
            for q in self.questions
        }
        size = len(gaps[0].span) + (len(gaps[0].right) if whole and self.objective is CAUSAL else 0)
        known = [
            gap.left.tobytes() + gap.span.tobytes() + gap.right.tobytes() in true for gap in gaps
        ]
        return [np.full(size, self.values[0] if right else self.values[1]) for right in known]

    def score_tokens(self, pairs):
        return [np.full(len(span), np.log(1 / 8)) for _, span in pairs]

    def fill_gaps(self, contexts, *, length):
        return DecodedTokens(
            [self.writes(q.masked.span) for q in self.questions], calls=length, seconds=2.0
        )


class FakeHarness:
    context, seed, has_own_tokenizer = 16, 1, False

    def __init__(self, task=None, **settings):
        self.progress = lambda event: None
        rng = np.random.default_rng(0)
        texts = ["".join(rng.choice(list(LETTERS), 6 + i)) for i in range(20)]
        self.documents = [{"document": i, "text": text} for i, text in enumerate(texts)]
        if task is not None:
            self.model = Model(task, **settings)
            self.model.questions = task.questions(self)

    def encode(self, texts):
        return [np.array([LETTERS.index(c) for c in text], dtype=np.int64) for text in texts]

    def decode(self, rows):
        return ["".join(LETTERS[i] for i in row) for row in rows]

    def byte_length(self, tokens):
        return len(tokens)

    def test_documents(self):
        return self.documents

    def trigram_baseline(self):
        return TrigramModel(np.arange(100) % 8, 8)


TASK = Infilling(items=8, left=4, span=3, right=4, choices=4, samples=2)


def whole(found, model=""):
    return {
        o.metric + (f"/{o.part}" if o.part else ""): o.value
        for o in found.outcomes
        if not o.item and o.model == model
    }


@pytest.mark.parametrize("objective", [CAUSAL, MASKED])
def test_one_who_knows_chooses_writes_and_needs_no_bits(objective):
    values = whole(TASK.measure(FakeHarness(TASK, objective=objective, true=0.0)))
    assert values["choice_accuracy"] == values["exact_match"] == values["token_accuracy"] == 1
    assert values.get("bits_per_byte") == (0 if objective is MASKED else None)


def test_one_who_errs_has_nothing():
    values = whole(TASK.measure(FakeHarness(TASK, true=-3.0, writes=lambda span: (span + 1) % 8)))
    assert values["choice_accuracy"] == values["exact_match"] == values["token_accuracy"] == 0


def test_who_cannot_tell_has_one_in_four_and_three_bits():
    harness = FakeHarness(TASK, true=np.log(1 / 8), other=np.log(1 / 8))
    values = whole(TASK.measure(harness))
    assert (
        values["choice_accuracy"]
        == 0.25
        == whole(TASK.control(harness), "chance")["choice_accuracy"]
    )
    assert values["bits_per_byte"] == pytest.approx(3) == values["bits_per_byte_left"]


def test_bits_that_know_the_left_side_alone_are_never_called_those_of_both():
    causal, masked = (
        TASK.measure(FakeHarness(TASK, objective=objective)) for objective in (CAUSAL, MASKED)
    )
    assert {o.metric for o in causal.outcomes if "bits" in o.metric} == {
        "bits_left",
        "bits_per_byte_left",
    }
    assert {o.exactness for o in causal.outcomes if "bits" in o.metric} == {"exact"}
    assert {o.exactness for o in masked.outcomes if "bits" in o.metric} == {"chain"}
    assert "a handicap" in causal.notes.procedure and "both sides" in masked.notes.procedure


def test_the_sums_of_the_items_are_the_whole():
    found = TASK.measure(
        FakeHarness(TASK, writes=lambda span: np.array([span[0], (span[1] + 1) % 8, span[2]]))
    )
    assert whole(found)["exact_match"] == 0 and whole(found)["token_accuracy"] == pytest.approx(
        2 / 3
    )
    for metric, (above, below) in Infilling.per_item.items():
        total = [
            sum(o.value for o in found.outcomes if o.metric == name and o.item)
            for name in (above, below)
        ]
        assert total[0] / (total[1] if below else 8) == pytest.approx(whole(found)[metric])


def test_questions_are_the_same_for_all_and_their_candidates_differ_in_nothing_but_what_they_say():
    questions = TASK.questions(FakeHarness())
    assert len(questions) == 8
    for one, again in zip(questions, TASK.questions(FakeHarness()), strict=True):
        assert one.id == again.id
        assert np.array_equal(one.candidates, again.candidates)
        assert np.array_equal(one.candidates[0], one.masked.span)
        assert len({tuple(span) for span in one.candidates}) == 4
        assert {len(span) for span in one.candidates} == {3}
        whole_text = "".join(
            FakeHarness().decode([one.masked.left, one.masked.span, one.masked.right])
        )
        assert whole_text in FakeHarness().documents[int(one.id)]["text"]
    assert TASK.measure(FakeHarness(TASK)).fingerprint == TASK.control(FakeHarness()).fingerprint


def test_the_trigram_control_weighs_what_stands_to_the_right():
    harness = FakeHarness()
    harness.documents = [{"document": i, "text": ("abcdefgh" * 4)[i : i + 11]} for i in range(8)]
    values = whole(TASK.control(harness), "trigram")
    assert values["choice_accuracy"] == 1  # the cycle is all that it has read
    assert values["bits_per_byte_left"] < 1


def test_samples_show_the_gap():
    first, second = (
        TASK.measure(FakeHarness(TASK, objective=objective)).samples
        for objective in (CAUSAL, MASKED)
    )
    assert [s["item"] for s in first] == [s["item"] for s in second] and len(first) == 2
    assert all(" ___ " in s["prompt"] and s["text"] == s["reference"] for s in first)


def test_too_short_or_too_few():
    with pytest.raises(
        InputError,
        match=r"left \+ span \+ right: wanted at most sequence.length less 2 \(14\) tokens",
    ):
        Infilling(left=8, span=4, right=4).questions(FakeHarness())
    with pytest.raises(InputError, match="wanted 4 different spans .* got 0"):
        harness = FakeHarness()
        harness.documents = [{"document": 0, "text": "abc"}]
        TASK.questions(harness)


def test_a_checkpoint_with_tokens_of_its_own_is_refused():
    harness = FakeHarness()
    harness.has_own_tokenizer = True
    with pytest.raises(InputError, match="got a checkpoint with a tokenizer of its own"):
        TASK.measure(harness)
