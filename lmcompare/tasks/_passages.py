"""Questions and passages as rows of tokens: windows over a passage that is too long, and answers
back as text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lmcompare.core.errors import InputError
from lmcompare.core.example import Ids
from lmcompare.data.items import TaskItem
from lmcompare.data.tokenized_split import TokenizedSplit

if TYPE_CHECKING:
    from lmcompare.evaluation.harness import Harness

COLUMNS = ("context", "question", "answers", "starts")


@dataclass(frozen=True)
class PassageWindows:
    """Questions, each before a window of its passage.

    Attributes:
        part: a row a window: question, newline, window. An answer may lie in the window alone.
        owners: of each row, the number of its item.
        places: of each row, (tokens of the window, 2) the first and last (exclusive) character of
            the passage.
        before: of each row, the tokens before the window.
        truncated: questions that were cut, because they fill more than half a row.
        lost: answers that are whole in no window.
    """

    part: TokenizedSplit
    owners: list[int]
    places: list[Ids]
    before: list[int]
    truncated: int
    lost: int

    def texts(
        self, entries: Sequence[TaskItem], answers: Sequence[Any], *, none: bool
    ) -> list[str]:
        """Return the text of the best span of each item.

        Args:
            entries: the items.
            answers: of each row: first and last token, and by how much the span is better than
                none.
            none: whether '' is said where no span is better than none.
        """
        best = [(-np.inf, "")] * len(entries)
        for number, places, before, answer in zip(
            self.owners, self.places, self.before, answers, strict=True
        ):
            first, last, margin = int(answer[0]) - before, int(answer[1]) - before, float(answer[2])
            if margin > best[number][0]:
                text = entries[number].fields["context"][places[first, 0] : places[last, 1]]
                best[number] = (margin, text)
        return ["" if none and margin <= 0 else text for margin, text in best]


def answers_of(entry: TaskItem) -> list[str]:
    """Return the texts that are right: '' where the question has no answer."""
    return entry.fields["answers"] or [""]


def cut(harness: "Harness", entries: Sequence[TaskItem]) -> PassageWindows:
    """Encode questions and passages, and cut passages into windows that overlap by half.

    The first answer is the one that is wanted. A row and the two tokens that may stand around it
    fill the context.

    Raises:
        InputError: a passage without tokens.
    """
    room = harness.context - 2
    contexts = sorted({entry.fields["context"] for entry in entries})
    pieces = dict(zip(contexts, harness.token_offsets(contexts), strict=True))
    questions = harness.encode([entry.fields["question"] + "\n" for entry in entries])
    rows: list[tuple[Ids, ...]] = []
    wanted, marks, owners, places, before = [], [], [], [], []
    truncated = lost = 0
    for number, (entry, question) in enumerate(zip(entries, questions, strict=True)):
        piece = pieces[entry.fields["context"]]
        if not len(piece.ids):
            raise InputError(
                f"row {entry.id} of the source: wanted a context with text, got {entry.fields['context']!r}"
            )
        truncated += len(question) > room // 2
        question = question[-(room // 2) :]  # the newline stays
        first, last = _tokens(piece.spans, entry)
        found = False
        for start in _starts(len(piece.ids), room - len(question)):
            window = piece.ids[start : start + room - len(question)]
            inside = start <= first <= last < start + len(window)
            found |= inside
            rows.append((np.concatenate([question, window]),))
            marks.append(np.repeat([0, 1], [len(question), len(window)]))
            wanted.append(
                np.array([first, last]) - start + len(question) if inside else np.array([-1, -1])
            )
            owners.append(number)
            places.append(piece.spans[start : start + len(window)])
            before.append(len(question))
        lost += bool(entry.fields["answers"]) and not found
    return PassageWindows(
        TokenizedSplit(rows, wanted, marks), owners, places, before, truncated, lost
    )


def _tokens(spans: Ids, entry: TaskItem) -> tuple[int, int]:
    """Return the first and the last token of the first answer; (-1, -1) if there is none."""
    if not entry.fields["answers"]:
        return -1, -1
    start = entry.fields["starts"][0]
    inside = np.flatnonzero(
        (spans[:, 1] > start) & (spans[:, 0] < start + len(entry.fields["answers"][0]))
    )
    return (int(inside[0]), int(inside[-1])) if len(inside) else (-1, -1)


def _starts(length: int, size: int) -> list[int]:
    """Return where windows of ``size`` begin that together hold ``length`` tokens, each half over
    the one before.

    >>> _starts(10, 4), _starts(3, 4)
    ([0, 2, 4, 6], [0])
    """
    return [*range(0, max(length - size, 0), max(size // 2, 1)), max(length - size, 0)]
