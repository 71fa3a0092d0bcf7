"""Span corruption."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from lmcompare.core.example import IGNORE, Example, Ids, SpecialTokens
from lmcompare.core.settings import STRICT, Share
from lmcompare.objectives import OBJECTIVES, Family, Role
from lmcompare.objectives._spans import cut_spans


@OBJECTIVES.register("seq2seq")
@dataclass(frozen=True)
class Seq2Seq:
    """Write the spans that were cut out of a text, each after its sentinel (Raffel et al. 2020, section 3.1.4).

    Special tokens are never cut out.

    >>> rng = np.random.default_rng(0)  # bos 1, eos 2, sentinel 9
    >>> example = Seq2Seq(corruption_rate=0.34, mean_span_length=1).training_example(np.array([5, 6, 7]), special, rng)
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

    @property
    def share(self) -> float:
        """The rate; sentinels and the end come on top."""
        return self.corruption_rate

    def training_example(
        self, tokens: Ids, special: SpecialTokens, rng: np.random.Generator
    ) -> Example:
        """Cut spans out of the text and ask for them."""
        inputs, spans = cut_spans(
            tokens, special, rng, rate=self.corruption_rate, mean_span=self.mean_span_length
        )
        return self._ask(inputs, np.concatenate([np.array([], dtype=np.int64), *spans]), special)

    def scoring_examples(
        self, prompt: Ids, completion: Ids, special: SpecialTokens
    ) -> list[Example]:
        """Ask for the completion as the one span cut from the end of the prompt; its sentinel is given."""
        hole = special.sentinels[0]
        whole = self._ask(np.append(prompt, hole), np.concatenate([[hole], completion]), special)
        assert whole.decoder_inputs is not None
        targets = whole.targets[:-1].copy()
        targets[0] = IGNORE
        return [Example(whole.inputs, targets, whole.decoder_inputs[:-1])]

    def generation_prompt(self, prompt: Ids, length: int, special: SpecialTokens) -> Example:
        """Read the prompt and a sentinel; the decoder has read bos and that sentinel."""
        hole = special.sentinels[0]
        decoder = np.array([special.bos, hole], dtype=np.int64)
        return Example(np.append(prompt, hole).astype(np.int64), np.full(2, IGNORE), decoder)

    def encoding_example(self, tokens: Ids, special: SpecialTokens) -> Example:
        """Let the encoder read the text and eos; the decoder is left out."""
        inputs = np.append(tokens, special.eos).astype(np.int64)
        return Example(inputs, np.full(len(inputs), IGNORE))

    @staticmethod
    def _ask(inputs: Ids, spans: Ids, special: SpecialTokens) -> Example:
        decoder = np.concatenate([[special.bos], spans]).astype(np.int64)
        return Example(
            inputs.astype(np.int64), np.append(spans, special.eos).astype(np.int64), decoder
        )
