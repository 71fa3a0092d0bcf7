"""A judge of generated text that no model trains with: an n-gram model, which favours no objective's architecture."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmcompare.core.example import Ids


@dataclass(frozen=True)
class NGramCounts:
    """Counts of n-grams, sorted by key, for look-up by binary search."""

    keys: Ids
    counts: NDArray[np.float64]

    @classmethod
    def of(cls, keys: Ids, weights: NDArray[np.float64] | None = None) -> "NGramCounts":
        """Count equal keys, or add up their weights."""
        found, inverse = np.unique(keys, return_inverse=True)
        return cls(
            found, np.bincount(inverse, weights=weights, minlength=len(found)).astype(np.float64)
        )

    def __call__(self, keys: Ids) -> NDArray[np.float64]:
        """Return the count of each key, 0 if it was not seen. Shape in = shape out."""
        if not len(self.keys):
            return np.zeros(len(keys))
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[place] == keys, self.counts[place], 0.0)


class TrigramModel:
    """A trigram model with interpolated Kneser-Ney smoothing (Chen & Goodman 1999, section 2.7), one discount.

    Args:
        stream: (n,) tokens of the train split.
        vocabulary: number of ids.
        discount: taken from each count.

    >>> model = TrigramModel(np.array([0, 1, 2, 0, 1, 2, 0, 1]), vocabulary=3)
    >>> bool(abs(np.exp([model.log_p(np.array([0, 1, w]))[2] for w in range(3)]).sum() - 1) < 1e-12)
    True
    """

    def __init__(self, stream: Ids, vocabulary: int, discount: float = 0.75) -> None:
        self.vocabulary, self.discount = vocabulary, discount
        size = np.int64(vocabulary)
        stream = stream.astype(np.int64)
        self._three = NGramCounts.of((stream[:-2] * size + stream[1:-1]) * size + stream[2:])
        # Lower orders count in how many contexts an n-gram stands, not how often.
        self._two = NGramCounts.of(self._three.keys % (size * size))
        self._one = NGramCounts.of(self._two.keys % size)
        self._after_two, self._kinds_after_two = self._contexts(self._three)
        self._after_one, self._kinds_after_one = self._contexts(self._two)
        self._total = self._one.counts.sum()

    @classmethod
    def of_rows(cls, rows: Any, vocabulary: int, *, tokens: int = 4_000_000) -> "TrigramModel":
        """Train on the first ``tokens`` tokens of a split's rows, so that memory does not grow with the corpus."""
        count = min(len(rows), max(1, tokens // len(rows[0]["tokens"])))
        return cls(np.concatenate(rows[:count]["tokens"]).astype(np.int64), vocabulary)

    def log_p(self, tokens: Ids) -> NDArray[np.float64]:
        """Return log p (nats) of each token given the two before it; the first two have less context. Shape (n,)."""
        size = np.int64(self.vocabulary)
        tokens = tokens.astype(np.int64)
        kinds = len(self._one.keys)
        p = np.maximum(self._one(tokens) - self.discount, 0) / self._total
        p += self.discount * kinds / self._total / self.vocabulary
        if len(tokens) > 1:
            p[1:] = self._mix(
                self._two, self._after_one, self._kinds_after_one, tokens[:-1], tokens[1:], p[1:]
            )
        if len(tokens) > 2:
            pair = tokens[:-2] * size + tokens[1:-1]
            p[2:] = self._mix(
                self._three, self._after_two, self._kinds_after_two, pair, tokens[2:], p[2:]
            )
        log_p: NDArray[np.float64] = np.log(p)
        return log_p

    def _mix(
        self,
        table: NGramCounts,
        after: NGramCounts,
        kinds: NGramCounts,
        context: Ids,
        token: Ids,
        lower: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Interpolate one order with the order below; a context never seen leaves the lower order alone."""
        total = after(context)
        seen = np.maximum(total, 1)
        high = np.maximum(table(context * self.vocabulary + token) - self.discount, 0) / seen
        return np.where(total > 0, high + self.discount * kinds(context) / seen * lower, lower)

    def _contexts(self, table: NGramCounts) -> tuple[NGramCounts, NGramCounts]:
        """Return how often and in how many kinds of n-gram each context stands."""
        context = table.keys // self.vocabulary
        return NGramCounts.of(context, table.counts), NGramCounts.of(context)
