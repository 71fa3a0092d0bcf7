"""Bits that a model needs for a byte of text: sum of bits over sum of UTF-8 bytes."""

from typing import Any

import datasets
import evaluate
import numpy as np

from lmcompare.core.errors import InputError
from lmcompare.metrics._checks import amounts, require_answers

_DESCRIPTION = """\
Bits per byte: the negative log-likelihood of all texts, in bits, over their length in UTF-8 bytes. Unlike perplexity it
does not depend on the vocabulary. 0 at best, 8 for random bytes, lower is better.
"""
_INPUTS = """
Args:
    predictions: (n,) -ln p(text) of each text, in nats.
    references: (n,) length of each text in UTF-8 bytes.
Returns:
    {"bits_per_byte": float}: sum of bits / sum of bytes, not the mean of the ratios: a long text counts for more.
Raises:
    InputError: there is no text, no byte, or an amount is negative or not finite.
Example:
    >>> load("bits_per_byte").compute(predictions=[2.0794415416798357, 0.6931471805599453], references=[2, 2])
    {'bits_per_byte': 1.0}
"""
_CITATION = "Gao et al. (2020). The Pile: an 800GB dataset of diverse text for language modeling. arXiv:2101.00027."


class BitsPerByte(evaluate.Metric):  # type: ignore[misc]
    """Sum of bits over sum of bytes."""

    def _info(self) -> Any:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features(
                {"predictions": datasets.Value("float64"), "references": datasets.Value("int64")}
            ),
            reference_urls=["https://arxiv.org/abs/2101.00027"],
        )

    def _compute(self, predictions: list[float], references: list[int]) -> dict[str, float]:
        require_answers("bits_per_byte", predictions)
        nats = amounts("bits_per_byte", "nats", predictions)
        length = amounts("bits_per_byte", "bytes", references).sum()
        if length == 0:
            raise InputError("bits_per_byte: wanted texts of one byte or more, got only empty ones")
        return {"bits_per_byte": float(nats.sum() / np.log(2) / length)}
