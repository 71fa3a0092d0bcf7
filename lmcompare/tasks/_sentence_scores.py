"""What whole sentences are worth to each kind of network, by the route that suits it and by its likelihood."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lmcompare.scoring.span_requests import SpanRequest, answering, reads_right

if TYPE_CHECKING:
    from lmcompare.evaluation.harness import Harness

LIKELIHOOD = "the log-likelihood of the sentence, left to right"
MASKED = (
    "the pseudo-log-likelihood of the sentence, each token with the later ones of its word masked (PLL-word-l2r, "
    "Kauf & Ivanova 2023); by likelihood: the chain"
)
SPANNED = (
    "the pseudo-log-likelihood of the sentence, each word cut out and written given all the others, token by token "
    "(PLL-word-l2r by spans); by likelihood: the whole sentence written into one hole"
)
_AT_ONCE = 256


@dataclass(frozen=True)
class SentenceScores:
    """Scores of n sentences, in nats; the eos after a sentence is not scored, and an empty one has 0.

    Attributes:
        best: (n,) by the route that suits the network: it ranks, but may be a pseudo-log-likelihood.
        likelihood: (n,) log p of the whole sentence after an empty prompt: exact, or the chain of a masked model.
        route: what ``best`` is, for the report.
    """

    best: NDArray[np.float64]
    likelihood: NDArray[np.float64]
    route: str


def score_sentences(harness: "Harness", texts: Sequence[str]) -> SentenceScores:
    """Score sentences by the network under test.

    Networks that read only what stands before a token say the sentence by their exact likelihood. The others are
    trained to say a little of a text given the rest, and are asked so, one word at a time: masked models at masks, by
    ``LanguageModel.log_likelihood``, which never holds more than some batches; those that write spans by holes.
    """
    model = harness.model
    asked = [i for i, text in enumerate(texts) if text]
    given = [texts[i] for i in asked]
    likelihood, best = np.zeros(len(texts)), np.zeros(len(texts))
    harness.progress({"done": 0, "total": 2, "stage": "likelihood"})
    likelihood[asked] = _sums(model, given)
    harness.progress({"done": 1, "total": 2, "stage": "word by word"})
    objective = answering(model.objective)
    if not reads_right(objective, model.tokenizer.special):
        return SentenceScores(likelihood, likelihood, LIKELIHOOD)
    if objective.role == "encoder" and not getattr(objective, "shifted", False):
        best[asked] = _sums(model, given, "pll-word-l2r")
        return SentenceScores(best, likelihood, MASKED)
    best[asked] = by_words(model, given)
    return SentenceScores(best, likelihood, SPANNED)


def _sums(model: Any, texts: Sequence[str], method: str | None = None) -> list[float]:
    if not texts:
        return []
    return [score.sum for score in model.log_likelihood([""] * len(texts), texts, method=method)]


def by_words(model: Any, texts: Sequence[str]) -> NDArray[np.float64]:
    """Return for each text the sum over its words of log p(word given all other words), in nats. Shape (texts,).

    Within a word each token is asked given those before it: for a masked model this is PLL-word-l2r.
    """
    found = np.zeros(len(texts))
    for first in range(0, len(texts), _AT_ONCE):
        gaps, owners = [], []
        for i, piece in enumerate(
            model.tokenizer.encode_with_offsets(texts[first : first + _AT_ONCE])
        ):
            for word in np.unique(piece.words):
                (places,) = np.nonzero(piece.words == word)
                start, end = int(places[0]), int(places[-1]) + 1
                gaps.append(SpanRequest(piece.ids[:start], piece.ids[start:end], piece.ids[end:]))
                owners.append(first + i)
        np.add.at(found, owners, [float(nats.sum()) for nats in model.score_gaps(gaps)])
    return found


def by_ngrams(harness: "Harness", texts: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Return the nats of each text under a unigram and a trigram model of the train split. Shape (texts,) each."""
    unigram, trigram = harness.unigram(), harness.trigram_baseline()
    rows = harness.encode(texts)
    return {
        "unigram": np.array([float(unigram[row].sum()) for row in rows]),
        "trigram": np.array([float(trigram.log_p(row).sum()) if len(row) else 0.0 for row in rows]),
    }
