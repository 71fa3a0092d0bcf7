"""How likely a language model of your choice finds texts: perplexity and bits per byte under a judge."""

from typing import Any

import datasets
import evaluate
import numpy as np

from lmcompare.core.errors import InputError
from lmcompare.metrics._checks import judge, require_answers

_DESCRIPTION = """\
Perplexity under a judge: e to the power of the nats per token that a language model needs for the texts, over all of
them together. Lower is likelier, not better: a loop of one common word is likely. Comparable only under the same judge;
bits per byte also between judges with other tokens.
"""
_INPUTS = """
Args:
    predictions: (n,) texts.
    model: folder of the judge: a checkpoint or a network that lmcompare wrote. Causal, or an encoder-decoder whose
        likelihood is exact; a masked judge says its chain.
    per_item: also return each item's bits per byte. Default False.
Returns:
    {"perplexity": float, "bits_per_byte": float}; with per_item also {"items": (n,) bits per byte}.
Raises:
    InputError: there is no prediction, a text is empty, or there is no model.
Example:
    load("perplexity").compute(predictions=["a film"], model="results/sentiment/weights/causal-1")
"""
_CITATION = """\
Jelinek, Mercer, Bahl & Baker (1977). Perplexity: a measure of the difficulty of speech recognition tasks. JASA 62.
"""


class Perplexity(evaluate.Metric):  # type: ignore[misc]
    """Perplexity and bits per byte of texts under a judge (``LanguageModel.log_likelihood``)."""

    def _info(self) -> Any:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features({"predictions": datasets.Value("string")}),
            reference_urls=["https://huggingface.co/docs/transformers/perplexity"],
        )

    def _compute(
        self, predictions: list[str], model: str | None = None, per_item: bool = False
    ) -> dict[str, Any]:
        require_answers("perplexity", predictions)
        empty = next((item for item, text in enumerate(predictions) if not text), None)
        if empty is not None:
            raise InputError(f"perplexity: item {empty}: wanted a text, got an empty one")
        found = judge("perplexity", model).log_likelihood([""] * len(predictions), predictions)
        nats, tokens = -sum(one.sum for one in found), sum(len(one.tokens) for one in found)
        size = sum(one.completion_bytes for one in found)
        values = {
            "perplexity": float(np.exp(nats / tokens)),
            "bits_per_byte": float(nats / np.log(2) / size),
        }
        return values | ({"items": [float(one.bits_per_byte) for one in found]} if per_item else {})
