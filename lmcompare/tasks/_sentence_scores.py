"""Scores of whole sentences: (pseudo-)log-likelihoods that suit each kind of network."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lmcompare.core.infilling_types import SpanInContext
from lmcompare.scoring.requests import supports_pseudo_likelihood

if TYPE_CHECKING:
    from lmcompare.evaluation.harness import Harness

LIKELIHOOD = "the log-likelihood of the sentence, left to right"
MASKED = (
    "the pseudo-log-likelihood of the sentence, each token with the later ones of its word masked "
    "(PLL-word-l2r, Kauf & Ivanova 2023); by likelihood: the chain"
)
SPANNED = (
    "the pseudo-log-likelihood of the sentence, each word masked as a span and generated given all "
    "the others, token by token (PLL-word-l2r by spans); by likelihood: the whole sentence as one "
    "span"
)
_AT_ONCE = 256


@dataclass(frozen=True)
class SentenceScores:
    """Scores of n sentences, in nats; the eos after a sentence is not scored, and an empty one has
    0.
    """

    best: NDArray[np.float64]
    """(n,) by the procedure that suits the network: it ranks, but may be a pseudo-log-likelihood"""
    likelihood: NDArray[np.float64]
    """(n,) log p of the whole sentence: exact, or by the chain rule of a masked model"""
    procedure: str
    """what ``best`` is, for the report"""


def score_sentences(harness: "Harness", texts: Sequence[str]) -> SentenceScores:
    """Score sentences by the model of the harness.

    Networks that read only what stands before a token have an exact likelihood. The others are
    trained to predict a little of a text given the rest, and are scored so, one word at a time:
    masked models at masks (in batches, by ``LanguageModel.log_likelihood``), those that generate
    spans at spans.
    """
    model = harness.model
    filled = [i for i, text in enumerate(texts) if text]
    sentences = [texts[i] for i in filled]
    likelihood, best = np.zeros(len(texts)), np.zeros(len(texts))
    harness.progress({"done": 0, "total": 2, "stage": "likelihood"})
    likelihood[filled] = _sums(model, sentences)
    harness.progress({"done": 1, "total": 2, "stage": "word by word"})
    objective, special = model.objective, model.tokenizer.special
    if not objective.reads_right_context(special):
        return SentenceScores(likelihood, likelihood, LIKELIHOOD)
    if supports_pseudo_likelihood(objective, special):
        best[filled] = _sums(model, sentences, "pll-word-l2r")
        return SentenceScores(best, likelihood, MASKED)
    best[filled] = by_words(model, sentences)
    return SentenceScores(best, likelihood, SPANNED)


def _sums(model: Any, texts: Sequence[str], method: str | None = None) -> list[float]:
    if not texts:
        return []
    return [score.sum for score in model.log_likelihood([""] * len(texts), texts, method=method)]


def by_words(model: Any, texts: Sequence[str]) -> NDArray[np.float64]:
    """Return for each text the sum over its words of log p(word given all other words), in nats.
    Shape (texts,).

    Within a word each token is predicted given those before it: of a masked model this is
    PLL-word-l2r.
    """
    sums = np.zeros(len(texts))
    for first in range(0, len(texts), _AT_ONCE):
        requests, owners = [], []
        for i, piece in enumerate(
            model.tokenizer.encode_with_offsets(texts[first : first + _AT_ONCE])
        ):
            for word in np.unique(piece.words):
                (places,) = np.nonzero(piece.words == word)
                start, end = int(places[0]), int(places[-1]) + 1
                requests.append(
                    SpanInContext(piece.ids[:start], piece.ids[start:end], piece.ids[end:])
                )
                owners.append(first + i)
        np.add.at(sums, owners, [float(nats.sum()) for nats in model.score_gaps(requests)])
    return sums


def by_ngrams(harness: "Harness", texts: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Return the nats of each text under a unigram and a trigram model of the train split. Shape
    (texts,) each.
    """
    unigram, trigram = harness.unigram(), harness.trigram_baseline()
    rows = harness.encode(texts)
    return {
        "unigram": np.array([float(unigram[row].sum()) for row in rows]),
        "trigram": np.array([float(trigram.log_p(row).sum()) if len(row) else 0.0 for row in rows]),
    }
