"""Which spans are cut out of a text, and the text with sentinels in their place: for the objectives that cut."""

import numpy as np
from numpy.typing import NDArray

from lmcompare.core.errors import InputError
from lmcompare.core.example import Ids, SpecialTokens


def cut_spans(
    tokens: Ids, special: SpecialTokens, rng: np.random.Generator, *, rate: float, mean_span: float
) -> tuple[Ids, list[Ids]]:
    """Cut ``rate`` of the ordinary tokens out in spans; special tokens are never cut.

    The spans are those of T5's `random_spans_noise_mask` (runs of kept and cut tokens in turn, each a random
    composition), but the count is rounded up or down at random (right on average), and the text may begin as well as
    end with a hole.

    Returns:
        The text with a sentinel for each span, and the spans in order, each after its sentinel.

    Raises:
        InputError: the vocabulary has fewer sentinels than there are spans.
    """
    cut = np.zeros(len(tokens), dtype=bool)
    places = np.flatnonzero(~special.is_special(tokens))
    cut[places] = _draw(len(places), rng, rate, mean_span)
    starts = cut & ~np.concatenate([[False], cut[:-1]])
    count = int(starts.sum())
    if count > len(special.sentinels):
        raise InputError(
            f"tokenizer.sentinels: wanted at least {count} for a block of {len(tokens)} tokens at corruption_rate "
            f"{rate} and mean_span_length {mean_span}, got {len(special.sentinels)}"
        )
    sentinel = np.array(special.sentinels[:count], dtype=np.int64)
    text = tokens.astype(np.int64)
    pieces = np.split(text[cut], np.flatnonzero(starts[cut])[1:]) if count else []
    spans = [np.concatenate([[name], piece]) for name, piece in zip(sentinel, pieces, strict=True)]
    text[starts] = sentinel
    return text[~cut | starts], spans


def _draw(
    length: int, rng: np.random.Generator, rate: float, mean_span: float
) -> NDArray[np.bool_]:
    """Draw which of ``length`` tokens are cut."""
    count = min(int(rate * length + rng.random()), length - 1)
    if count < 1:
        return np.zeros(length, dtype=bool)
    spans = max(1, min(round(count / mean_span), length - count))
    cut = _compose(count, spans, rng)
    kept = _compose(length - count + 2, spans + 1, rng)
    kept[0] -= 1
    kept[-1] -= 1
    runs = np.empty(2 * spans + 1, dtype=np.int64)
    runs[0::2], runs[1::2] = kept, cut
    return np.repeat(np.arange(2 * spans + 1) % 2 == 1, runs)


def _compose(total: int, parts: int, rng: np.random.Generator) -> Ids:
    """Draw one of the ways to write ``total`` as a sum of ``parts`` positive integers, all equally likely."""
    bars = np.sort(rng.choice(total - 1, parts - 1, replace=False)) + 1
    return np.diff(np.concatenate([[0], bars, [total]])).astype(np.int64)
