"""Scoring requests: a pair in tokens, the examples by which a method scores it, and windows over
long texts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lmcompare.core.errors import InputError, nearest
from lmcompare.core.example import IGNORE, Example, Ids, SpecialTokens
from lmcompare.data.tokenizer import Tokenizer
from lmcompare.objectives import Objective
from lmcompare.scoring.score_types import Method

METHODS = ("chain", "bound", "pll", "pll-word-l2r", "pll-whole-word")
PSEUDO = METHODS[2:]


@dataclass(frozen=True)
class TokenizedPair:
    """A prompt and a completion in tokens."""

    prompt: Ids
    """(p,) ids"""
    completion: Ids
    """(t,) ids"""
    words: Ids
    """(t,) number of the word of each token of the completion"""


def tokenize_pairs(
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    completions: Sequence[str],
    *,
    together: bool,
    words: bool,
) -> list[TokenizedPair]:
    """Cut pairs into tokens, as lm-evaluation-harness does (`TemplateLM._encode_pair`).

    White space at the end of a prompt goes to its completion. ``together`` (one stream of tokens:
    decoders, encoders): prompt and completion are tokenized as one text and cut after as many
    tokens as the prompt alone has; but if the prompt's own tokens do not begin that text, because a
    token reaches across the seam, they are tokenized apart. An encoder-decoder reads two texts:
    always apart, a translator's completion by its target side.

    Args:
        tokenizer: cuts texts.
        prompts: one text a pair; it may be empty.
        completions: one text a pair.
        together: see above.
        words: find the words, which takes longer; else each token is one.
    """
    # White space at the end of a prompt moves to its completion.
    bare = [prompt.rstrip() for prompt in prompts]
    moved = [
        prompt[len(kept) :] + text
        for prompt, kept, text in zip(prompts, bare, completions, strict=True)
    ]
    unique = list(dict.fromkeys(bare))  # several completions often share a prompt
    heads = dict(zip(unique, tokenizer.encode_batch(unique), strict=True))
    wholes = [kept + text for kept, text in zip(bare, moved, strict=True)] if together else moved

    # Tokens of what follows the prompt, and the number of each one's word.
    tokenizer = tokenizer if together else tokenizer.target
    if words:
        pieces = tokenizer.encode_with_offsets(wholes)
        ids, numbers = [piece.ids.tolist() for piece in pieces], [piece.words for piece in pieces]
    else:
        ids = tokenizer.encode_batch(wholes)
        numbers = [np.arange(len(row)) for row in ids]

    pairs = []
    for prompt, row, number, text in zip(bare, ids, numbers, moved, strict=True):
        head = heads[prompt]
        seam = len(head) if together else 0
        if seam and (len(row) <= seam or row[:seam] != head):  # a token reaches across
            (piece,) = tokenizer.encode_with_offsets([text])
            pairs.append(TokenizedPair(np.array(head, dtype=np.int64), piece.ids, piece.words))
        else:
            both = np.array(head + row[seam:], dtype=np.int64)
            pairs.append(TokenizedPair(both[: len(head)], both[len(head) :], number[seam:]))
    return pairs


@dataclass(frozen=True)
class ScoringRequest:
    """An example and where its answers belong."""

    example: Example
    """with k targets"""
    places: Ids
    """(k,) which tokens of the completion the targets are"""
    weight: float = 1.0
    """of each target's log-probability in the sum of its token"""


