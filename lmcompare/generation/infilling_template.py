"""A text with holes: where its markers are, and how many tokens each takes."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lmcompare.core.errors import InputError
from lmcompare.core.example import Ids
from lmcompare.data.tokenizer import Tokenizer

HOLE = "<hole>"
"""Marks a hole of unknown length."""

MASKS = ("[MASK]", "<mask>")
"""Mark one token each, beside the tokenizer's own mask."""


@dataclass(frozen=True)
class InfillingTemplate:
    """A text with holes, as ids.

    Attributes:
        parts: what stands before, between and after the holes: one more than there are holes.
        sizes: tokens that each hole takes; None if unknown.
    """

    parts: list[Ids]
    sizes: list[int | None]

    def filled(self, fills: Sequence[Ids]) -> Ids:
        """Return the whole text with the fills in the holes."""
        pieces = [self.parts[0]]
        for part, new in zip(self.parts[1:], fills, strict=True):
            pieces += [new, part]
        return np.concatenate(pieces).astype(np.int64)

    def places(self, fills: Sequence[Ids]) -> Ids:
        """Return where the fills stand in the whole text, in order."""
        place, found = 0, [np.array([], dtype=np.int64)]
        for part, new in zip(self.parts, fills, strict=False):
            place += len(part)
            found.append(np.arange(place, place + len(new)))
            place += len(new)
        return np.concatenate(found)


@dataclass(frozen=True)
class TypedTemplate:
    """A text with holes, as typed.

    Attributes:
        parts: the text before, between and after the holes, without the spaces before a hole.
        spaces: those spaces, one string a hole.
        sizes: tokens that each hole takes; None if unknown.
    """

    parts: list[str]
    spaces: list[str]
    sizes: list[int | None]

    def ids(self, tokenizer: Tokenizer) -> InfillingTemplate:
        """Return the same as ids; what stands between the holes is tokenised apart."""
        return InfillingTemplate(
            [np.array(row, dtype=np.int64) for row in tokenizer.encode_batch(self.parts)],
            self.sizes,
        )

    def filled(self, fills: Sequence[str]) -> str:
        """Return the whole text; where a space was typed before a hole, there is one.

        >>> TypedTemplate(["the film was", "!"], [" "], [1]).filled([" good"])
        'the film was good!'
        """
        pieces = [self.parts[0]]
        for space, new, part in zip(self.spaces, fills, self.parts[1:], strict=True):
            pieces += [new if new.startswith(" ") else space + new, part]
        return "".join(pieces)


def parse(text: str, mask_token: str | None = None) -> TypedTemplate:
    """Cut a text at its markers; markers with nothing but spaces between them are one hole.

    >>> parse("the film was <mask> [MASK], a <hole>.")
    TypedTemplate(parts=['the film was', ', a', '.'], spaces=[' ', ' '], sizes=[2, None])

    Args:
        text: as typed.
        mask_token: the tokenizer's own mask, which marks one token as ``MASKS`` do.

    Raises:
        InputError: there is no marker.
    """
    known = [*dict.fromkeys([*MASKS, *([mask_token] if mask_token else []), HOLE])]
    mark = "|".join(re.escape(marker) for marker in sorted(known, key=len, reverse=True))
    found = list(re.finditer(rf"( *)((?:{mark})(?: *(?:{mark}))*)", text))
    if not found:
        raise InputError(f"text: wanted a hole in it ({', '.join(known)}), got none: {text!r}")
    edges = [0, *itertools.chain.from_iterable(match.span() for match in found), len(text)]
    return TypedTemplate(
        parts=[text[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True)],
        spaces=[match[1] for match in found],
        sizes=[None if HOLE in match[2] else len(re.findall(mark, match[2])) for match in found],
    )
