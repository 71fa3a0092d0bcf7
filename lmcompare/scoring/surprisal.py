"""Surprisal of the tokens of a text."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lmcompare.data.word_boundaries import TokenOffsets
from lmcompare.models.pooling import word_spans
from lmcompare.scoring.log_likelihood import rolling_log_likelihood
from lmcompare.scoring.model_protocol import ScoredModel, check_text
from lmcompare.scoring.score_types import Method, exactness_of

if TYPE_CHECKING:
    from pandas import DataFrame


def surprisal(
    model: ScoredModel, text: str, *, stride: int | None = None, method: Method | None = None
) -> "DataFrame":
    """Return a pandas frame, one row a token.

    Its columns are ``token``, ``word``, ``word_number``, ``start``, ``end`` and ``surprisal``:
    -log2 p in bits (for a pseudo method, -log2 of the pseudo-likelihood). ``start`` and ``end`` are
    characters of the text. Sum over ``word_number`` for words. ``frame.attrs["exactness"]`` says
    what the numbers are.

    Raises:
        InputError: as ``bits_per_byte``.
    """
    ((pieces, tokens),) = rolling_log_likelihood(model, [check_text(text, "text")], stride, method)
    frame = surprisal_frame(text, pieces, tokens)
    frame.attrs["exactness"] = exactness_of(model.objective.exactness, method)
    return frame


def surprisal_frame(text: str, pieces: TokenOffsets, nats: NDArray[np.float64]) -> "DataFrame":
    """Return one row a token: ``token``, ``word``, ``word_number``, ``start``, ``end`` and
    ``surprisal`` in bits.

    >>> spans = np.array([[0, 4], [5, 7], [7, 9]])
    >>> pieces = TokenOffsets(np.array([8, 5, 6]), spans, np.array([0, 1, 1]))
    >>> surprisal_frame("long film", pieces, np.log([0.5, 0.25, 1.0])).values.tolist()
    [['long', 'long', 0, 0, 4, 1.0], ['fi', 'film', 1, 5, 7, 2.0], ['lm', 'film', 1, 7, 9, -0.0]]
    """
    import pandas as pd  # slow to load, and needed here alone

    words = [text[start:end] for start, end in word_spans(pieces)]
    return pd.DataFrame(
        {
            "token": [text[start:end] for start, end in pieces.spans],
            "word": [words[number] for number in pieces.words],
            "word_number": pieces.words,
            "start": pieces.spans[:, 0],
            "end": pieces.spans[:, 1],
            "surprisal": -nats / np.log(2),
        }
    )