def scoring_requests(
    objective: Objective,
    pair: TokenizedPair,
    special: SpecialTokens,
    method: Method | None = None,
    *,
    draws: int = 16,
    rng: np.random.Generator | None = None,
) -> Iterator[ScoringRequest]:
    """Yield the examples by which a method scores a pair; weighted and summed into their places,
    their log p are the tokens' nats.

    - None, or 'chain' for a masked model: as the objective says (``scoring_examples``).
    - 'pll': each token with all others read (Salazar et al. 2020, section 2.1).
    - 'pll-word-l2r': each token with the later ones of its word masked, too (Kauf & Ivanova 2023,
      section 3).
    - 'pll-whole-word': each token with all of its word masked (the same).
    - 'bound': ``draws`` times, k of the t tokens masked, k uniform on 1 to t (stratified over the
      draws), each counting t / k: in expectation at most log p, whatever k's order (Uria et al.
      2014, equation 8).

    With prompt 5, completion 6 7 of one word, and mask 4:

    >>> from lmcompare.objectives.masked import Masked
    >>> pair = TokenizedPair(np.array([5]), np.array([6, 7]), np.array([0, 0]))
    >>> for method in ("chain", "pll", "pll-word-l2r", "pll-whole-word"):
    ...     requests = scoring_requests(Masked(), pair, special, method)
    ...     print(method, [request.example.inputs.tolist() for request in requests])
    chain [[5, 4, 4], [5, 6, 4]]
    pll [[5, 4, 7], [5, 6, 4]]
    pll-word-l2r [[5, 4, 4], [5, 6, 4]]
    pll-whole-word [[5, 4, 4]]

    Raises:
        InputError: no such method, or none for this objective.
    """
    if method is not None and method not in METHODS:
        raise InputError(
            f"method: wanted one of {', '.join(METHODS)}, got {method!r}{nearest(method, METHODS)}"
        )
    if method is not None and objective.role != "encoder":
        raise InputError(
            f"method: {objective.kind!r} ({objective.role}) has one likelihood, an exact one; "
            f"wanted no method, got {method!r}, which is for masked models"
        )
    if method in (None, "chain"):
        place = 0
        for example in objective.scoring_examples(pair.prompt, pair.completion, special):
            count = int(example.has_target.sum())
            yield ScoringRequest(example, np.arange(place, place + count))
            place += count
        return
    unmasked = _unmasked(objective, pair, special)
    for masked, scored, weight in _masks(method, pair.words, draws, rng):
        yield ScoringRequest(unmasked.example(masked, scored), scored, weight)


def _masks(
    method: Method | None, words: Ids, draws: int, rng: np.random.Generator | None
) -> Iterator[tuple[Ids, Ids, float]]:
    """Yield which of a completion's t tokens are masked, which of those are scored, and the weight
    of each score.
    """
    count = len(words)
    if method == "bound":
        rng = np.random.default_rng(0) if rng is None else rng
        for draw in range(draws):
            size = 1 + int(count * (draw + rng.random()) / draws)
            masked = np.sort(rng.permutation(count)[:size])
            yield masked, masked, count / size / draws
    elif method == "pll-whole-word":
        for word in np.unique(words):
            masked = np.flatnonzero(words == word)
            yield masked, masked, 1.0
    else:
        for t in range(count):
            later = np.flatnonzero((words == words[t]) & (np.arange(count) >= t))
            yield later if method == "pll-word-l2r" else np.array([t]), np.array([t]), 1.0


@dataclass(frozen=True)
class _Unmasked:
    """The inputs with no token of the completion masked."""

    inputs: Ids
    first: int
    """where the completion begins"""
    completion: Ids
    mask: int

    def example(self, masked: Ids, scored: Ids) -> Example:
        """Mask some tokens of the completion, and make some of them targets."""
        inputs, targets = self.inputs.copy(), np.full(len(self.inputs), IGNORE, dtype=np.int64)
        inputs[self.first + masked] = self.mask
        targets[self.first + scored] = self.completion[scored]
        return Example(inputs, targets)


def _unmasked(objective: Objective, pair: TokenizedPair, special: SpecialTokens) -> _Unmasked:
    example = objective.scoring_examples(pair.prompt, pair.completion, special)[0]
    first = int(np.flatnonzero(example.has_target)[0])
    inputs, stop = example.inputs.copy(), first + len(pair.completion)
    if not (inputs[first:stop] == special.mask).all() or stop > len(inputs):
        raise InputError(
            f"method: {objective.kind!r} does not predict tokens where their masks stand; wanted "
            "method None or 'chain'"
        )
    inputs[first:stop] = pair.completion
    return _Unmasked(inputs, first, pair.completion, special.mask)


def predicts_at_masks(example: Example, special: SpecialTokens) -> bool:
    """Return whether the targets of an example stand where its inputs have masks, as those of a
    masked LM do.

    >>> predicts_at_masks(Example(np.array([5, 4, 7]), np.array([IGNORE, 6, IGNORE])), special)
    True
    """
    at_masks = example.decoder_inputs is None and example.attention == "full"
    return at_masks and bool((example.inputs[example.has_target] == special.mask).all())


def supports_pseudo_likelihood(objective: Objective, special: SpecialTokens) -> bool:
    """Return whether the pseudo-likelihood methods score this objective: a masked LM that predicts
    at its masks.
    """
    if objective.role != "encoder":
        return False
    token = special.ordinary[:1]
    (example,) = objective.scoring_examples(token, token, special)
    return predicts_at_masks(example, special)


