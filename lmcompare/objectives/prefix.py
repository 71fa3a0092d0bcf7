"""Prefix language modelling."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from lmcompare.core.example import IGNORE, Example, Ids, SpecialTokens
from lmcompare.core.infilling import FilledSpans, InfillingNetwork, InfillingTemplate, SpanInContext
from lmcompare.core.settings import STRICT
from lmcompare.objectives import OBJECTIVES, Family, Role
from lmcompare.objectives.causal import fill_from_left, left_context_examples


@OBJECTIVES.register("prefix")
@dataclass(frozen=True)
class Prefix:
    """Predict how a text goes on after a prefix that sees itself whole (Raffel et al. 2020, sections 3.2.1 and 3.3.1).

    It is UniLM's sequence-to-sequence mask too (Dong et al. 2019, section 2.3). The prefix of each block is drawn
    uniformly from 1 token to all but one; only the rest is asked for, a half on average. As for a causal LM, the eos
    between documents is asked for.

    >>> rng = np.random.default_rng(1)  # bos is 1; the prefix came out as 5
    >>> example = Prefix().training_example(np.array([5, 6, 7]), special, rng)
    >>> example.inputs.tolist(), example.targets.tolist(), example.attention
    ([1, 5, 6], [-100, 6, 7], 2)

    With ``architecture: encoder-decoder`` the encoder reads the prefix and the decoder writes the rest (T5's form).

    >>> rng = np.random.default_rng(1)
    >>> example = Prefix(architecture="encoder-decoder").training_example(np.array([5, 6, 7]), special, rng)
    >>> example.inputs.tolist(), example.decoder_inputs.tolist(), example.targets.tolist()
    ([1, 5], [1, 6], [6, 7])
    """

    __pydantic_config__ = STRICT
    kind: ClassVar[str]
    family: ClassVar[Family] = "autoregressive"
    exactness: ClassVar[str] = "exact"
    share: ClassVar[float] = 0.5

    architecture: Literal["decoder", "encoder-decoder"] = "decoder"
    """one stack with a mask, or two, where the encoder reads the prefix"""

    @property
    def role(self) -> Role:
        """What ``architecture`` says."""
        return self.architecture

    def training_example(
        self, tokens: Ids, special: SpecialTokens, rng: np.random.Generator
    ) -> Example:
        """Ask for what follows a random prefix."""
        return self._ask(
            tokens, int(rng.integers(1, len(tokens))) if len(tokens) > 1 else 0, special
        )

    def scoring_examples(
        self, prompt: Ids, completion: Ids, special: SpecialTokens
    ) -> list[Example]:
        """Ask for the completion after the prompt as prefix, in one pass."""
        return [self._ask(np.concatenate([prompt, completion]), len(prompt), special)]

    def generation_prompt(self, prompt: Ids, length: int, special: SpecialTokens) -> Example:
        """Read the prompt, which sees itself whole."""
        inputs = np.concatenate([[special.bos], prompt]).astype(np.int64)
        if self.architecture == "decoder":
            return Example(inputs, np.full(len(inputs), IGNORE), attention=len(inputs))
        return Example(inputs, np.array([IGNORE]), np.array([special.bos], dtype=np.int64))

    def encoding_example(self, tokens: Ids, special: SpecialTokens) -> Example:
        """Read the text between bos and eos, all of it visible."""
        inputs = np.concatenate([[special.bos], tokens, [special.eos]]).astype(np.int64)
        return Example(inputs, np.full(len(inputs), IGNORE), attention="full")

    def reads_right_context(self, special: SpecialTokens) -> bool:
        """No: the right context can only weigh what was written from the left."""
        return False

    def infilling_examples(
        self, gap: SpanInContext, special: SpecialTokens, *, score_right: bool = False
    ) -> list[Example]:
        """Score the span, and the right context if asked for, as a completion of the left one."""
        return left_context_examples(self, gap, special, score_right=score_right)

    def fill_spans(self, template: InfillingTemplate, network: InfillingNetwork) -> FilledSpans:
        """Continue what stands to the left of each span."""
        return fill_from_left(self, template, network)

    def _ask(self, tokens: Ids, prefix: int, special: SpecialTokens) -> Example:
        inputs = np.concatenate([[special.bos], tokens[:-1]]).astype(np.int64)
        targets = tokens.astype(np.int64)
        if self.architecture == "decoder":
            targets[:prefix] = IGNORE
            return Example(inputs, targets, attention=prefix + 1)  # bos belongs to the prefix
        decoder = np.concatenate([[special.bos], targets[prefix:-1]])
        return Example(inputs[: prefix + 1], targets[prefix:], decoder)
