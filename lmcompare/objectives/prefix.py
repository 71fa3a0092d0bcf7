"""Prefix language modeling."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from lmcompare.core.example import Example, Ids, SpecialTokens, concat, no_targets
from lmcompare.core.infilling_types import (
    FilledSpans,
    InfillingNetwork,
    InfillingTemplate,
    SpanInContext,
)
from lmcompare.core.settings import STRICT
from lmcompare.objectives import OBJECTIVES, Family, Role
from lmcompare.objectives.causal import fill_from_left, left_context_examples


@OBJECTIVES.register("prefix")
@dataclass(frozen=True)
class Prefix:
    """Predict a text after a prefix with full attention (Raffel et al. 2020, section 3.2.1).

    This is UniLM's sequence-to-sequence mask too (Dong et al. 2019, section 2.3). The length of the
    prefix is drawn uniformly from 1 to n - 1 for each sequence (Raffel et al., section 3.3.1); only
    the rest is predicted, eos between documents included.

    >>> rng = np.random.default_rng(1)  # bos is 1; the prefix came out as 5
    >>> example = Prefix().training_example(np.array([5, 6, 7]), special, rng)
    >>> example.inputs.tolist(), example.targets.tolist(), example.attention
    ([1, 5, 6], [-100, 6, 7], 2)

    With ``architecture: encoder-decoder`` the encoder reads the prefix and the decoder writes the
    rest, as T5 does.

    >>> rng = np.random.default_rng(1)
    >>> t5 = Prefix(architecture="encoder-decoder")
    >>> example = t5.training_example(np.array([5, 6, 7]), special, rng)
    >>> example.inputs.tolist(), example.decoder_inputs.tolist(), example.targets.tolist()
    ([1, 5], [1, 6], [6, 7])
    """

    __pydantic_config__ = STRICT
    kind: ClassVar[str]
    family: ClassVar[Family] = "autoregressive"
    exactness: ClassVar[str] = "exact"

    architecture: Literal["decoder", "encoder-decoder"] = "decoder"
    """one stack with a mask, or two, where the encoder reads the prefix"""

    @property
    def role(self) -> Role:
        return self.architecture

    def training_example(
        self, tokens: Ids, special: SpecialTokens, rng: np.random.Generator
    ) -> Example:
        """Predict what follows a random prefix."""
        prefix = int(rng.integers(1, len(tokens))) if len(tokens) > 1 else 0
        return self._example(tokens, prefix, special)

    def scoring_examples(
        self, prompt: Ids, completion: Ids, special: SpecialTokens
    ) -> list[Example]:
        """Predict the completion with the prompt as the prefix, in one pass."""
        return [self._example(concat(prompt, completion), len(prompt), special)]

    def generation_prompt(self, prompt: Ids, length: int, special: SpecialTokens) -> Example:
        inputs = concat([special.bos], prompt)
        if self.architecture == "decoder":
            return Example(inputs, no_targets(len(inputs)), attention=len(inputs))
        return Example(inputs, no_targets(1), concat([special.bos]))

    def encoding_example(self, tokens: Ids, special: SpecialTokens) -> Example:
        inputs = concat([special.bos], tokens, [special.eos])
        return Example(inputs, no_targets(len(inputs)))

    def reads_right_context(self, special: SpecialTokens) -> bool:
        """No: the right context can only weigh what was written from the left."""
        return False

    def infilling_examples(
        self, context: SpanInContext, special: SpecialTokens, *, score_right: bool = False
    ) -> list[Example]:
        """Score the span, and the right context if asked for, as a completion of the left one."""
        return left_context_examples(self, context, special, score_right=score_right)

    def fill_spans(self, template: InfillingTemplate, network: InfillingNetwork) -> FilledSpans:
        """Continue what stands to the left of each span."""
        return fill_from_left(self, template, network)

    def _example(self, tokens: Ids, prefix: int, special: SpecialTokens) -> Example:
        inputs = concat([special.bos], tokens[:-1])
        if self.architecture == "decoder":
            targets = concat(no_targets(prefix), tokens[prefix:])
            return Example(inputs, targets, attention=prefix + 1)  # bos belongs to the prefix
        decoder = concat([special.bos], tokens[prefix:-1])
        return Example(inputs[: prefix + 1], concat(tokens[prefix:]), decoder)
