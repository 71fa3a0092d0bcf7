import numpy as np
import pytest
import torch

from lmcompare.adaptation.heads import (
    ClassificationHead,
    HeadBatch,
    PairHead,
    SpanHead,
    TokenClassificationHead,
)
from lmcompare.core.example import Example, collate
from lmcompare.models.network import BatchTensors


def read(*lengths):
    return BatchTensors.of(collate([Example(np.arange(n), np.full(n, -100)) for n in lengths], 0))


def test_words_of_several_items_in_order_and_padding_is_of_no_word():
    states = torch.arange(8.0).reshape(2, 4, 1)
    marks = torch.tensor([[-1, 0, 0, 1], [0, 1, -1, -1]])
    batch = HeadBatch(read(4, 2), [np.array([1, 0]), np.array([0, 0])], marks, torch.tensor([1, 0]))
    head = TokenClassificationHead(2, "mean")
    assert head.features(states, batch).flatten().tolist() == [1.5, 3.0, 4.0, 5.0]
    logits = torch.tensor([[0.0, 0.0]] * 4)
    assert head.loss(logits, batch).item() == pytest.approx(np.log(2))
    assert [answer.tolist() for answer in head.predict(logits, batch)] == [[[0.5, 0.5]] * 2] * 2


def test_a_label_is_of_the_pooled_state():
    batch = HeadBatch(read(2, 1), [1, 0])
    states = torch.tensor([[[1.0], [3.0]], [[5.0], [7.0]]])
    assert ClassificationHead(2, "mean").features(states, batch).flatten().tolist() == [2.0, 5.0]
    (one, other) = ClassificationHead(2, "mean").predict(
        torch.tensor([[0.0, 0.0], [0.0, np.log(3.0)]]), batch
    )
    assert (one.tolist(), other.tolist()) == ([0.5, 0.5], pytest.approx([0.25, 0.75]))


def test_a_pair_is_told_apart_by_u_v_and_how_they_differ():
    batch = HeadBatch(read(1, 1), [1.0])
    states = torch.tensor([[[2.0]], [[5.0]]])
    assert PairHead("last").features(states, batch).tolist() == [[2.0, 5.0, 3.0, 10.0]]
    assert PairHead("last").loss(torch.tensor([[3.0]]), batch).item() == 4.0


def span_batch(targets):
    """Inputs: bos, a question token, three context tokens, eos."""
    marks = torch.tensor([[-1, 0, 1, 1, 1, -1]])
    return HeadBatch(read(6), [np.array(targets)], marks, torch.tensor([1]))


def test_the_best_span_lies_in_the_context_and_is_no_longer_than_asked():
    logits = torch.zeros(1, 6, 2)
    logits[0, 1] = 100.0  # of the question: not allowed
    logits[0, 2, 0], logits[0, 4, 1], logits[0, 3, 1] = 5.0, 4.0, 1.0
    logits[0, 5] = 0.5
    (answer,) = SpanHead().predict(logits, span_batch([1, 3]))
    assert answer.tolist() == [1, 3, 8.0]  # counted from the first token of the text
    (answer,) = SpanHead(longest=2).predict(logits, span_batch([1, 3]))
    assert answer.tolist() == [1, 2, 5.0]


def test_a_span_that_is_not_there_is_the_last_input():
    logits = torch.zeros(1, 6, 2)
    assert SpanHead().loss(logits, span_batch([1, 2])).item() == pytest.approx(
        np.log(4)
    )  # three tokens and 'not there'
    logits[0, 5] = 50.0
    assert SpanHead().loss(logits, span_batch([-1, -1])).item() == pytest.approx(0)
    assert SpanHead().predict(logits, span_batch([-1, -1]))[0][2] == -100.0
