"""Random spans of a text, cut out and replaced by sentinels: for span corruption and GLM."""

import numpy as np
from numpy.typing import NDArray

from lmcompare.core.errors import InputError
from lmcompare.core.example import Ids, SpecialTokens, concat


def cut_spans(
    tokens: Ids, special: SpecialTokens, rng: np.random.Generator, *, rate: float, mean_span: float
) -> tuple[Ids, list[Ids]]:
    """Cut ``rate`` of the ordinary tokens out in spans; special tokens are never cut.

    The spans are those of T5's `random_spans_noise_mask`, but their total length is rounded at
    random (right on average), and the text may begin as well as end with a span.

    Returns:
        The text with a sentinel for each span, and the spans in order, each after its sentinel.

    Raises:
        InputError: the tokenizer has fewer sentinels than there are spans.
    """
    cut = np.zeros(len(tokens), dtype=bool)
    places = np.flatnonzero(~special.is_special(tokens))
    cut[places] = _draw_mask(len(places), rng, rate, mean_span)
    starts = cut & ~np.concatenate([[False], cut[:-1]])
    count = int(starts.sum())
    if count > len(special.sentinels):
        raise InputError(
            f"tokenizer.sentinels: wanted at least {count} for a sequence of {len(tokens)} tokens "
            f"at corruption_rate {rate} and mean_span_length {mean_span}, got "
            f"{len(special.sentinels)}"
        )
    sentinels = concat(special.sentinels[:count])
    text = concat(tokens)
    spans = np.split(text[cut], np.flatnonzero(starts[cut])[1:]) if count else []
    # The first token of each span becomes its sentinel; the rest of the span goes.
    text[starts] = sentinels
    return text[~cut | starts], [
        concat([sentinel], span) for sentinel, span in zip(sentinels, spans, strict=True)
    ]


def _draw_mask(
    length: int, rng: np.random.Generator, rate: float, mean_span: float
) -> NDArray[np.bool_]:
    """Draw which of ``length`` tokens are cut, in random runs."""
    count = min(int(rate * length + rng.random()), length - 1)
    if count < 1:
        return np.zeros(length, dtype=bool)
    spans = max(1, min(round(count / mean_span), length - count))
    cut = _composition(count, spans, rng)
    # The first and the last kept run may be empty.
    kept = _composition(length - count + 2, spans + 1, rng)
    kept[0] -= 1
    kept[-1] -= 1
    runs = np.empty(2 * spans + 1, dtype=np.int64)
    runs[0::2], runs[1::2] = kept, cut
    return np.repeat(np.arange(2 * spans + 1) % 2 == 1, runs)


def _composition(total: int, parts: int, rng: np.random.Generator) -> Ids:
    """Draw ``parts`` positive integers that add up to ``total``, all ways equally likely."""
    bars = np.sort(rng.choice(total - 1, parts - 1, replace=False)) + 1
    return np.diff(concat([0], bars, [total]))
