"""Embeddings of texts and of their words."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from lmcompare.core.example import Ids
from lmcompare.models.network import BatchTensors
from lmcompare.models.pooling import Pooling, WordStates, pool, words_of
from lmcompare.scoring.model_protocol import ScoredModel, check_texts
from lmcompare.scoring.requests import fitting
from lmcompare.scoring.scorer import as_ids, batches_by_length


def embed(
    model: ScoredModel, texts: Sequence[str], *, pooling: Pooling = "mean", layer: int | None = None
) -> NDArray[np.float32]:
    """Return one vector a text, pooled from the states (of the encoder, if there is one): (texts,
    hidden size).

    Args:
        model: with its tokenizer and objective.
        texts: read as the objective reads them, with bos, eos, [CLS] or [SEP] where they belong.
        pooling: 'mean' over all inputs but padding, 'last' the state at the last input (eos,
            [SEP]), 'first' the state at the first ([CLS]).
        layer: None for the last states after the final norm; 0 for the embeddings, k for what
            leaves layer k.

    Raises:
        InputError: a text that the context does not hold, no such layer, no such pooling, or what
            is no list of texts.
    """
    rows = as_ids(model.tokenizer.encode_batch(check_texts(texts, "texts")))
    return pool_rows(model, rows, poolings=[pooling], layer=layer)[pooling]


def embed_tokens(
    model: ScoredModel, texts: Sequence[str], *, layer: int | None = None
) -> list[WordStates]:
    """Return, for each text, its words, where they stand, and the mean of the states of each word's
    tokens.

    Words are those of ``word_boundaries.TokenOffsets``; an empty text has none. ``layer`` and
    errors are those of ``embed``.
    """
    texts = check_texts(texts, "texts")
    pieces = model.tokenizer.encode_with_offsets(texts)
    words: list[WordStates | None] = [None] * len(texts)
    for group, batch in _batches(model, [piece.ids for piece in pieces]):
        # (texts, inputs, hidden size)
        states = model.network.states(batch, layer).float().cpu().numpy()
        inputs = batch.inputs.cpu().numpy()
        for i, row, read in zip(group, states, inputs, strict=True):
            words[i] = words_of(texts[i], pieces[i], read, row)
    return [item for item in words if item is not None]


def pool_rows(
    model: ScoredModel,
    rows: Sequence[Ids],
    *,
    poolings: Sequence[Pooling],
    layer: int | None = None,
) -> dict[Pooling, NDArray[np.float32]]:
    """Return for each pooling one vector a row of ids, from one pass. Shape (rows, hidden size)
    each.
    """
    vectors = {
        pooling: np.zeros((len(rows), model.network.hidden_size), dtype=np.float32)
        for pooling in poolings
    }
    for group, batch in _batches(model, rows):
        states = model.network.states(batch, layer)
        for pooling in poolings:
            pooled = pool(states, batch.attention_mask, pooling)
            vectors[pooling][group] = pooled.float().cpu().numpy()
    return vectors


def _batches(model: ScoredModel, rows: Sequence[Ids]) -> Iterator[tuple[list[int], BatchTensors]]:
    special = model.tokenizer.special
    examples = [
        fitting(model.objective.encoding_example(row, special), model.context, f"texts[{i}]")
        for i, row in enumerate(rows)
    ]
    return batches_by_length(model.network, special, examples, model.batch_tokens)
