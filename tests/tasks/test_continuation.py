from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from lmcompare import metrics
from lmcompare.core.errors import InputError
from lmcompare.evaluation.ngram_model import TrigramModel
from lmcompare.generation.sampling import DecodedTokens
from lmcompare.scoring.requests import ContextLimits
from lmcompare.tasks.continuation import Continuation

LETTERS = "abcdefgh"


class Model:
    """Says every suffix with the same probability, and continues with 'a'."""

    objective = SimpleNamespace(role="decoder", exactness="exact")

    def __init__(self, p):
        self.p = p

    def score_tokens(self, pairs):
        return [np.full(len(suffix), np.log(self.p)) for _, suffix in pairs]

    def decode(self, prompts, *, length, temperature, steps, seed):
        return DecodedTokens(
            [np.zeros(length, dtype=np.int64) for _ in prompts], calls=length // 2, seconds=4.0
        )


class FakeHarness:
    context, seed, has_own_tokenizer = 16, 1, False

    def __init__(self, p=0.5, documents=20):
        self.progress = lambda event: None
        self.model = Model(p)
        rng = np.random.default_rng(0)
        texts = ["".join(rng.choice(list(LETTERS), 4 + i)) for i in range(documents)]
        self.documents = [{"document": i, "text": text} for i, text in enumerate(texts)]

    def metric(self, name, **inputs):
        return metrics.load(name).compute(**inputs)

    def encode(self, texts, shared=False):
        return [np.array([LETTERS.index(c) for c in text], dtype=np.int64) for text in texts]

    def decode(self, rows, shared=False):
        return ["".join(LETTERS[i] for i in row) for row in rows]

    def byte_length(self, tokens, shared=False):
        return len(tokens)

    def test_documents(self):
        return self.documents

    def unigram(self):
        return np.full(8, np.log(1 / 8))

    def trigram_judge(self):
        return TrigramModel(np.arange(100) % 8, 8)

    trigram_baseline = trigram_judge


def whole(outcomes, model=""):
    return {
        o.metric + (f"/{o.part}" if o.part else ""): o.value
        for o in outcomes
        if not o.item and o.model == model
    }


TASK = Continuation(items=5, prefix=8, suffix=4, samples=2)


def test_a_perfect_model_needs_no_bits_and_a_uniform_one_log2_of_the_vocabulary():
    assert whole(TASK.measure(FakeHarness(p=1.0)).outcomes)["bits_per_byte"] == 0
    assert whole(TASK.measure(FakeHarness(p=1 / 8)).outcomes)["bits_per_byte"] == pytest.approx(3)
    assert whole(TASK.control(FakeHarness()).outcomes, "unigram")["bits_per_byte"] == pytest.approx(
        3
    )


def test_bits_of_the_items_add_up():
    outcomes = TASK.measure(FakeHarness()).outcomes
    total = {
        m: sum(o.value for o in outcomes if o.metric == m and o.item) for m in ("bits", "bytes")
    }
    assert (
        total["bits"] / total["bytes"]
        == pytest.approx(whole(outcomes)["bits_per_byte"])
        == pytest.approx(1)
    )
    assert {o.exactness for o in outcomes if o.metric == "bits"} == {"exact"}


def test_a_loop_of_one_token_is_seen_as_one():
    values = whole(TASK.measure(FakeHarness()).outcomes)
    assert values["distinct_1"] == 1 / 20
    assert values["repetition_4"] == 0  # four tokens hold one 4-gram
    assert values["calls_per_token"] == 0.5
    assert values["seconds_per_generation"] == 0.8


def test_the_reference_is_judged_too():
    values = whole(TASK.control(FakeHarness()).outcomes, "reference text")
    assert set(values) == {"judge_bits_per_byte", "distinct_1", "distinct_2", "repetition_4"}


def test_the_positions_of_the_suffix_are_shown_apart():
    harness = FakeHarness()
    harness.model.score_tokens = lambda pairs: [np.log([1.0, 1.0, 0.5, 0.25]) for _ in pairs]
    values = whole(TASK.measure(harness).outcomes)
    assert [values[f"bits_per_token/position/{i}-{i}"] for i in (1, 2, 3, 4)] == [0, 0, 1, 2]
    assert values["bits_per_byte"] == 0.75


def test_latencies_are_of_one_generation_alone():
    values = whole(TASK.measure(FakeHarness()).outcomes)
    assert {name: value for name, value in values.items() if name.startswith("latency")} == {
        f"latency_p{share}/tokens/{length}": 4.0 for share in (50, 95) for length in (1, 2, 4)
    }
    assert not [
        name
        for name in whole(replace(TASK, timed=0).measure(FakeHarness()).outcomes)
        if "latency" in name
    ]


def test_arms_and_controls_say_that_they_answered_the_same_passages():
    said = {TASK.measure(FakeHarness(p)).fingerprint for p in (0.5, 0.25)} | {
        TASK.control(FakeHarness()).fingerprint
    }
    assert len(said) == 1
    assert replace(TASK, seed=3).control(FakeHarness()).fingerprint not in said


