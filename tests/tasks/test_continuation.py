from types import SimpleNamespace

import numpy as np
import pytest

from lmcompare import metrics
from lmcompare.decoding import Decoded
from lmcompare.errors import InputError
from lmcompare.judge import Trigram
from lmcompare.tasks.continuation import Continuation

LETTERS = "abcdefgh"


class Model:
    """Says every suffix with the same probability, and continues with 'a'."""

    objective = SimpleNamespace(exactness="exact")

    def __init__(self, p):
        self.p = p

    def score_tokens(self, pairs):
        return [np.full(len(suffix), np.log(self.p)) for _, suffix in pairs]

    def decode(self, prompts, *, length, temperature, steps, seed):
        return Decoded([np.zeros(length, dtype=np.int64) for _ in prompts], calls=length // 2, seconds=4.0)


class Bench:
    context, seed = 16, 1

    def __init__(self, p=0.5, documents=20):
        self.progress = lambda event: None
        self.model = Model(p)
        rng = np.random.default_rng(0)
        texts = ["".join(rng.choice(list(LETTERS), 4 + i)) for i in range(documents)]
        self.documents = [{"document": i, "text": text} for i, text in enumerate(texts)]

    def metric(self, name, **inputs):
        return metrics.load(name).compute(**inputs)

    def encode(self, texts):
        return [np.array([LETTERS.index(c) for c in text], dtype=np.int64) for text in texts]

    def decode(self, rows):
        return ["".join(LETTERS[i] for i in row) for row in rows]

    def byte_length(self, tokens):
        return len(tokens)

    def test_documents(self):
        return self.documents

    def unigram(self):
        return np.full(8, np.log(1 / 8))

    def judge(self):
        return Trigram(np.arange(100) % 8, 8)

    trigram = judge


def whole(outcomes, arm=""):
    return {o.metric: o.value for o in outcomes if not o.item and o.arm == arm}


TASK = Continuation(items=5, prefix=8, suffix=4, samples=2)


def test_a_perfect_model_needs_no_bits_and_a_uniform_one_log2_of_the_vocabulary():
    assert whole(TASK.measure(Bench(p=1.0)).outcomes)["bits_per_byte"] == 0
    assert whole(TASK.measure(Bench(p=1 / 8)).outcomes)["bits_per_byte"] == pytest.approx(3)
    assert whole(TASK.control(Bench()).outcomes, "unigram")["bits_per_byte"] == pytest.approx(3)


def test_bits_of_the_items_add_up():
    outcomes = TASK.measure(Bench()).outcomes
    total = {m: sum(o.value for o in outcomes if o.metric == m and o.item) for m in ("bits", "bytes")}
    assert total["bits"] / total["bytes"] == pytest.approx(whole(outcomes)["bits_per_byte"]) == pytest.approx(1)
    assert {o.exactness for o in outcomes if o.metric == "bits"} == {"exact"}


def test_a_loop_of_one_token_is_seen_as_one():
    values = whole(TASK.measure(Bench()).outcomes)
    assert values["distinct_1"] == 1 / 20
    assert values["repetition_4"] == 0  # four tokens hold one 4-gram
    assert values["calls_per_token"] == 0.5
    assert values["seconds_per_generation"] == 0.8


def test_the_reference_is_judged_too():
    values = whole(TASK.control(Bench()).outcomes, "reference text")
    assert set(values) == {"judge_bits_per_byte", "distinct_1", "distinct_2", "repetition_4"}


def test_samples_are_the_same_passages_for_every_arm():
    first, second = (TASK.measure(Bench(p)).samples for p in (0.5, 0.25))
    assert [s["item"] for s in first] == [s["item"] for s in second]
    assert len(first) == 2
    assert all(len(s["prompt"]) == 8 and s["text"] == "aaaa" and len(s["reference"]) == 4 for s in first)


def test_only_documents_that_are_long_enough_are_taken():
    many = Continuation(items=100, prefix=8, suffix=4)
    passages = many.passages(Bench())
    assert len(passages) == 12
    assert all(len(p.prefix) == 8 and len(p.suffix) == 4 for p in passages)


def test_too_short():
    with pytest.raises(InputError, match=r"prefix \+ suffix: wanted at most blocks.length \(16\) tokens, got 18"):
        Continuation(prefix=14, suffix=4).passages(Bench())
    with pytest.raises(InputError, match="no test document has the 12 tokens"):
        TASK.passages(Bench(documents=5))
