"""Text infilling and sentence permutation."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lmcompare.core.errors import InputError
from lmcompare.core.example import IGNORE, Example, Ids, SpecialTokens
from lmcompare.core.infilling import FilledSpans, InfillingNetwork, InfillingTemplate, SpanInContext
from lmcompare.core.settings import STRICT, Rate, Share
from lmcompare.objectives import OBJECTIVES, Family, Objective, Role


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

    def reads_right_context(self, special: SpecialTokens) -> bool:
        """Yes: the encoder does."""
        return True

    def infilling_examples(
        self, gap: SpanInContext, special: SpecialTokens, *, score_right: bool = False
    ) -> list[Example]:
        """Ask for the span where the decoder has written the left context."""
        return [guided_example(self, gap, special, score_right=score_right)]

    def fill_spans(self, template: InfillingTemplate, network: InfillingNetwork) -> FilledSpans:
        """Let the decoder write the text, free within the spans."""
        return fill_guided(self, template, network)

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


def guided_example(
    objective: Objective, gap: SpanInContext, special: SpecialTokens, *, score_right: bool
) -> Example:
    """Ask for a span where the encoder reads the text with a mask for it and the decoder has written its left context.

    The span is one mask, as in training; in a text to fill (``ends_text``) it is as many as it has tokens, since
    a marker stands for a token there.
    """
    masks = np.full(len(gap.span) if gap.ends_text else 1, special.mask)
    inputs = np.concatenate([gap.left, masks, gap.right]).astype(np.int64)
    whole = np.concatenate([gap.left, gap.span, gap.right if score_right else []]).astype(np.int64)
    places = np.arange(len(gap.left), len(whole))
    return _written(
        objective, objective.encoding_example(inputs, special).inputs, whole, places, special
    )


def _written(
    objective: Objective, inputs: Ids, text: Ids, places: Ids, special: SpecialTokens
) -> Example:
    """Ask for the tokens at some places of a text that the decoder writes."""
    start = _start(objective, special)
    targets = np.full(len(start) - 1 + len(text), IGNORE)
    targets[len(start) - 1 + places] = text[places]
    return Example(inputs, targets, np.concatenate([start, text[:-1]]))


def _start(objective: Objective, special: SpecialTokens) -> Ids:
    """Return what the decoder has read before its first token."""
    start = objective.generation_prompt(np.array([], dtype=np.int64), 1, special).decoder_inputs
    assert start is not None
    return start


def fill_guided(
    objective: Objective, template: InfillingTemplate, network: InfillingNetwork
) -> FilledSpans:
    """Let the decoder write the text, guided along what is known and free within the spans.

    The length, one for all spans of unknown length, is that whose whole text has the highest log p.
    """
    special = network.special
    if special.mask < 0:
        raise InputError("infill: wanted a vocabulary with sentinels or a mask, got neither")
    masks = [np.full(length or 1, special.mask) for length in template.lengths]
    inputs = objective.encoding_example(template.filled(masks), special).inputs
    start = _start(objective, special)
    prompt = Example(inputs, np.full(len(start), IGNORE), start)

    calls, candidates = 0, []
    for size in network.lengths if None in template.lengths else [1]:
        sizes = [size if length is None else length for length in template.lengths]
        plan = template.filled([np.full(length, -1) for length in sizes])
        rng = np.random.default_rng([network.seed, size])
        text = network.write(prompt, len(plan), rng=rng, allowed=TextPlan(plan, special))
        spans = list(np.split(text[plan < 0], np.cumsum(sizes)[:-1]))
        everywhere = np.arange(len(text))
        score = network.log_likelihood([_written(objective, inputs, text, everywhere, special)])
        calls += len(text) + 1
        candidates.append((score, spans))
    _, spans = max(candidates, key=lambda candidate: candidate[0])
    text, places = template.filled(spans), template.places(spans)
    score = network.log_likelihood([_written(objective, inputs, text, places, special)])
    return FilledSpans(spans, score, "exact", calls + 1)


@dataclass(frozen=True)
class TextPlan:
    """Which ids may come next: those of a known text, any ordinary one where it has -1."""

    text: Ids
    special: SpecialTokens

    def __call__(self, written: Ids) -> Ids:
        """Return the one token of the text, or all ordinary ones."""
        token = self.text[len(written)]
        return self.special.ordinary if token < 0 else np.array([token])
