"""Perplexity and bits per byte of texts under a language model of your choice."""

from typing import Any

import numpy as np

from lmcompare.core.errors import InputError
from lmcompare.metrics._judges import language_model
from lmcompare.metrics._metric import TEXT, metric


@metric(
    predictions=TEXT,
    higher_is_better=None,
    citation="""\
    Jelinek, Mercer, Bahl & Baker (1977). Perplexity: a measure of the difficulty of speech
    recognition tasks. JASA 62.
    """,
    url="https://huggingface.co/docs/transformers/perplexity",
)
def perplexity(
    predictions: list[str], model: str | None = None, per_item: bool = False
) -> dict[str, Any]:
    """Perplexity of texts under a language model: e to the power of its nats per token.

    Over all texts together. Lower is likelier, not better: a loop of one common word is likely.
    Comparable only under the same model; bits per byte also between models with other tokenizers.

    Args:
        predictions: (n,) texts.
        model: folder of the model that scores them: a checkpoint or a network that lmcompare wrote;
            a masked one scores by its chain.
        per_item: also return "items": (n,) each item's bits per byte.

    Returns:
        {"perplexity": float, "bits_per_byte": float}

    Raises:
        InputError: a text is empty, or there is no model.
    """
    for item, text in enumerate(predictions):
        if not text:
            raise InputError(f"item {item}: wanted a text, got an empty one")
    scores = language_model(model).log_likelihood([""] * len(predictions), predictions)
    nats = -sum(score.sum for score in scores)
    tokens = sum(len(score.tokens) for score in scores)
    size = sum(score.completion_bytes for score in scores)
    values = {
        "perplexity": float(np.exp(nats / tokens)),
        "bits_per_byte": float(nats / np.log(2) / size),
    }
    items = [float(score.bits_per_byte) for score in scores]
    return values | ({"items": items} if per_item else {})
