"""From texts to questions: how a pair is cut into tokens, what a method asks, and windows over long texts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lmcompare.core.errors import InputError, nearest
from lmcompare.core.example import IGNORE, Example, Ids, SpecialTokens
from lmcompare.data.tokenizer import Tokenizer
from lmcompare.objectives import Objective
from lmcompare.scoring.likelihood import Method

METHODS = ("chain", "bound", "pll", "pll-word-l2r", "pll-whole-word")
PSEUDO = METHODS[2:]


@dataclass(frozen=True)
class TokenizedPair:
    """A prompt and a completion in tokens. t tokens are scored.

    Attributes:
        prompt: (p,) ids.
        completion: (t,) ids.
        words: (t,) number of the word of each token of the completion.
    """

    prompt: Ids
    completion: Ids
    words: Ids


def pairs_of(
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    completions: Sequence[str],
    *,
    together: bool,
    words: bool,
) -> list[TokenizedPair]:
    """Cut pairs into tokens, as lm-evaluation-harness does (`TemplateLM._encode_pair`).

    White space at the end of a prompt goes to its completion. ``together`` (one stream of tokens: decoders, encoders):
    prompt and completion are tokenised as one text and cut after as many tokens as the prompt alone has; but if the
    prompt's own tokens do not begin that text, because a token reaches across the seam, they are tokenised apart. An
    encoder-decoder reads two texts: always apart, a translator's completion by its target side.

    Args:
        tokenizer: cuts texts.
        prompts: one text a pair; it may be empty.
        completions: one text a pair.
        together: see above.
        words: find the words, which takes longer; else each token is one.
    """
    bare = [prompt.rstrip() for prompt in prompts]
    moved = [
        prompt[len(kept) :] + text
        for prompt, kept, text in zip(prompts, bare, completions, strict=True)
    ]
    once = list(dict.fromkeys(bare))  # several completions often share a prompt
    known = dict(zip(once, tokenizer.encode_batch(once), strict=True))
    wholes = [kept + text for kept, text in zip(bare, moved, strict=True)] if together else moved
    tokenizer = tokenizer if together else tokenizer.target
    if words:
        pieces = tokenizer.encode_with_offsets(wholes)
        ids, numbers = [piece.ids.tolist() for piece in pieces], [piece.words for piece in pieces]
    else:
        ids = tokenizer.encode_batch(wholes)
        numbers = [np.arange(len(row)) for row in ids]
    found = []
    for prompt, row, number, text in zip(bare, ids, numbers, moved, strict=True):
        head = known[prompt]
        cut = len(head) if together else 0
        if cut and (len(row) <= cut or row[:cut] != head):
            (piece,) = tokenizer.encode_with_offsets([text])
            found.append(TokenizedPair(np.array(head, dtype=np.int64), piece.ids, piece.words))
        else:
            both = np.array(head + row[cut:], dtype=np.int64)
            found.append(TokenizedPair(both[: len(head)], both[len(head) :], number[cut:]))
    return found


@dataclass(frozen=True)
class ScoringRequest:
    """One Example and where its answers belong.

    Attributes:
        example: with k targets.
        places: (k,) which tokens of the completion they are.
        weight: what each answer counts.
    """

    example: Example
    places: Ids
    weight: float = 1.0


def ask_pair(
    objective: Objective,
    pair: TokenizedPair,
    special: SpecialTokens,
    method: Method | None = None,
    *,
    draws: int = 16,
    rng: np.random.Generator | None = None,
) -> Iterator[ScoringRequest]:
    """Yield what a method asks about a pair; the weighted answers, summed into their places, are the tokens' nats.

    - None, or 'chain' for a masked model: as the objective says (``scoring_examples``).
    - 'pll': each token with all others read (Salazar et al. 2020, section 2.1).
    - 'pll-word-l2r': each token with the later ones of its word masked, too (Kauf & Ivanova 2023, section 3).
    - 'pll-whole-word': each token with all of its word masked (the same).
    - 'bound': ``draws`` times, k of the t tokens masked and asked, k uniform on 1 to t (stratified over the draws),
      each answer counting t / k: in expectation at most log p, whatever k's order (Uria et al. 2014, equation 8).

    With prompt 5, completion 6 7 of one word, and mask 4:

    >>> from lmcompare.objectives.masked import Masked
    >>> pair = TokenizedPair(np.array([5]), np.array([6, 7]), np.array([0, 0]))
    >>> for method in ("chain", "pll", "pll-word-l2r", "pll-whole-word"):
    ...     print(method, [one.example.inputs.tolist() for one in ask_pair(Masked(), pair, special, method)])
    chain [[5, 4, 4], [5, 6, 4]]
    pll [[5, 4, 7], [5, 6, 4]]
    pll-word-l2r [[5, 4, 4], [5, 6, 4]]
    pll-whole-word [[5, 4, 4]]

    Raises:
        InputError: no such method, or none for this objective.
    """
    count = len(pair.completion)
    if method is not None and method not in METHODS:
        raise InputError(
            f"method: wanted one of {', '.join(METHODS)}, got {method!r}{nearest(method, METHODS)}"
        )
    if method is not None and objective.role != "encoder":
        raise InputError(
            f"method: {objective.kind!r} ({objective.role}) has one likelihood, an exact one; wanted no method, got "
            f"{method!r}, which is for masked models"
        )
    if method in (None, "chain"):
        place = 0
        for example in objective.scoring_examples(pair.prompt, pair.completion, special):
            asked = int(example.has_target.sum())
            yield ScoringRequest(example, np.arange(place, place + asked))
            place += asked
        return
    template, first = _template(objective, pair, special)
    rng = np.random.default_rng(0) if rng is None else rng
    if method == "bound":
        for draw in range(draws):
            masked = 1 + int(count * (draw + rng.random()) / draws)
            places = np.sort(rng.permutation(count)[:masked])
            yield ScoringRequest(
                _mask(template, first, pair.completion, places, places, special),
                places,
                count / masked / draws,
            )
        return
    if method == "pll-whole-word":
        for word in np.unique(pair.words):
            places = np.flatnonzero(pair.words == word)
            yield ScoringRequest(
                _mask(template, first, pair.completion, places, places, special), places
            )
        return
    for t in range(count):
        later = np.flatnonzero((pair.words == pair.words[t]) & (np.arange(count) >= t))
        hidden = later if method == "pll-word-l2r" else np.array([t])
        yield ScoringRequest(
            _mask(template, first, pair.completion, hidden, np.array([t]), special), np.array([t])
        )


def _template(objective: Objective, pair: TokenizedPair, special: SpecialTokens) -> tuple[Ids, int]:
    """Return the inputs with the whole completion unmasked, and where it begins."""
    example = objective.scoring_examples(pair.prompt, pair.completion, special)[0]
    first = int(np.flatnonzero(example.has_target)[0])
    inputs, stop = example.inputs.copy(), first + len(pair.completion)
    if not (inputs[first:stop] == special.mask).all() or stop > len(inputs):
        raise InputError(
            f"method: {objective.kind!r} does not ask where its masks stand; wanted method None or 'chain'"
        )
    inputs[first:stop] = pair.completion
    return inputs, first


def _mask(
    template: Ids, first: int, completion: Ids, hidden: Ids, asked: Ids, special: SpecialTokens
) -> Example:
    inputs, targets = template.copy(), np.full(len(template), IGNORE, dtype=np.int64)
    inputs[first + hidden] = special.mask
    targets[first + asked] = completion[asked]
    return Example(inputs, targets)


def fitting(example: Example, context: int | None, where: str) -> Example:
    """Return an example that the context holds.

    Args:
        example: what a network would read.
        context: tokens that it may read at once; None: any number.
        where: what the user gave, such as 'texts[3]'.

    Raises:
        InputError: the example is longer.
    """
    decoder = 0 if example.decoder_inputs is None else len(example.decoder_inputs)
    count = max(len(example.inputs), decoder)
    if context is not None and count > context:
        raise InputError(
            f"{where}: wanted at most {context} tokens, what stands around a text included, which is what the context "
            f"holds, got {count}; bits_per_byte and surprisal read longer texts in windows"
        )
    return example


@dataclass(frozen=True)
class ContextLimits:
    """How many tokens of text fit into a network's context. None: any number.

    Attributes:
        together: of prompt and completion, where they share a stack.
        prompt: of the prompt alone.
        completion: of the completion alone.
    """

    together: int | None
    prompt: int | None
    completion: int | None

    @classmethod
    def of(
        cls, objective: Objective, special: SpecialTokens, context: int | None
    ) -> "ContextLimits":
        """Measure what the objective adds to a prompt and a completion of one token each."""
        if context is None:
            return cls(None, None, None)
        one = np.array([special.ordinary[0]], dtype=np.int64)
        example = objective.scoring_examples(one, one, special)[0]
        if example.decoder_inputs is None:
            room = context + 2 - len(example.inputs)
            # With an empty prompt, a decoder may need a token to begin from.
            alone = context + 1 - len(objective.scoring_examples(one[:0], one, special)[0].inputs)
            return cls(room, room - 1, alone)
        return cls(
            None, context + 1 - len(example.inputs), context + 1 - len(example.decoder_inputs)
        )

    def check(self, pairs: Sequence[TokenizedPair], *, cut: bool) -> list[TokenizedPair]:
        """Return pairs that fit.

        Args:
            pairs: as they are.
            cut: drop the start of a prompt that does not fit, as lm-evaluation-harness does; else refuse it.

        Raises:
            InputError: a pair that does not fit.
        """
        return [self._fit(i, pair, cut) for i, pair in enumerate(pairs)]

    def _fit(self, i: int, pair: TokenizedPair, cut: bool) -> TokenizedPair:
        p, t = len(pair.prompt), len(pair.completion)
        if self.completion is not None and t > self.completion:
            raise InputError(
                f"completions[{i}]: wanted at most {self.completion} tokens, which is what the context holds, got {t}; "
                "bits_per_byte and surprisal read longer texts in windows"
            )
        most = (
            self.prompt
            if self.together is None
            else max(0, min(self.prompt or 0, self.together - t))
        )
        if most is None or p <= most:
            return pair
        if not cut:
            raise InputError(
                f"prompts[{i}]: wanted at most {most} tokens before a completion of {t}, which is what the context "
                f"holds, got {p}; log_likelihood(cut=True) drops the start of such a prompt"
            )
        return TokenizedPair(pair.prompt[p - most :], pair.completion, pair.words)

    def windows(self, count: int, stride: int | None) -> list[tuple[int, int, int]]:
        """Return (first token read, first scored, end) of each window over a text of ``count`` tokens.

        Each token is scored once. The first window scores as many as fit, each later one the next ``stride`` with as
        much before them as fits. With stride None they score as many as fit after one token of prompt, which is
        `loglikelihood_rolling` of lm-evaluation-harness (`utils.get_rolling_token_windows` with context_len=1).

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
                f"context: wanted room for {size - most + 1} or more tokens of text in a window, got room for "
                f"{max(size, 0)}"
            )
        if not 1 <= step <= most:
            raise InputError(f"stride: wanted from 1 to {most} tokens, got {stride}")
        first = min(count, step if self.together is None else size)
        found = [(0, 0, first)]
        while found[-1][2] < count:
            start = found[-1][2]
            end = min(count, start + step)
            room = self.prompt if self.together is None else self.together - (end - start)
            found.append((0 if room is None else max(0, start - room), start, end))
        return found
