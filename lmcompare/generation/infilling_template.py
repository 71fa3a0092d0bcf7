"""A text with masked spans, as typed: its markers, and how many tokens each stands for."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lmcompare.core.errors import InputError
from lmcompare.core.infilling_types import InfillingTemplate
from lmcompare.data.tokenizer import Tokenizer

HOLE = "<hole>"
"""Marks a span of unknown length."""

MASKS = ("[MASK]", "<mask>")
"""Mark one token each, beside the tokenizer's own mask."""


@dataclass(frozen=True)
class TypedTemplate:
    """A text with masked spans, as typed."""

    parts: list[str]
    """the text before, between and after the spans, without the white space before a span"""
    spaces: list[str]
    """that white space, one string a span"""
    lengths: list[int | None]
    """tokens of each span; None if unknown"""

    def ids(self, tokenizer: Tokenizer) -> InfillingTemplate:
        """Return the same as ids; what stands between the spans is tokenized apart."""
        return InfillingTemplate(
            [np.array(row, dtype=np.int64) for row in tokenizer.encode_batch(self.parts)],
            self.lengths,
        )

    def filled(self, fills: Sequence[str]) -> str:
        """Return the whole text; where a space was typed before a span, there is one.

        >>> TypedTemplate(["the film was", "!"], [" "], [1]).filled([" good"])
        'the film was good!'
        """
        pieces = [self.parts[0]]
        for space, new, part in zip(self.spaces, fills, self.parts[1:], strict=True):
            pieces += [new if new.startswith(" ") else space + new, part]
        return "".join(pieces)


def parse(text: str, mask_token: str | None = None) -> TypedTemplate:
    """Cut a text at its markers; markers with nothing but spaces between them are one span.

    >>> parse("the film was <mask> [MASK], a <hole>.")
    TypedTemplate(parts=['the film was', ', a', '.'], spaces=[' ', ' '], lengths=[2, None])

    Args:
        text: as typed.
        mask_token: the tokenizer's own mask, which marks one token as ``MASKS`` do.

    Raises:
        InputError: there is no marker.
    """
    known = [*dict.fromkeys([*MASKS, *([mask_token] if mask_token else []), HOLE])]
    mark = "|".join(re.escape(marker) for marker in sorted(known, key=len, reverse=True))
    matches = list(re.finditer(rf"( *)((?:{mark})(?: *(?:{mark}))*)", text))
    if not matches:
        raise InputError(f"text: wanted a hole in it ({', '.join(known)}), got none: {text!r}")
    edges = [0, *itertools.chain.from_iterable(match.span() for match in matches), len(text)]
    return TypedTemplate(
        parts=[text[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True)],
        spaces=[match[1] for match in matches],
        lengths=[
            None if HOLE in match[2] else len(re.findall(mark, match[2])) for match in matches
        ],
    )
