"""A Kneser-Ney trigram model: it scores generated text, and is a baseline of continuations."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmcompare.core.example import Ids


@dataclass(frozen=True)
class NGramCounts:
    """Counts of n-grams, each n-gram one integer key; sorted by key for binary search."""

    keys: Ids
    counts: NDArray[np.float64]

    @classmethod
    def of(cls, keys: Ids, weights: NDArray[np.float64] | None = None) -> "NGramCounts":
        """Count equal keys, or add up their weights."""
        unique, inverse = np.unique(keys, return_inverse=True)
        counts = np.bincount(inverse, weights=weights, minlength=len(unique))
        return cls(unique, counts.astype(np.float64))

    def __call__(self, keys: Ids) -> NDArray[np.float64]:
        """Return the count of each key, 0 if it has none. Shape in = shape out."""
        if not len(self.keys):
            return np.zeros(len(keys))
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[place] == keys, self.counts[place], 0.0)


class NGramTable:
    """The n-grams of one order; for each context, their total count and their number."""

    def __init__(self, counts: NGramCounts, vocab_size: int) -> None:
        context = counts.keys // vocab_size
        self.counts = counts
        self.total = NGramCounts.of(context, counts.counts)
        self.kinds = NGramCounts.of(context)


class TrigramModel:
    """Interpolated Kneser-Ney smoothing (Chen & Goodman 1999, section 2.7) with one discount.

    Args:
        tokens: (n,) tokens of the train split, fewer than 2^21 different ones.
        vocab_size: number of ids.
        discount: taken from each count.

    >>> model = TrigramModel(np.array([0, 1, 2, 0, 1, 2, 0, 1]), vocab_size=3)
    >>> p = np.exp([model.log_p(np.array([0, 1, w]))[2] for w in range(3)])
    >>> bool(abs(p.sum() - 1) < 1e-12)
    True
    """

    def __init__(self, tokens: Ids, vocab_size: int, discount: float = 0.75) -> None:
        self.vocab_size, self.discount = vocab_size, discount
        size = np.int64(vocab_size)
        tokens = tokens.astype(np.int64)
        # The key of the trigram a b c is (a V + b) V + c, so that its last bigram is key % V^2.
        trigrams = NGramCounts.of((tokens[:-2] * size + tokens[1:-1]) * size + tokens[2:])
        # Lower orders count the contexts in which an n-gram stands, not its occurrences.
        bigrams = NGramCounts.of(trigrams.keys % (size * size))
        self._trigrams, self._bigrams = (
            NGramTable(trigrams, vocab_size),
            NGramTable(bigrams, vocab_size),
        )
        self._unigrams = NGramCounts.of(bigrams.keys % size)

    @classmethod
    def of_rows(cls, rows: Any, vocab_size: int, *, tokens: int = 4_000_000) -> "TrigramModel":
        """Train on the first ``tokens`` tokens of a split, so that memory is bounded."""
        count = min(len(rows), max(1, tokens // len(rows[0]["tokens"])))
        return cls(np.concatenate(rows[:count]["tokens"]).astype(np.int64), vocab_size)

    def log_p(self, tokens: Ids) -> NDArray[np.float64]:
        """Return log p (nats) of each token given up to two before it. Shape (n,)."""
        tokens = tokens.astype(np.int64)
        # Unigrams, interpolated with the uniform distribution.
        total, kinds = self._unigrams.counts.sum(), len(self._unigrams.keys)
        p = np.maximum(self._unigrams(tokens) - self.discount, 0) / total
        p += self.discount * kinds / total / self.vocab_size
        # Bigrams with unigrams, then trigrams with bigrams.
        if len(tokens) > 1:
            p[1:] = self._interpolate(self._bigrams, tokens[:-1], tokens[1:], p[1:])
        if len(tokens) > 2:
            pairs = tokens[:-2] * np.int64(self.vocab_size) + tokens[1:-1]
            p[2:] = self._interpolate(self._trigrams, pairs, tokens[2:], p[2:])
        log_p: NDArray[np.float64] = np.log(p)
        return log_p

    def _interpolate(
        self, table: NGramTable, context: Ids, token: Ids, lower: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return p of one order from that of the order below; of an unseen context, the latter."""
        total = table.total(context)
        seen = np.maximum(total, 1)
        counts = table.counts(context * self.vocab_size + token)
        p = np.maximum(counts - self.discount, 0) / seen
        p += self.discount * table.kinds(context) / seen * lower
        return np.where(total > 0, p, lower)
