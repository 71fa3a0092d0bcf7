"""States of a network for texts and their words."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lmcompare.core.example import Example, Ids
from lmcompare.models.pooling import Pooling, WordStates, pool, words_of
from lmcompare.scoring import scorer as asking
from lmcompare.scoring.model_protocol import Model, several
from lmcompare.scoring.requests import fitting


def embed(
    model: Model, texts: Sequence[str], *, pooling: Pooling = "mean", layer: int | None = None
) -> NDArray[np.float32]:
    """Return one vector a text, pooled from the states (of the encoder, if there is one): (texts, width).

    Args:
        model: which is asked.
        texts: read as the objective reads them, with bos, eos, [CLS] or [SEP] where they belong.
        pooling: 'mean' over all inputs but padding, 'last' the state at the last input (eos, [SEP]), 'first' the
            state at the first ([CLS]).
        layer: None for the last states after the final norm; 0 for the embeddings, k for what leaves layer k.

    Raises:
        InputError: a text that the context does not hold, no such layer, no such pooling, or what is no list of texts.
    """
    rows = asking.ids_of(model.tokenizer.encode_batch(several(texts, "texts")))
    return pool_rows(model, rows, poolings=[pooling], layer=layer)[pooling]


def embed_tokens(
    model: Model, texts: Sequence[str], *, layer: int | None = None
) -> list[WordStates]:
    """Return, for each text, its words, where they stand, and the mean of the states of each word's tokens.

    Words are those of ``vocabulary.Pieces``; an empty text has none. ``layer`` and errors are those of ``embed``.
    """
    texts = several(texts, "texts")
    pieces = model.tokenizer.encode_with_offsets(texts)
    examples = _read(model, [piece.ids for piece in pieces])
    found: list[WordStates | None] = [None] * len(texts)
    for group, batch in asking.reading(
        model.network, model.tokenizer.special, examples, model.batch_tokens
    ):
        states = model.network.states(batch, layer).float().cpu().numpy()
        for i, row in zip(group, states, strict=True):
            found[i] = words_of(texts[i], pieces[i], examples[i].inputs, row)
    return [words for words in found if words is not None]


def pool_rows(
    model: Model, rows: Sequence[Ids], *, poolings: Sequence[Pooling], layer: int | None = None
) -> dict[Pooling, NDArray[np.float32]]:
    """Return for each pooling one vector a row of ids, from one pass. Shape (rows, width) each."""
    examples = _read(model, rows)
    found = {
        pooling: np.zeros((len(rows), model.network.hidden_size), dtype=np.float32)
        for pooling in poolings
    }
    for group, batch in asking.reading(
        model.network, model.tokenizer.special, examples, model.batch_tokens
    ):
        states = model.network.states(batch, layer)
        for pooling in poolings:
            found[pooling][group] = (
                pool(states, batch.attention_mask, pooling).float().cpu().numpy()
            )
    return found


def _read(model: Model, rows: Sequence[Ids]) -> list[Example]:
    special = model.tokenizer.special
    return [
        fitting(model.objective.encoding_example(row, special), model.context, f"texts[{i}]")
        for i, row in enumerate(rows)
    ]
