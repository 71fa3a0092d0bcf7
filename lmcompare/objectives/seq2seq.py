"""Span corruption, T5's objective."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from lmcompare.core.errors import InputError
from lmcompare.core.example import IGNORE, Example, Ids, SpecialTokens, concat, no_targets
from lmcompare.core.infilling_types import (
    FilledSpans,
    InfillingNetwork,
    InfillingTemplate,
    SpanInContext,
)
from lmcompare.core.settings import STRICT, Share
from lmcompare.objectives import OBJECTIVES, Family, Objective, Role
from lmcompare.objectives._spans import cut_spans


@OBJECTIVES.register("seq2seq")
@dataclass(frozen=True)
class Seq2Seq:
    """Write the spans cut out of a text, each after its sentinel (Raffel et al. 2020, 3.1.4).

    Special tokens are never cut out.

    >>> rng = np.random.default_rng(0)  # bos 1, eos 2, sentinel 9
    >>> t5 = Seq2Seq(corruption_rate=0.34, mean_span_length=1)
    >>> example = t5.training_example(np.array([5, 6, 7]), special, rng)
    >>> example.inputs.tolist(), example.decoder_inputs.tolist(), example.targets.tolist()
    ([5, 9, 7], [1, 9, 6], [9, 6, 2])
    """

    __pydantic_config__ = STRICT
    kind: ClassVar[str]
    role: ClassVar[Role] = "encoder-decoder"
    family: ClassVar[Family] = "denoising"
    exactness: ClassVar[str] = "exact"

    corruption_rate: Share = 0.15
    """share of the tokens cut out"""
    mean_span_length: Annotated[float, Field(ge=1)] = 3.0
    """mean length of a span, in tokens"""

    def training_example(
        self, tokens: Ids, special: SpecialTokens, rng: np.random.Generator
    ) -> Example:
        inputs, spans = cut_spans(
            tokens, special, rng, rate=self.corruption_rate, mean_span=self.mean_span_length
        )
        written = concat([], *spans)
        return Example(inputs, concat(written, [special.eos]), concat([special.bos], written))

    def scoring_examples(
        self, prompt: Ids, completion: Ids, special: SpecialTokens
    ) -> list[Example]:
        """Predict the completion as the one span, cut from the end of the prompt."""
        sentinel = special.sentinels[:1]
        decoder = concat([special.bos], sentinel, completion)[: len(completion) + 1]
        targets = concat(no_targets(1), completion)
        return [Example(concat(prompt, sentinel), targets, decoder)]

    def generation_prompt(self, prompt: Ids, length: int, special: SpecialTokens) -> Example:
        """Read the prompt and a sentinel; the decoder starts with bos and that sentinel."""
        sentinel = special.sentinels[:1]
        return Example(concat(prompt, sentinel), no_targets(2), concat([special.bos], sentinel))

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
        """Predict the span after its sentinel, but not its end.

        >>> context = SpanInContext(np.array([5]), np.array([6, 7]), np.array([8]))
        >>> (example,) = Seq2Seq().infilling_examples(context, special)
        >>> example.inputs.tolist(), example.decoder_inputs.tolist(), example.targets.tolist()
        ([5, 9, 8], [1, 9, 6], [-100, 6, 7])
        """
        sentinel, end = special.sentinels[:1], [special.eos] if context.ends_text else []
        inputs = np.concatenate([context.left, sentinel, context.right, end]).astype(np.int64)
        decoder = np.concatenate([[special.bos], sentinel, context.span[:-1]]).astype(np.int64)
        return [Example(inputs, np.append(IGNORE, context.span), decoder)]

    def fill_spans(self, template: InfillingTemplate, network: InfillingNetwork) -> FilledSpans:
        """Let the decoder write each span after its sentinel."""
        return fill_sentinels(self, template, network)


def mask_by_sentinels(template: InfillingTemplate, special: SpecialTokens) -> Ids:
    """Return the text with a sentinel for each span.

    Raises:
        InputError: there are more spans than sentinels.
    """
    count = len(template.lengths)
    if count > len(special.sentinels):
        raise InputError(
            f"text: wanted at most {len(special.sentinels)} holes (sentinels), got {count}"
        )
    return template.filled([np.array([sentinel]) for sentinel in special.sentinels[:count]])


def fill_sentinels(
    objective: Objective, template: InfillingTemplate, network: InfillingNetwork
) -> FilledSpans:
    """Let the decoder write each span after its sentinel, up to the next sentinel or eos."""
    special, count = network.special, len(template.lengths)
    inputs = objective.encoding_example(mask_by_sentinels(template, special), special).inputs
    start = objective.generation_prompt(template.parts[0], 1, special).decoder_inputs
    assert start is not None
    prompt = Example(inputs, np.full(len(start), IGNORE), start)

    # Write all spans: span, sentinel, span, ..., eos.
    grammar = SentinelGrammar(template.lengths, max(network.lengths), special)
    most = sum(grammar.longest) + count + 1
    rng = np.random.default_rng([network.seed, 0])
    written = network.write(prompt, most, rng=rng, allowed=grammar)
    places = np.flatnonzero(~np.isin(written, special.ordinary))
    spans = [part[1:] if i else part for i, part in enumerate(np.split(written, places))][:count]

    # Score them; of a span of unknown length, its end too.
    ends = [*special.sentinels[1:count], int(written[places[count - 1]])]
    targets, decoder = [prompt.targets[:-1]], [start]
    for span, end, length in zip(spans, ends, template.lengths, strict=True):
        targets.append(np.append(span, end if length is None else IGNORE))
        decoder.append(np.append(span, end))
    example = Example(
        inputs, np.concatenate(targets), np.concatenate(decoder)[:-1].astype(np.int64)
    )
    return FilledSpans(spans, network.log_likelihood([example]), "exact", len(written) + 1)


class SentinelGrammar:
    """Which ids may come next: each span, then the next sentinel; after the last span, eos.

    A span of unknown length has from one to ``most`` tokens; the last one may end with a further
    sentinel too, as T5's do.
    """

    def __init__(self, lengths: Sequence[int | None], most: int, special: SpecialTokens) -> None:
        self.special = special
        self.least = [1 if length is None else length for length in lengths]
        self.longest = [most if length is None else length for length in lengths]

    def __call__(self, written: Ids) -> Ids:
        """Return ordinary tokens, the end of the span, or both."""
        special = self.special
        places = np.flatnonzero(~np.isin(written, special.ordinary))
        span, size = len(places), len(written) - (int(places[-1]) + 1 if len(places) else 0)
        if span == len(self.longest):
            return np.array([special.eos])
        ends = [*special.sentinels[span + 1 : span + 2]]
        if span + 1 == len(self.longest):
            ends = [special.eos, *(ends if self.least[span] < self.longest[span] else [])]
        if size < self.least[span]:
            return special.ordinary
        if size == self.longest[span]:
            return np.array(ends)
        return np.append(special.ordinary, ends)
