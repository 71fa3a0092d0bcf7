"""Gaps in a text, in ids: how likely what stood there is, and the best that could stand there."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lmcompare.core.example import Ids
from lmcompare.generation import DecodedTokens
from lmcompare.generation import span_filling as filling
from lmcompare.scoring.model_protocol import Model, ask
from lmcompare.scoring.span_requests import SpanRequest, ask_gap, ask_whole

_HELD = 1024
"""Gaps whose examples are held at once."""


def score_gaps(
    model: Model, gaps: Sequence[SpanRequest], *, whole: bool = False
) -> list[NDArray[np.float64]]:
    """Return, for each gap, log p (nats) of each token of its span: see ``gap.ask_gap``.

    With ``whole``, the sum of a row is log p of the whole text but for what does not depend on the span, so that spans
    may be ranked whatever the model reads: see ``gap.ask_whole``.
    """
    found = []
    for first in range(0, len(gaps), _HELD):
        asked = [
            (ask_whole if whole else ask_gap)(model.objective, gap, model.tokenizer.special)
            for gap in gaps[first : first + _HELD]
        ]
        answers = iter(ask(model, [example for examples in asked for example in examples]))
        found += [np.concatenate([next(answers) for _ in examples]) for examples in asked]
    return found


def fill_gaps(model: Model, contexts: Sequence[tuple[Ids, Ids]], *, length: int) -> DecodedTokens:
    """Write the best ``length`` tokens between each left and right side: see ``decoding.gaps.fill_gaps``."""
    return filling.fill_gaps(
        model.network, model.objective, contexts, model.tokenizer.special, length=length
    )
