"""Questions and passages as rows of tokens: overlapping windows, and predicted spans back as
text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lmcompare.core.errors import InputError
from lmcompare.core.example import Ids
from lmcompare.data.items import TaskItem
from lmcompare.data.tokenized_split import TokenizedSplit
from lmcompare.tasks.base import SPECIAL_TOKENS

if TYPE_CHECKING:
    from lmcompare.evaluation.harness import Harness


@dataclass(frozen=True)
class PassageWindows:
    """Questions, each before a window of its passage."""

    split: TokenizedSplit
    """a row a window: question, newline, window. An answer may lie in the window alone"""
    item_of_row: list[int]
    spans: list[Ids]
    """of each row, (tokens of the window, 2) the first and last (exclusive) character of the
    passage"""
    question_lengths: list[int]
    """of each row, the tokens before the window"""
    truncated: int
    """questions that were cut, because they fill more than half a row"""
    lost: int
    """answers that are whole in no window"""

    def texts(
        self, items: Sequence[TaskItem], predictions: Sequence[Any], *, unanswerable: bool
    ) -> list[str]:
        """Return the text of the best span of each item.

        Args:
            items: the questions.
            predictions: of each row: first and last token, and by how much the span is better than
                none.
            unanswerable: whether the answer is '' where no span is better than none.
        """
        best = [(-np.inf, "")] * len(items)
        for number, spans, length, prediction in zip(
            self.item_of_row, self.spans, self.question_lengths, predictions, strict=True
        ):
            first, last = int(prediction[0]) - length, int(prediction[1]) - length
            margin = float(prediction[2])
            if margin > best[number][0]:
                text = items[number].fields["context"][spans[first, 0] : spans[last, 1]]
                best[number] = (margin, text)
        return ["" if unanswerable and margin <= 0 else text for margin, text in best]


def answers_of(item: TaskItem) -> list[str]:
    """Return the right answers: '' where the question has none."""
    return item.fields["answers"] or [""]


def tokenize_passages(harness: "Harness", items: Sequence[TaskItem]) -> PassageWindows:
    """Encode questions and passages, and cut passages into windows that overlap by half.

    The first answer is the one to predict. A row and the special tokens around it fill the context.

    Raises:
        InputError: a passage without tokens.
    """
    room = harness.context - SPECIAL_TOKENS
    contexts = sorted({item.fields["context"] for item in items})
    passages = dict(zip(contexts, harness.token_offsets(contexts), strict=True))
    questions = harness.encode([item.fields["question"] + "\n" for item in items])
    rows: list[tuple[Ids, ...]] = []
    wanted, marks, item_of_row, spans, question_lengths = [], [], [], [], []
    truncated = lost = 0
    for number, (item, question) in enumerate(zip(items, questions, strict=True)):
        passage = passages[item.fields["context"]]
        if not len(passage.ids):
            raise InputError(
                f"row {item.id} of the source: wanted a context with text, got "
                f"{item.fields['context']!r}"
            )
        truncated += len(question) > room // 2
        question = question[-(room // 2) :]  # the newline stays
        length, size = len(question), room - len(question)
        first, last = _answer_tokens(passage.spans, item)
        answered = False
        for start in _window_starts(len(passage.ids), size):
            window = passage.ids[start : start + size]
            inside = start <= first <= last < start + len(window)
            answered |= inside
            rows.append((np.concatenate([question, window]),))
            marks.append(np.repeat([0, 1], [length, len(window)]))
            wanted.append(
                np.array([first, last]) - start + length if inside else np.array([-1, -1])
            )
            item_of_row.append(number)
            spans.append(passage.spans[start : start + len(window)])
            question_lengths.append(length)
        lost += bool(item.fields["answers"]) and not answered
    split = TokenizedSplit(rows, wanted, marks)
    return PassageWindows(split, item_of_row, spans, question_lengths, truncated, lost)


def _answer_tokens(spans: Ids, item: TaskItem) -> tuple[int, int]:
    """Return the first and the last token of the first answer; (-1, -1) if there is none."""
    if not item.fields["answers"]:
        return -1, -1
    start = item.fields["starts"][0]
    end = start + len(item.fields["answers"][0])
    inside = np.flatnonzero((spans[:, 1] > start) & (spans[:, 0] < end))
    return (int(inside[0]), int(inside[-1])) if len(inside) else (-1, -1)


def _window_starts(length: int, size: int) -> list[int]:
    """Return where windows of ``size`` begin that together hold ``length`` tokens, overlapping by
    half.

    >>> _window_starts(10, 4), _window_starts(3, 4), _window_starts(5, 4)
    ([0, 2, 4, 6], [0], [0, 1])
    """
    return [*range(0, max(length - size, 0), max(size // 2, 1)), max(length - size, 0)]
