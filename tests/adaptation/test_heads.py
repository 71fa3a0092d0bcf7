import numpy as np
import pytest
import torch

from lmcompare.adaptation.heads import (
    ClassificationHead,
    HeadBatch,
    PairHead,
    SpanHead,
    TokenClassificationHead,
    pool_words,
)
from lmcompare.core.example import Example, collate
from lmcompare.models.network import BatchTensors


def read(*lengths):
    return BatchTensors.of(collate([Example(np.arange(n), np.full(n, -100)) for n in lengths], 0))


def test_the_states_of_a_word_become_one():
    states, words = torch.tensor([[1.0], [3.0], [9.0]]), torch.tensor([0, 0, 1])
    found = [pool_words(states, words, how).flatten().tolist() for how in ("mean", "last", "first")]
    assert found == [[2.0, 9.0], [3.0, 9.0], [1.0, 9.0]]


def test_words_of_several_items_in_order_and_padding_is_of_no_word():
    states = torch.arange(8.0).reshape(2, 4, 1)
    marks = torch.tensor([[-1, 0, 0, 1], [0, 1, -1, -1]])
    reading = HeadBatch(
        read(4, 2), [np.array([1, 0]), np.array([0, 0])], marks, torch.tensor([1, 0])
    )
    head = TokenClassificationHead(2, "mean")
    assert head.features(states, reading).flatten().tolist() == [1.5, 3.0, 4.0, 5.0]
    said = torch.tensor([[0.0, 0.0]] * 4)
    assert head.loss(said, reading).item() == pytest.approx(np.log(2))
    assert [answer.tolist() for answer in head.answers(said, reading)] == [[[0.5, 0.5]] * 2] * 2


def test_a_label_is_of_the_pooled_state():
    reading = HeadBatch(read(2, 1), [1, 0])
    states = torch.tensor([[[1.0], [3.0]], [[5.0], [7.0]]])
    assert ClassificationHead(2, "mean").features(states, reading).flatten().tolist() == [2.0, 5.0]
    (one, other) = ClassificationHead(2, "mean").answers(
        torch.tensor([[0.0, 0.0], [0.0, np.log(3.0)]]), reading
    )
    assert (one.tolist(), other.tolist()) == ([0.5, 0.5], pytest.approx([0.25, 0.75]))


def test_a_pair_is_told_apart_by_u_v_and_how_they_differ():
    reading = HeadBatch(read(1, 1), [1.0])
    states = torch.tensor([[[2.0]], [[5.0]]])
    assert PairHead("last").features(states, reading).tolist() == [[2.0, 5.0, 3.0, 10.0]]
    assert PairHead("last").loss(torch.tensor([[3.0]]), reading).item() == 4.0


def span_reading(wanted):
    """Inputs: bos, a question token, three context tokens, eos."""
    marks = torch.tensor([[-1, 0, 1, 1, 1, -1]])
    return HeadBatch(read(6), [np.array(wanted)], marks, torch.tensor([1]))


def test_the_best_span_lies_in_the_context_and_is_no_longer_than_asked():
    said = torch.zeros(1, 6, 2)
    said[0, 1] = 100.0  # of the question: not allowed
    said[0, 2, 0], said[0, 4, 1], said[0, 3, 1] = 5.0, 4.0, 1.0
    said[0, 5] = 0.5
    (answer,) = SpanHead().answers(said, span_reading([1, 3]))
    assert answer.tolist() == [1, 3, 8.0]  # counted from the first token of the text
    (answer,) = SpanHead(longest=2).answers(said, span_reading([1, 3]))
    assert answer.tolist() == [1, 2, 5.0]


def test_a_span_that_is_not_there_is_the_last_input():
    said = torch.zeros(1, 6, 2)
    assert SpanHead().loss(said, span_reading([1, 2])).item() == pytest.approx(
        np.log(4)
    )  # three tokens and 'not there'
    said[0, 5] = 50.0
    assert SpanHead().loss(said, span_reading([-1, -1])).item() == pytest.approx(0)
    assert SpanHead().answers(said, span_reading([-1, -1]))[0][2] == -100.0
