"""Edits between two texts, from jiwer's alignments, as a rate and item by item."""

from typing import Any

from lmcompare.core.errors import InputError


def error_rate(metric: str, noun: str, aligned: Any, per_item: bool) -> dict[str, Any]:
    """Return {metric: errors / units of the references} of jiwer's ``WordOutput`` or ``CharacterOutput``.

    Args:
        metric: its name.
        noun: what the units are, for the message.
        aligned: what ``jiwer.process_words`` or ``process_characters`` returned.
        per_item: also return "items": (n, 2), each item's errors and the units of its reference.

    Raises:
        InputError: the references have no unit at all.
    """
    items = [
        [
            sum(
                max(
                    chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx
                )
                for chunk in chunks
                if chunk.type != "equal"
            ),
            len(reference),
        ]
        for chunks, reference in zip(aligned.alignments, aligned.references, strict=True)
    ]
    errors, units = (sum(column) for column in zip(*items, strict=True))
    if units == 0:
        raise InputError(f"{metric}: wanted references of one {noun} or more, got only empty ones")
    return {metric: errors / units} | ({"items": items} if per_item else {})
