from types import SimpleNamespace

import numpy as np

from lmcompare.data.items import TaskItem
from lmcompare.tasks._passages import _starts, cut

CONTEXT = "The Rhine flows through Basel, Köln and 北京 to the sea."


def make_harness(tokenizer, context):
    return SimpleNamespace(
        context=context,
        encode=lambda texts: [np.array(row) for row in tokenizer.encode_batch(texts)],
        token_offsets=tokenizer.pieces,
    )


def entry(answer, question="where?"):
    answers = [answer] if answer else []
    starts = [CONTEXT.index(answer)] if answer else []
    return TaskItem(
        "7", {"context": CONTEXT, "question": question, "answers": answers, "starts": starts}
    )


def answered(windows):
    """What a head says that knows the answer."""
    return [np.array([*wanted, 1.0 if wanted[0] >= 0 else -1.0]) for wanted in windows.part.wanted]


def test_windows_overlap_by_half_and_hold_all():
    assert _starts(10, 4) == [0, 2, 4, 6]
    assert _starts(3, 4) == [0]
    assert _starts(5, 4) == [0, 1]


def test_the_tokens_of_an_answer_are_its_text_again(tokenizer):
    entries = [entry(answer) for answer in ("The Rhine", "Basel", "Köln", "北京", "sea")]
    found = cut(make_harness(tokenizer, 200), entries)
    assert len(found.part.rows) == 5
    assert found.texts(entries, answered(found), none=False) == [
        "The Rhine",
        "Basel",
        "Köln",
        "北京",
        "sea",
    ]


def test_a_long_passage_is_read_in_windows_and_the_best_span_of_all_is_the_answer(tokenizer):
    entries = [entry("Basel"), entry("sea")]
    found = cut(make_harness(tokenizer, 24), entries)
    assert len(found.part.rows) > 4
    assert all(len(row) <= 22 for (row,) in found.part.rows)
    assert found.lost == 0
    assert found.texts(entries, answered(found), none=False) == ["Basel", "sea"]


def test_a_question_without_an_answer(tokenizer):
    entries = [entry("")]
    found = cut(make_harness(tokenizer, 200), entries)
    assert found.part.wanted[0].tolist() == [-1, -1]
    said = [np.array([found.before[0], found.before[0], -0.5])]
    assert found.texts(entries, said, none=True) == [""]
    assert found.texts(entries, said, none=False) != [""]


def test_a_long_question_keeps_its_end_and_is_counted(tokenizer):
    found = cut(make_harness(tokenizer, 24), [entry("Basel", "what " * 40)])
    assert found.truncated == 1
    assert set(found.before) == {11}


def test_an_answer_longer_than_a_window_is_counted(tokenizer):
    found = cut(make_harness(tokenizer, 20), [entry(CONTEXT[:-5])])
    assert found.lost == 1
    assert all(wanted.tolist() == [-1, -1] for wanted in found.part.wanted)
