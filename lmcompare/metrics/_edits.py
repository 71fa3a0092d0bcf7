"""Edits (Levenshtein) between predicted and right texts, as a rate and item by item."""

from collections.abc import Callable, Sequence
from typing import Any

from rapidfuzz.distance import Levenshtein

from lmcompare.core.errors import InputError

URL = "https://jitsi.github.io/jiwer/"
CITATION = """
Morris, Maier & Green (2004). From WER and RIL to MER and WIL: improved evaluation measures for
connected speech recognition. Interspeech. Computed by rapidfuzz.
"""


def error_rate(
    name: str,
    unit: str,
    cut: Callable[[str], Sequence[str]],
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    per_item: bool,
) -> dict[str, Any]:
    """Return {name: sum of edits / sum of units of the references}.

    Args:
        name: of the rate.
        unit: 'word' or 'character', for the message.
        cut: a text into its units.
        predictions: (n,) texts.
        references: (n,) lists of one text.
        per_item: also return "items": (n, 2), each item's edits and the units of its reference.

    Raises:
        InputError: an item has several references, or the references have no unit at all.
    """
    items = []
    for item, (prediction, texts) in enumerate(zip(predictions, references, strict=True)):
        if len(texts) != 1:
            raise InputError(f"item {item}: wanted one reference, got {len(texts)}")
        units = cut(texts[0])
        items.append([Levenshtein.distance(units, cut(prediction)), len(units)])
    errors, total = (sum(column) for column in zip(*items, strict=True))
    if total == 0:
        raise InputError(f"wanted references of one {unit} or more, got only empty ones")
    return {name: errors / total} | ({"items": items} if per_item else {})
