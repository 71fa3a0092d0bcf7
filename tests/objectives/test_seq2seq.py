import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcompare.core.errors import InputError
from lmcompare.objectives import sequence_example
from lmcompare.objectives.seq2seq import Seq2Seq

BLOCK = st.lists(st.sampled_from([2, *range(32, 96)]), min_size=1, max_size=60).map(np.array)


def fill(inputs, targets, special):
    """Put each span in the place of its sentinel."""
    spans, hole = {}, None
    for token in targets[:-1]:
        if token in special.sentinels:
            hole = int(token)
            spans[hole] = []
        else:
            spans[hole].append(int(token))
    return [
        t for token in inputs for t in (spans[int(token)] if int(token) in spans else [int(token)])
    ]


def test_a_text_may_begin_or_end_with_a_masked_span(special):
    tokens = np.array([35, 36, 37])
    found = [
        Seq2Seq(corruption_rate=0.34, mean_span_length=1).training_example(
            tokens, special, np.random.default_rng(i)
        )
        for i in range(60)
    ]
    assert any(e.inputs.tolist() == [9, 36, 37] for e in found)
    assert any(e.inputs.tolist() == [35, 36, 9] for e in found)


@given(tokens=BLOCK, seed=st.integers(0, 99), rate=st.floats(0.05, 0.5), mean_span=st.floats(2, 6))
def test_filling_the_holes_restores_the_text(special, tokens, seed, rate, mean_span):
    example = Seq2Seq(rate, mean_span).training_example(
        tokens, special, np.random.default_rng(seed)
    )
    assert fill(example.inputs, example.targets, special) == tokens.tolist()
    assert example.targets[-1] == special.eos
    assert example.decoder_inputs.tolist() == [special.bos, *example.targets[:-1].tolist()]
    used = [int(t) for t in example.inputs if int(t) in special.sentinels]
    assert used == list(special.sentinels[: len(used)])


def test_shares(special):
    rng = np.random.default_rng(0)
    examples = [
        Seq2Seq(0.15, 3).training_example(rng.choice(special.ordinary, 128), special, rng)
        for _ in range(400)
    ]
    holes = np.array([np.isin(e.inputs, special.sentinels).sum() for e in examples])
    cut = np.array([len(e.targets) for e in examples]) - holes - 1
    assert cut.mean() / 128 == pytest.approx(0.15, abs=0.002)
    assert cut.sum() / holes.sum() == pytest.approx(3, abs=0.35)


def test_score_gives_the_sentinel(special):
    (example,) = Seq2Seq().scoring_examples(np.array([35, 36]), np.array([37, 38]), special)
    assert example.inputs.tolist() == [35, 36, 9]
    assert example.decoder_inputs.tolist() == [1, 9, 37]
    assert example.targets.tolist() == [-100, 37, 38]


def test_too_few_sentinels(special):
    with pytest.raises(
        InputError, match=r"tokenizer\.sentinels: wanted at least \d+ for a sequence of 400 tokens"
    ):
        Seq2Seq(0.5, 1).training_example(np.full(400, 40), special, np.random.default_rng(0))


def test_isolated_documents_keep_their_own_spans(special):
    tokens = np.array([40, 41, 42, 43, 2, 50, 51, 52, 53, 2, 60, 61])
    example = sequence_example(
        Seq2Seq(0.3, 2), tokens, special, np.random.default_rng(0), isolated=True
    )
    for number, text in enumerate(([40, 41, 42, 43, 2], [50, 51, 52, 53, 2], [60, 61])):
        inputs = example.inputs[example.segments == number]
        targets = example.targets[example.decoder_segments == number]
        assert fill(inputs, targets, special) == text
