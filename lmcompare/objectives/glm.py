"""Autoregressive blank infilling."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from lmcompare.core.example import IGNORE, Example, Ids, SpecialTokens, concat, no_targets
from lmcompare.core.infilling_types import (
    FilledSpans,
    InfillingNetwork,
    InfillingTemplate,
    SpanInContext,
)
from lmcompare.core.settings import STRICT, Share
from lmcompare.objectives import OBJECTIVES, Family, Role
from lmcompare.objectives._spans import cut_spans
from lmcompare.objectives.seq2seq import mask_by_sentinels


@OBJECTIVES.register("glm")
@dataclass(frozen=True)
class GLM:
    """Write the spans cut out of a text in random order, on one stack (Du et al. 2022, 2.1).

    Part A, the text with sentinels for the spans, has full attention to itself. Part B, the spans,
    attends to part A and, causally, to itself. Each span begins with its sentinel and ends with
    eos, which is a target. Special tokens are never cut out.

    >>> rng = np.random.default_rng(0)  # eos 2, sentinel 9
    >>> glm = GLM(corruption_rate=0.34, mean_span_length=1)
    >>> example = glm.training_example(np.array([5, 6, 7]), special, rng)
    >>> example.inputs.tolist(), example.targets.tolist(), example.attention
    ([5, 9, 7, 9, 6], [-100, -100, -100, 6, 2], 3)

    It differs from the paper in two ways. Our positions are those of the row, not GLM's pairs
    (which span, where in it), so each span has its own sentinel instead of one mask for all. And
    span lengths are drawn as for span corruption, not from Poisson(3).
    """

    __pydantic_config__ = STRICT
    kind: ClassVar[str]
    role: ClassVar[Role] = "decoder"
    family: ClassVar[Family] = "denoising"
    exactness: ClassVar[str] = "exact"

    corruption_rate: Share = 0.15
    """share of the tokens cut out"""
    mean_span_length: Annotated[float, Field(ge=1)] = 3.0
    """mean length of a span, in tokens"""

    def training_example(
        self, tokens: Ids, special: SpecialTokens, rng: np.random.Generator
    ) -> Example:
        part_a, spans = cut_spans(
            tokens, special, rng, rate=self.corruption_rate, mean_span=self.mean_span_length
        )
        return self._example(part_a, [spans[i] for i in rng.permutation(len(spans))], special)

    def scoring_examples(
        self, prompt: Ids, completion: Ids, special: SpecialTokens
    ) -> list[Example]:
        """Predict the completion as the one span, cut from the end of the prompt, without eos."""
        sentinel = special.sentinels[:1]
        span = concat(sentinel, completion)
        whole = self._example(concat(prompt, sentinel), [span], special)
        return [Example(whole.inputs[:-1], whole.targets[:-1], attention=whole.attention)]

    def generation_prompt(self, prompt: Ids, length: int, special: SpecialTokens) -> Example:
        """Read the prompt, a sentinel, and the sentinel again, after which the span is written."""
        sentinel = special.sentinels[:1]
        inputs = concat(prompt, sentinel, sentinel)
        return Example(inputs, no_targets(len(inputs)), attention=len(inputs) - 1)

    def encoding_example(self, tokens: Ids, special: SpecialTokens) -> Example:
        inputs = concat(tokens, [special.eos])
        return Example(inputs, no_targets(len(inputs)))

    def reads_right_context(self, special: SpecialTokens) -> bool:
        """Yes: Part A holds it."""
        return True

    def infilling_examples(
        self, context: SpanInContext, special: SpecialTokens, *, score_right: bool = False
    ) -> list[Example]:
        """Predict the span, but not its end, after part A, the text with a sentinel for it."""
        sentinel, end = special.sentinels[:1], [special.eos] if context.ends_text else []
        part_a = np.concatenate([context.left, sentinel, context.right, end])
        inputs = np.concatenate([part_a, sentinel, context.span[:-1]]).astype(np.int64)
        targets = np.concatenate([np.full(len(part_a), IGNORE), context.span]).astype(np.int64)
        return [Example(inputs, targets, attention=len(part_a))]

    def fill_spans(self, template: InfillingTemplate, network: InfillingNetwork) -> FilledSpans:
        """Write each span after part A and the spans before it, up to its eos (Du et al. 2.1)."""
        special, longest = network.special, max(network.lengths)
        part_a = self.encoding_example(mask_by_sentinels(template, special), special).inputs
        # A text that will not fit is refused before anything is written.
        size = len(part_a) + sum(2 + (length or longest) for length in template.lengths) - 1
        network.check_fits(Example(np.zeros(size, np.int64), np.zeros(size, np.int64)))

        inputs, targets = part_a, [np.full(len(part_a), IGNORE)]
        spans: list[Ids] = []
        calls = 0
        for i, length in enumerate(template.lengths):
            inputs = np.append(inputs, special.sentinels[i])
            prompt = Example(inputs, np.full(len(inputs), IGNORE), attention=len(part_a))
            rng = np.random.default_rng([network.seed, i])
            written = network.write(prompt, length or longest, rng=rng, ends=length is None)
            calls += len(written)
            spans.append(written[written != special.eos])
            inputs = np.concatenate([inputs, spans[-1], [special.eos]])
            # Of a span of unknown length, its end is a target too.
            end = special.eos if length is None else IGNORE
            targets.append(np.append(spans[-1], [end, IGNORE]))
        whole = Example(inputs[:-1], np.concatenate(targets)[:-1], attention=len(part_a))
        return FilledSpans(spans, network.log_likelihood([whole]), "exact", calls + 1)

    @staticmethod
    def _example(part_a: Ids, spans: list[Ids], special: SpecialTokens) -> Example:
        targets = [concat(span[1:], [special.eos]) for span in spans]
        return Example(
            concat(part_a, *spans), concat(no_targets(len(part_a)), *targets), attention=len(part_a)
        )
