import numpy as np
import pytest

from lmcompare.core.errors import InputError
from lmcompare.tasks._words import _fill_rows, tokenize_words, with_spaces


class FakeHarness:
    context = 8

    def encode(self, texts):
        return [np.arange(len(text)) + 10 for text in texts]


def test_a_word_is_written_as_a_text_continues_with_it():
    assert with_spaces(["we", "saw", "it", "."]) == ["we", " saw", " it", " ."]
    assert with_spaces([]) == []


def test_the_tokens_are_those_of_the_text_that_the_network_was_trained_on(tokenizer):
    words = "the film was good , but long .".split()
    pieces = [piece for word in with_spaces(words) for piece in tokenizer.encode(word)]
    assert pieces == tokenizer.encode(" ".join(words))


def test_rows_hold_whole_words():
    assert _fill_rows([4, 4], room=4) == [(0, 1), (1, 2)]
    assert _fill_rows([1], room=4) == [(0, 1)]


def test_a_long_item_has_several_rows_that_are_joined_again():
    items = [["ab", "cd", "e"], ["fghijklmnop"], ["q"]]
    labels = [np.array([3, 4, 5]), np.array([6]), np.array([7])]
    found = tokenize_words(FakeHarness(), items, labels)
    assert found.item_of_row == [0, 0, 1, 2]
    assert [len(row) for (row,) in found.split.rows] == [5, 2, 6, 1]
    assert [mark.tolist() for mark in found.split.marks] == [[0, 0, 1, 1, 1], [0, 0], [0] * 6, [0]]
    assert (found.truncated, found.divided) == (1, 1)
    joined = found.per_item([np.array(wanted) for wanted in found.split.targets])
    assert [row.tolist() for row in joined] == [[3, 4, 5], [6], [7]]


def test_a_word_without_tokens_is_refused():
    with pytest.raises(InputError, match="wanted words that the tokenizer has tokens for, got ''"):
        tokenize_words(FakeHarness(), [[""]], [np.array([0])])