def test_samples_are_the_same_passages_for_every_arm():
    first, second = (TASK.measure(FakeHarness(p)).samples for p in (0.5, 0.25))
    assert [s["item"] for s in first] == [s["item"] for s in second]
    assert len(first) == 2
    assert all(
        len(s["prompt"]) == 8 and s["text"] == "aaaa" and len(s["reference"]) == 4 for s in first
    )


def test_only_documents_that_are_long_enough_are_taken():
    many = Continuation(items=100, prefix=8, suffix=4)
    passages = many.passages(FakeHarness())
    assert len(passages) == 12
    assert all(len(p.prefix) == 8 and len(p.suffix) == 4 for p in passages)


def test_too_short():
    with pytest.raises(
        InputError, match=r"prefix \+ suffix: wanted at most sequence.length \(16\) tokens, got 18"
    ):
        Continuation(prefix=14, suffix=4).passages(FakeHarness())
    with pytest.raises(InputError, match="no test document has the 12 tokens"):
        TASK.passages(FakeHarness(documents=5))


class Foreign(FakeHarness):
    """Reads in tokens of its own: capital letters are lost, and every letter is two tokens but 'b',
    which is one.
    """

    has_own_tokenizer = True

    class Model(Model):
        def __init__(self, p, most=None):
            super().__init__(p)
            self.room, self.asked = ContextLimits(None, most, None), []

        def score_tokens(self, pairs):
            self.asked = pairs
            return super().score_tokens(pairs)

    def __init__(self, p=0.5, documents=20, most=None):
        super().__init__(p, documents)
        self.model = self.Model(p, most)

    def encode(self, texts, shared=False):
        if shared:
            return [
                np.array([LETTERS.index(c.lower()) + 8 * c.isupper() for c in text])
                for text in texts
            ]
        return [
            np.array([i for c in text.lower() for i in ([ord(c)] if c == "b" else [1, ord(c)])])
            for text in texts
        ]

    def decode(self, rows, shared=False):
        if shared:
            return ["".join((LETTERS + LETTERS.upper())[i] for i in row) for row in rows]
        return ["".join(chr(i) for i in row if i > 1) for row in rows]

    def trigram_judge(self):
        return TrigramModel(np.arange(100) % 16, 16)


def test_a_checkpoint_is_given_the_text_in_its_own_tokens():
    harness = Foreign(p=1 / 4)
    found = TASK.measure(harness)
    sizes = [o.value for o in found.outcomes if o.metric == "bytes"]
    assert sizes == [4] * 5 and found.notes.left_out == 0
    assert found.notes.details == {"passages": 5, "requested": 5}
    tokens = [len(suffix) for _, suffix in harness.model.asked]
    assert 4 <= min(tokens) <= max(tokens) <= 8
    assert whole(found.outcomes)["bits_per_byte"] == pytest.approx(2 * sum(tokens) / 20)
    assert [s["item"] for s in found.samples] == [
        s["item"] for s in TASK.measure(FakeHarness()).samples
    ]
    assert [s["reference"] for s in found.samples] == [
        s["reference"] for s in TASK.measure(FakeHarness()).samples
    ]


def test_a_text_that_its_tokens_do_not_hold_has_no_bits_but_is_continued():
    harness = Foreign()
    for row in harness.documents[::2]:
        row["text"] = row["text"].upper()
    found = TASK.measure(harness)
    asked = [o.item for o in found.outcomes if o.metric == "bits"]
    assert 0 < len(asked) < 5 and all(int(item) % 2 for item in asked)
    assert found.notes.left_out == 5 - len(asked)
    assert len([o for o in found.outcomes if o.metric == "judge_bits"]) == 5
    for row in harness.documents:
        row["text"] = row["text"].upper()
    found = TASK.measure(harness)
    assert "bits_per_byte" not in whole(found.outcomes) and found.notes.left_out == 5


def test_a_passage_that_is_cut_within_a_character_is_left_out():
    harness = Foreign()
    decode = harness.decode
    first = TASK.passages(harness)[0]
    broken = {tuple(first.prefix): "\ufffd", tuple(first.suffix): "\ufffd"}
    harness.decode = lambda rows, shared=False: [
        broken.get(tuple(row)) or text if shared else text
        for row, text in zip(rows, decode(rows, shared), strict=True)
    ]
    found = TASK.measure(harness)
    assert first.id not in {o.item for o in found.outcomes} and found.notes.left_out == 1


def test_a_prefix_that_does_not_fit_loses_its_beginning():
    harness = Foreign(most=5)
    TASK.measure(harness)
    longer = Foreign()
    TASK.measure(longer)
    for (cut, _), (prefix, _) in zip(harness.model.asked, longer.model.asked, strict=True):
        assert np.array_equal(cut, prefix[-5:])