def fitting(example: Example, context: int | None, where: str) -> Example:
    """Return an example that the context holds (None: of any length); ``where`` is a path such as
    'texts[3]'.

    Raises:
        InputError: the example is longer.
    """
    decoder = 0 if example.decoder_inputs is None else len(example.decoder_inputs)
    count = max(len(example.inputs), decoder)
    if context is not None and count > context:
        raise InputError(
            f"{where}: wanted at most {context} tokens, what stands around a text included, which "
            f"is what the context holds, got {count}; bits_per_byte and surprisal read longer "
            "texts in windows"
        )
    return example


@dataclass(frozen=True)
class ContextLimits:
    """How many tokens of text fit into a network's context. None: any number."""

    together: int | None
    """of prompt and completion, where they share a stack"""
    prompt: int | None
    """of the prompt alone"""
    completion: int | None
    """of the completion alone"""

    @classmethod
    def of(
        cls, objective: Objective, special: SpecialTokens, context: int | None
    ) -> "ContextLimits":
        """Measure what the objective adds to a prompt and a completion of one token each."""
        if context is None:
            return cls(None, None, None)
        token = np.array([special.ordinary[0]], dtype=np.int64)
        example = objective.scoring_examples(token, token, special)[0]
        if example.decoder_inputs is None:
            room = context + 2 - len(example.inputs)
            # With an empty prompt, a decoder may need a token to begin from.
            (alone, *_) = objective.scoring_examples(token[:0], token, special)
            return cls(room, room - 1, context + 1 - len(alone.inputs))
        return cls(
            None, context + 1 - len(example.inputs), context + 1 - len(example.decoder_inputs)
        )

    def check(self, pairs: Sequence[TokenizedPair], *, cut: bool) -> list[TokenizedPair]:
        """Return pairs that fit; ``cut`` drops the start of a prompt that does not, as
        lm-evaluation-harness does.

        Raises:
            InputError: a pair that does not fit.
        """
        return [self._fit(i, pair, cut) for i, pair in enumerate(pairs)]

    def _fit(self, i: int, pair: TokenizedPair, cut: bool) -> TokenizedPair:
        p, t = len(pair.prompt), len(pair.completion)
        if self.completion is not None and t > self.completion:
            raise InputError(
                f"completions[{i}]: wanted at most {self.completion} tokens, which is what the "
                f"context holds, got {t}; bits_per_byte and surprisal read longer texts in windows"
            )
        most = self.prompt
        if self.together is not None:
            most = max(0, min(self.prompt or 0, self.together - t))
        if most is None or p <= most:
            return pair
        if not cut:
            raise InputError(
                f"prompts[{i}]: wanted at most {most} tokens before a completion of {t}, which is "
                f"what the context holds, got {p}; log_likelihood(cut=True) drops the start of "
                "such a prompt"
            )
        return TokenizedPair(pair.prompt[p - most :], pair.completion, pair.words)

    def windows(self, count: int, stride: int | None) -> list[tuple[int, int, int]]:
        """Return (first token read, first scored, end) of each window over a text of ``count``
        tokens.

        Each token is scored once. The first window scores as many as fit, each later one the next
        ``stride`` with as much before them as fits. With stride None they score as many as fit
        after one token of prompt, which is `loglikelihood_rolling` of lm-evaluation-harness
        (`utils.get_rolling_token_windows` with context_len=1).

        >>> ContextLimits(4, 3, 4).windows(10, 2)
        [(0, 0, 4), (2, 4, 6), (4, 6, 8), (6, 8, 10)]

        Raises:
            InputError: the stride leaves no room for a prompt, or the context none for a window.
        """
        if self.completion is None and stride is None:
            return [(0, 0, count)]
        size = self.completion if self.completion is not None else stride or count
        most = size if self.together is None else self.together - 1
        step = most if stride is None else stride
        if self.completion is not None and most < 1:
            raise InputError(
                f"context: wanted room for {size - most + 1} or more tokens of text in a window, "
                f"got room for {max(size, 0)}"
            )
        if not 1 <= step <= most:
            raise InputError(f"stride: wanted from 1 to {most} tokens, got {stride}")
        first = min(count, step if self.together is None else size)
        windows = [(0, 0, first)]
        while windows[-1][2] < count:
            start = windows[-1][2]
            end = min(count, start + step)
            room = self.prompt if self.together is None else self.together - (end - start)
            windows.append((0 if room is None else max(0, start - room), start, end))
        return windows
