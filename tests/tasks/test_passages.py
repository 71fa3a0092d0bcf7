from types import SimpleNamespace

import numpy as np

from lmcompare.data.items import TaskItem
from lmcompare.tasks._passages import tokenize_passages

CONTEXT = "The Rhine flows through Basel, Köln and 北京 to the sea."


def make_harness(tokenizer, context):
    return SimpleNamespace(
        context=context,
        encode=lambda texts: [np.array(row) for row in tokenizer.encode_batch(texts)],
        token_offsets=tokenizer.encode_with_offsets,
    )


def entry(answer, question="where?"):
    answers = [answer] if answer else []
    starts = [CONTEXT.index(answer)] if answer else []
    return TaskItem(
        "7", {"context": CONTEXT, "question": question, "answers": answers, "starts": starts}
    )


def answered(windows):
    """What a head says that knows the answer."""
    return [
        np.array([*wanted, 1.0 if wanted[0] >= 0 else -1.0]) for wanted in windows.split.targets
    ]


def test_the_tokens_of_an_answer_are_its_text_again(tokenizer):
    entries = [entry(answer) for answer in ("The Rhine", "Basel", "Köln", "北京", "sea")]
    found = tokenize_passages(make_harness(tokenizer, 200), entries)
    assert len(found.split.rows) == 5
    assert found.texts(entries, answered(found), unanswerable=False) == [
        "The Rhine",
        "Basel",
        "Köln",
        "北京",
        "sea",
    ]


def test_a_long_passage_is_read_in_windows_and_the_best_span_of_all_is_the_answer(tokenizer):
    entries = [entry("Basel"), entry("sea")]
    found = tokenize_passages(make_harness(tokenizer, 24), entries)
    assert len(found.split.rows) > 4
    assert all(len(row) <= 22 for (row,) in found.split.rows)
    assert found.lost == 0
    assert found.texts(entries, answered(found), unanswerable=False) == ["Basel", "sea"]


def test_a_question_without_an_answer(tokenizer):
    entries = [entry("")]
    found = tokenize_passages(make_harness(tokenizer, 200), entries)
    assert found.split.targets[0].tolist() == [-1, -1]
    said = [np.array([found.question_lengths[0], found.question_lengths[0], -0.5])]
    assert found.texts(entries, said, unanswerable=True) == [""]
    assert found.texts(entries, said, unanswerable=False) != [""]


def test_a_long_question_keeps_its_end_and_is_counted(tokenizer):
    found = tokenize_passages(make_harness(tokenizer, 24), [entry("Basel", "what " * 40)])
    assert found.truncated == 1
    assert set(found.question_lengths) == {11}


def test_an_answer_longer_than_a_window_is_counted(tokenizer):
    found = tokenize_passages(make_harness(tokenizer, 20), [entry(CONTEXT[:-5])])
    assert found.lost == 1
    assert all(wanted.tolist() == [-1, -1] for wanted in found.split.targets)
