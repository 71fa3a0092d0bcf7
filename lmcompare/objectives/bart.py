"""Text infilling and sentence permutation, BART's objective."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lmcompare.core.errors import InputError
from lmcompare.core.example import IGNORE, Example, Ids, SpecialTokens, concat, no_targets
from lmcompare.core.infilling_types import (
    FilledSpans,
    InfillingNetwork,
    InfillingTemplate,
    SpanInContext,
)
from lmcompare.core.settings import STRICT, Rate, Share
from lmcompare.objectives import OBJECTIVES, Family, Objective, Role


@OBJECTIVES.register("bart")
@dataclass(frozen=True)
class Bart:
    """Write a text from one with masked spans and shuffled sentences (Lewis et al. 2020, 2.2).

    Text infilling: span lengths are drawn from a Poisson distribution until ``mask_rate`` of the
    tokens is covered. Each span becomes one mask; a span of length 0 inserts one. Two masks never
    touch, and special tokens are never masked. Sentence permutation: the sentences of each document
    change places; the eos between documents stays. Every token is a target, eos too.

    >>> rng = np.random.default_rng(4)  # mask is 4
    >>> bart = Bart(mask_rate=0.34, mean_span_length=1, permute_sentences=False)
    >>> example = bart.training_example(np.array([5, 6, 7]), special, rng)
    >>> example.inputs.tolist(), example.decoder_inputs.tolist(), example.targets.tolist()
    ([5, 4, 7], [1, 5, 6], [5, 6, 7])

    The end of a sentence is known by its token, so a full stop within a number or word ends one
    too.
    """

    __pydantic_config__ = STRICT
    kind: ClassVar[str]
    role: ClassVar[Role] = "encoder-decoder"
    family: ClassVar[Family] = "denoising"
    exactness: ClassVar[str] = "exact"

    mask_rate: Share = 0.3
    """share of the tokens that masks stand for"""
    mean_span_length: Rate = 3.0
    """mean of the Poisson distribution of a span's length, in tokens"""
    permute_sentences: bool = True
    """shuffle the sentences of each document"""

    def training_example(
        self, tokens: Ids, special: SpecialTokens, rng: np.random.Generator
    ) -> Example:
        shuffled = shuffle_sentences(tokens, special, rng) if self.permute_sentences else tokens
        return self._example(self._infill(concat(shuffled), special, rng), tokens, special)

    def scoring_examples(
        self, prompt: Ids, completion: Ids, special: SpecialTokens
    ) -> list[Example]:
        """Predict the completion after the prompt; the encoder reads the prompt and a mask."""
        whole = self._example(concat(prompt, [special.mask]), concat(prompt, completion), special)
        targets = concat(no_targets(len(prompt)), whole.targets[len(prompt) :])
        return [Example(whole.inputs, targets, whole.decoder_inputs)]

    def generation_prompt(self, prompt: Ids, length: int, special: SpecialTokens) -> Example:
        decoder = concat([special.bos], prompt)
        return Example(concat(prompt, [special.mask]), no_targets(len(decoder)), decoder)

    def encoding_example(self, tokens: Ids, special: SpecialTokens) -> Example:
        """Read the text and eos in the encoder."""
        inputs = concat(tokens, [special.eos])
        return Example(inputs, no_targets(len(inputs)))

    def reads_right_context(self, special: SpecialTokens) -> bool:
        """Yes: the encoder does."""
        return True

    def infilling_examples(
        self, context: SpanInContext, special: SpecialTokens, *, score_right: bool = False
    ) -> list[Example]:
        """Predict the span where the decoder has written the left context."""
        return [guided_example(self, context, special, score_right=score_right)]

    def fill_spans(self, template: InfillingTemplate, network: InfillingNetwork) -> FilledSpans:
        """Let the decoder write the text, free within the spans."""
        return fill_guided(self, template, network)

    @staticmethod
    def _example(inputs: Ids, tokens: Ids, special: SpecialTokens) -> Example:
        return Example(concat(inputs), concat(tokens), concat([special.bos], tokens[:-1]))

    def _infill(self, tokens: Ids, special: SpecialTokens, rng: np.random.Generator) -> Ids:
        """Replace spans of ordinary tokens by one mask each."""
        places = np.flatnonzero(~special.is_special(tokens))
        count = int(self.mask_rate * len(places) + rng.random())
        if not count:
            return tokens
        kept = len(places) - count

        # Draw the spans. There are kept + 1 slots for them, between the kept tokens; if there are
        # more spans than slots, the last ones are joined.
        lengths = self._span_lengths(count, rng)
        if len(lengths) > kept + 1:
            lengths = [*lengths[:kept], sum(lengths[kept:])]
        slots = rng.choice(kept + 1, len(lengths), replace=False)
        span_length = np.zeros(kept + 1, dtype=np.int64)  # of each slot
        has_span = np.zeros(kept + 1, dtype=bool)
        span_length[slots], has_span[slots] = lengths, True

        # Lay the ordinary tokens out as slot, kept token, slot, ..., slot: those in slots are cut.
        runs = np.ones(2 * kept + 1, dtype=np.int64)
        runs[0::2] = span_length
        cut = np.zeros(len(tokens), dtype=bool)
        cut[places] = np.repeat(np.arange(2 * kept + 1) % 2 == 0, runs)
        starts = cut & ~np.concatenate([[False], cut[:-1]])

        # A span of length 0 inserts a mask before the ordinary token that follows its slot.
        empty = np.flatnonzero(has_span & (span_length == 0))
        cut_before = np.concatenate([[0], np.cumsum(span_length)])  # tokens cut before each slot
        insert_at = np.append(places, places[-1] + 1)[empty + cut_before[empty]]

        # The first token of each span becomes its mask; the rest of the span goes.
        masked = np.insert(np.where(starts, special.mask, tokens), insert_at, special.mask)
        infilled: Ids = masked[np.insert(~cut | starts, insert_at, True)]
        return infilled

    def _span_lengths(self, count: int, rng: np.random.Generator) -> list[int]:
        """Draw lengths until they add up to ``count``; the last one is cut short."""
        lengths = [int(rng.poisson(self.mean_span_length))]
        while sum(lengths) < count:
            lengths.append(int(rng.poisson(self.mean_span_length)))
        return [*lengths[:-1], lengths[-1] - (sum(lengths) - count)]


