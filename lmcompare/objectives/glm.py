"""Autoregressive blank infilling."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from lmcompare.core.example import IGNORE, Example, Ids, SpecialTokens
from lmcompare.core.settings import STRICT, Share
from lmcompare.objectives import OBJECTIVES, Family, Role
from lmcompare.objectives._spans import cut_spans


@OBJECTIVES.register("glm")
@dataclass(frozen=True)
class GLM:
    """Write the spans cut out of a text, in any order, on one stack (Du et al. 2022, section 2.1).

    Part A, the text with holes, sees itself whole. Part B, the spans in random order, sees Part A and what of Part B
    came before. A span begins with the name of its hole and ends with eos, which is asked for. Special tokens are
    never cut out.

    >>> rng = np.random.default_rng(0)  # eos 2, sentinel 9
    >>> example = GLM(corruption_rate=0.34, mean_span_length=1).training_example(np.array([5, 6, 7]), special, rng)
    >>> example.inputs.tolist(), example.targets.tolist(), example.attention
    ([5, 9, 7, 9, 6], [-100, -100, -100, 6, 2], 3)

    It differs from the paper in two ways. Our block knows positions in the order of the row, not GLM's pairs (which
    hole, where in the span), so what links a span to its hole is that each hole has a sentinel of its own instead of
    one mask for all. And the lengths of the spans are drawn as for span corruption, not from Poisson(3).
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

    @property
    def share(self) -> float:
        """The rate; the end of each span comes on top."""
        return self.corruption_rate

    def training_example(
        self, tokens: Ids, special: SpecialTokens, rng: np.random.Generator
    ) -> Example:
        """Cut spans out of the text and ask for them in random order."""
        holed, spans = cut_spans(
            tokens, special, rng, rate=self.corruption_rate, mean_span=self.mean_span_length
        )
        return self._ask(holed, [spans[i] for i in rng.permutation(len(spans))], special)

    def scoring_examples(
        self, prompt: Ids, completion: Ids, special: SpecialTokens
    ) -> list[Example]:
        """Ask for the completion as the one span cut from the end of the prompt; that it ends is not asked."""
        hole = special.sentinels[0]
        whole = self._ask(np.append(prompt, hole), [np.concatenate([[hole], completion])], special)
        return [Example(whole.inputs[:-1], whole.targets[:-1], attention=whole.attention)]

    def generation_prompt(self, prompt: Ids, length: int, special: SpecialTokens) -> Example:
        """Read the prompt and a hole, and the hole's name once more, after which its span is written."""
        hole = special.sentinels[0]
        inputs = np.concatenate([prompt, [hole, hole]]).astype(np.int64)
        return Example(inputs, np.full(len(inputs), IGNORE), attention=len(inputs) - 1)

    def encoding_example(self, tokens: Ids, special: SpecialTokens) -> Example:
        """Read the text and eos, all of it visible."""
        inputs = np.append(tokens, special.eos).astype(np.int64)
        return Example(inputs, np.full(len(inputs), IGNORE), attention="full")

    @staticmethod
    def _ask(holed: Ids, spans: list[Ids], special: SpecialTokens) -> Example:
        targets = [np.append(span[1:], special.eos) for span in spans]
        return Example(
            np.concatenate([holed, *spans]).astype(np.int64),
            np.concatenate([np.full(len(holed), IGNORE), *targets]).astype(np.int64),
            attention=len(holed),
        )
