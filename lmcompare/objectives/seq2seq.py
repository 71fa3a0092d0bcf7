"""Span corruption."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lmcompare.errors import InputError
from lmcompare.example import IGNORE, Example, Ids, Special
from lmcompare.objectives import OBJECTIVES, Role
from lmcompare.settings import STRICT, Share


@OBJECTIVES.register("seq2seq")
@dataclass(frozen=True)
class Seq2Seq:
    """Write the spans that were cut out of a text, each after its sentinel (Raffel et al. 2020, section 3.1.4).

    Special tokens are never cut out.

    >>> example = Seq2Seq(rate=0.34, mean_span=1).learn(np.array([5, 6, 7]), special, rng)   # bos 1, eos 2, sentinel 9
    >>> example.inputs.tolist(), example.decoder_inputs.tolist(), example.targets.tolist()
    ([5, 9, 7], [1, 9, 6], [9, 6, 2])
    """

    __pydantic_config__ = STRICT
    kind: ClassVar[str]
    role: ClassVar[Role] = "encoder-decoder"
    exactness: ClassVar[str] = "exact"

    rate: Share = 0.15
    """share of the tokens cut out"""
    mean_span: Annotated[float, Field(ge=1)] = 3.0
    """mean length of a span, in tokens"""

    def learn(self, tokens: Ids, special: Special, rng: np.random.Generator) -> Example:
        """Cut spans out of the text and ask for them."""
        cut = np.zeros(len(tokens), dtype=bool)
        places = np.flatnonzero(~special.is_special(tokens))
        cut[places] = self._spans(len(places), rng)
        starts = cut & ~np.concatenate([[False], cut[:-1]])
        count = int(starts.sum())
        if count > len(special.sentinels):
            raise InputError(
                f"vocabulary.sentinels: wanted at least {count} for a block of {len(tokens)} tokens at rate "
                f"{self.rate} and mean_span {self.mean_span}, got {len(special.sentinels)}"
            )
        sentinel = np.array(special.sentinels[:count], dtype=np.int64)
        inputs = tokens.astype(np.int64)
        inputs[starts] = sentinel
        kept = ~cut | starts
        spans = np.insert(tokens[cut].astype(np.int64), np.flatnonzero(starts[cut]), sentinel)
        return self._ask(inputs[kept], spans, special)

    def score(self, prompt: Ids, completion: Ids, special: Special) -> list[Example]:
        """Ask for the completion as the one span cut from the end of the prompt; its sentinel is given."""
        hole = special.sentinels[0]
        whole = self._ask(np.append(prompt, hole), np.concatenate([[hole], completion]), special)
        assert whole.decoder_inputs is not None
        targets = whole.targets[:-1].copy()
        targets[0] = IGNORE
        return [Example(whole.inputs, targets, whole.decoder_inputs[:-1])]

    def begin(self, prompt: Ids, length: int, special: Special) -> Example:
        """Read the prompt and a sentinel; the decoder has read bos and that sentinel."""
        hole = special.sentinels[0]
        decoder = np.array([special.bos, hole], dtype=np.int64)
        return Example(np.append(prompt, hole).astype(np.int64), np.full(2, IGNORE), decoder)

    def read(self, tokens: Ids, special: Special) -> Example:
        """Let the encoder read the text and eos; the decoder is left out."""
        inputs = np.append(tokens, special.eos).astype(np.int64)
        return Example(inputs, np.full(len(inputs), IGNORE))

    @staticmethod
    def _ask(inputs: Ids, spans: Ids, special: Special) -> Example:
        decoder = np.concatenate([[special.bos], spans]).astype(np.int64)
        return Example(inputs.astype(np.int64), np.append(spans, special.eos).astype(np.int64), decoder)

    def _spans(self, length: int, rng: np.random.Generator) -> NDArray[np.bool_]:
        """Draw which of ``length`` tokens are cut: runs of kept and cut tokens in turn, each a random composition.

        As `random_spans_noise_mask` of T5, but the count is rounded up or down at random (right on average), and the
        text may begin as well as end with a hole.
        """
        count = min(int(self.rate * length + rng.random()), length - 1)
        if count < 1:
            return np.zeros(length, dtype=bool)
        spans = max(1, min(round(count / self.mean_span), length - count))
        cut = _compose(count, spans, rng)
        kept = _compose(length - count + 2, spans + 1, rng)
        kept[0] -= 1
        kept[-1] -= 1
        runs = np.empty(2 * spans + 1, dtype=np.int64)
        runs[0::2], runs[1::2] = kept, cut
        return np.repeat(np.arange(2 * spans + 1) % 2 == 1, runs)


def _compose(total: int, parts: int, rng: np.random.Generator) -> Ids:
    """Draw one of the ways to write ``total`` as a sum of ``parts`` positive integers, all equally likely."""
    bars = np.sort(rng.choice(total - 1, parts - 1, replace=False)) + 1
    return np.diff(np.concatenate([[0], bars, [total]])).astype(np.int64)
