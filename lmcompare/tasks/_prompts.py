"""Texts rendered through a template, and cut so that what a task asks still fits into the
context."""

from collections.abc import Callable, Sequence
from string import Formatter
from typing import TYPE_CHECKING, Literal

import numpy as np

from lmcompare.core.errors import InputError
from lmcompare.core.example import Ids

if TYPE_CHECKING:
    from lmcompare.evaluation.harness import Harness

TruncationSide = Literal["right", "left"]


def fields_of(template: str, key: str = "template") -> list[str]:
    """Return the names in braces, in order; a brace that is meant as such is doubled.

    >>> fields_of("{question} {{given}} {prompt}")
    ['question', 'prompt']

    Raises:
        InputError: a brace without its fellow, or more than a name in braces.
    """
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise InputError(
            f"{key}: {error}; a brace that is no field is doubled: {{{{ or }}}}"
        ) from error
    for _, name, form, conversion in parts:
        if name is not None and (not name.isidentifier() or form or conversion):
            raise InputError(
                f"{key}: wanted the name of a column in braces, got {{{name}}} with more, or none"
            )
    return [name for _, name, _, _ in parts if name is not None]


def fit(
    harness: "Harness",
    render: Callable[[str], str],
    text: str,
    most: int,
    side: TruncationSide = "right",
) -> tuple[str, bool]:
    """Return ``render(text)``, and whether the text had to be cut for it to have at most ``most``
    tokens.

    Only the text loses tokens, never what ``render`` puts around it.

    Args:
        harness: encodes and decodes.
        render: puts the text into its template.
        text: what may be cut.
        most: tokens of the rendered text.
        side: which end of the text is cut off.

    Raises:
        InputError: not even an empty text fits.
    """
    whole = render(text)
    excess = len(harness.encode([whole])[0]) - most
    if excess <= 0:
        return whole, False
    (tokens,) = harness.encode([text])
    size = len(tokens)
    while excess > 0 and size > 0:
        size = max(0, size - excess)
        # A character that is cut in two decodes to U+FFFD.
        part = harness.decode([tokens[:size] if side == "right" else tokens[len(tokens) - size :]])[
            0
        ].strip("\ufffd")
        whole = render(part)
        excess = len(harness.encode([whole])[0]) - most
    if excess > 0:
        raise InputError(
            f"template: wanted one that fits into {most} tokens without its text, got {most + excess}"
        )
    return whole, True


def length_for(answers: Sequence[Ids], context: int) -> int:
    """Return how many tokens, the end counted, hold 95% of the answers whole: at most half of the
    context.

    >>> length_for([np.zeros(n, dtype=np.int64) for n in (1, 2, 3)], 128)
    4
    """
    return min(
        int(np.ceil(np.percentile([len(answer) + 1 for answer in answers], 95))), context // 2
    )
