"""Text infilling and sentence permutation."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lmcompare.core.errors import InputError
from lmcompare.core.example import IGNORE, Example, Ids, SpecialTokens
from lmcompare.core.settings import STRICT, Rate, Share
from lmcompare.objectives import OBJECTIVES, Family, Role


@OBJECTIVES.register("bart")
@dataclass(frozen=True)
class Bart:
    """Write a whole text from one whose sentences are shuffled and whose spans are masks (Lewis et al. 2020, 2.2).

    Section 2.2, 'text infilling': the lengths of spans are drawn from a Poisson distribution until ``mask_rate`` of the
    tokens is covered; each span becomes a single mask, and one of length 0 is a mask put in. Two masks never touch.
    'Sentence permutation': the sentences of each document in a block change places; the eos between documents stays.
    Special tokens are never masked. Every token is asked for, eos between documents too.

    >>> rng = np.random.default_rng(4)  # mask is 4
    >>> example = Bart(mask_rate=0.34, mean_span_length=1, permute_sentences=False).training_example(np.array([5, 6, 7]), special, rng)
    >>> example.inputs.tolist(), example.decoder_inputs.tolist(), example.targets.tolist()
    ([5, 4, 7], [1, 5, 6], [5, 6, 7])

    Where sentences end is known token by token: a full stop within a number or a word would end one too.
    """

    __pydantic_config__ = STRICT
    kind: ClassVar[str]
    role: ClassVar[Role] = "encoder-decoder"
    family: ClassVar[Family] = "denoising"
    exactness: ClassVar[str] = "exact"
    share: ClassVar[float] = 1.0

    mask_rate: Share = 0.3
    """share of the tokens that masks stand for"""
    mean_span_length: Rate = 3.0
    """mean of the Poisson distribution of a span's length, in tokens"""
    permute_sentences: bool = True
    """shuffle the sentences of each document"""

    def training_example(
        self, tokens: Ids, special: SpecialTokens, rng: np.random.Generator
    ) -> Example:
        """Corrupt the text and ask for all of it."""
        shuffled = shuffle_sentences(tokens, special, rng) if self.permute_sentences else tokens
        return self._ask(self._infill(shuffled.astype(np.int64), special, rng), tokens, special)

    def scoring_examples(
        self, prompt: Ids, completion: Ids, special: SpecialTokens
    ) -> list[Example]:
        """Ask for the completion where the encoder reads the prompt and a mask, and the decoder has read the prompt."""
        whole = self._ask(
            np.append(prompt, special.mask), np.concatenate([prompt, completion]), special
        )
        targets = whole.targets.copy()
        targets[: len(prompt)] = IGNORE
        return [Example(whole.inputs, targets, whole.decoder_inputs)]

    def generation_prompt(self, prompt: Ids, length: int, special: SpecialTokens) -> Example:
        """Read the prompt and a mask; the decoder has read bos and the prompt."""
        decoder = np.concatenate([[special.bos], prompt]).astype(np.int64)
        return Example(
            np.append(prompt, special.mask).astype(np.int64), np.full(len(decoder), IGNORE), decoder
        )

    def encoding_example(self, tokens: Ids, special: SpecialTokens) -> Example:
        """Let the encoder read the text and eos; the decoder is left out."""
        inputs = np.append(tokens, special.eos).astype(np.int64)
        return Example(inputs, np.full(len(inputs), IGNORE))

    @staticmethod
    def _ask(inputs: Ids, tokens: Ids, special: SpecialTokens) -> Example:
        decoder = np.concatenate([[special.bos], tokens[:-1]]).astype(np.int64)
        return Example(inputs.astype(np.int64), tokens.astype(np.int64), decoder)

    def _infill(self, tokens: Ids, special: SpecialTokens, rng: np.random.Generator) -> Ids:
        """Put masks for spans: each span goes before, between or after the ordinary tokens that are kept."""
        places = np.flatnonzero(~special.is_special(tokens))
        count = int(self.mask_rate * len(places) + rng.random())
        if not count:
            return tokens
        kept = len(places) - count
        lengths = self._lengths(count, rng)
        lengths = [*lengths[:kept], sum(lengths[kept:])] if len(lengths) > kept + 1 else lengths
        gaps = rng.choice(kept + 1, len(lengths), replace=False)
        span, put = np.zeros(kept + 1, dtype=np.int64), np.zeros(kept + 1, dtype=bool)
        span[gaps], put[gaps] = lengths, True
        runs = np.ones(2 * kept + 1, dtype=np.int64)
        runs[0::2] = span
        cut = np.zeros(len(tokens), dtype=bool)
        cut[places] = np.repeat(np.arange(2 * kept + 1) % 2 == 0, runs)
        starts = cut & ~np.concatenate([[False], cut[:-1]])
        empty = np.flatnonzero(put & (span == 0))
        before = (
            empty + np.concatenate([[0], np.cumsum(span)])[empty]
        )  # which ordinary token an empty span precedes
        at = np.append(places, places[-1] + 1)[before]
        inputs = np.insert(np.where(starts, special.mask, tokens), at, special.mask)
        kept_inputs: Ids = inputs[np.insert(~cut | starts, at, True)]
        return kept_inputs

    def _lengths(self, count: int, rng: np.random.Generator) -> list[int]:
        lengths = [int(rng.poisson(self.mean_span_length))]
        while sum(lengths) < count:
            lengths.append(int(rng.poisson(self.mean_span_length)))
        return [*lengths[:-1], lengths[-1] - (sum(lengths) - count)]


def shuffle_sentences(tokens: Ids, special: SpecialTokens, rng: np.random.Generator) -> Ids:
    """Return the sentences of each document (documents end in eos) in random order. Shape (n,) in, (n,) out.

    With 50 a full stop and 2 eos, ``5 6 50 7 50 2 8 50 9`` may become ``7 50 5 6 50 2 9 8 50``.

    Raises:
        InputError: the vocabulary does not say which tokens end a sentence.
    """
    if special.sentence_ends is None:
        raise InputError(
            "permute_sentences: wanted a vocabulary that says which tokens end a sentence (Special.sentence_ends), got none; "
            "permute_sentences: false does without"
        )
    eos = tokens == special.eos
    last = special.sentence_ends[tokens] & ~eos
    begins = np.concatenate([[True], (last | eos)[:-1]]) | eos
    pieces = np.split(tokens, np.flatnonzero(begins)[1:])
    documents = np.cumsum([piece[0] == special.eos for piece in pieces])
    moved: list[Ids] = []
    for number in range(int(documents[-1]) + 1):
        mine = [pieces[i] for i in np.flatnonzero(documents == number)]
        head = [mine.pop(0)] if mine and mine[0][0] == special.eos else []
        moved += head + [mine[i] for i in rng.permutation(len(mine))]
    return np.concatenate(moved)