def shuffle_sentences(tokens: Ids, special: SpecialTokens, rng: np.random.Generator) -> Ids:
    """Return the sentences of each document in random order. Shape (n,) in, (n,) out.

    Documents end in eos. With 50 a full stop and 2 eos, ``5 6 50 7 50 2 8 50 9`` may become
    ``7 50 5 6 50 2 9 8 50``.

    Raises:
        InputError: the tokenizer does not say which tokens end a sentence.
    """
    if special.sentence_ends is None:
        raise InputError(
            "permute_sentences: wanted a tokenizer that says which tokens end a sentence "
            "(SpecialTokens.sentence_ends), got none; permute_sentences: false does without"
        )
    # A sentence begins after the last token of one, at an eos, and after an eos.
    eos = tokens == special.eos
    last = special.sentence_ends[tokens] & ~eos
    begins = np.concatenate([[True], (last | eos)[:-1]]) | eos
    sentences = np.split(tokens, np.flatnonzero(begins)[1:])

    # An eos begins a new document, and stays in its place.
    documents = np.cumsum([sentence[0] == special.eos for sentence in sentences])
    shuffled: list[Ids] = []
    for number in range(int(documents[-1]) + 1):
        own = [sentences[i] for i in np.flatnonzero(documents == number)]
        head = [own.pop(0)] if own and own[0][0] == special.eos else []
        shuffled += head + [own[i] for i in rng.permutation(len(own))]
    return np.concatenate(shuffled)


def guided_example(
    objective: Objective, context: SpanInContext, special: SpecialTokens, *, score_right: bool
) -> Example:
    """Predict a span from the masked text in the encoder and the left context in the decoder.

    The span is one mask, as in training; in a text to fill (``ends_text``) it is as many as it has
    tokens, since a marker stands for a token there.
    """
    masks = np.full(len(context.span) if context.ends_text else 1, special.mask)
    inputs = np.concatenate([context.left, masks, context.right]).astype(np.int64)
    whole = np.concatenate(
        [context.left, context.span, context.right if score_right else []]
    ).astype(np.int64)
    places = np.arange(len(context.left), len(whole))
    return _written(
        objective, objective.encoding_example(inputs, special).inputs, whole, places, special
    )


def _written(
    objective: Objective, inputs: Ids, text: Ids, places: Ids, special: SpecialTokens
) -> Example:
    """Predict the tokens at some places of a text that the decoder writes."""
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
        raise InputError("infill: wanted a tokenizer with sentinels or a mask, got neither")
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
