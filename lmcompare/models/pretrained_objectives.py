"""Objectives of checkpoints: those of ours within a checkpoint's own special tokens."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from lmcompare.core.errors import InputError
from lmcompare.core.example import Example, Ids, SpecialTokens, concat, no_targets
from lmcompare.core.infilling_types import (
    FilledSpans,
    InfillingNetwork,
    InfillingTemplate,
    SpanInContext,
)
from lmcompare.objectives import Family, Objective, Role
from lmcompare.objectives.bart import fill_guided, guided_example
from lmcompare.objectives.causal import fill_from_left, left_context_examples
from lmcompare.objectives.masked import Masked, fill_masks
from lmcompare.objectives.seq2seq import Seq2Seq, fill_sentinels


@dataclass(frozen=True)
class TextFrame:
    """What a tokenizer puts around a text: ([CLS], [SEP]), (<s>, </s>), (bos), (eos), or nothing.

    >>> example = Example(np.array([5, 4]), np.array([-100, 6]))
    >>> framed = TextFrame((1,), (2, 3)).around(example)
    >>> framed.inputs.tolist(), framed.targets.tolist()
    ([1, 5, 4, 2, 3], [-100, -100, 6, -100, -100])
    """

    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()

    def text(self, *parts: Sequence[int] | Ids) -> Ids:
        """Return the ids of the parts, framed."""
        return concat(self.before, *parts, self.after)

    def around(self, example: Example) -> Example:
        """Frame an encoder's inputs; the frame has no targets."""
        weights = example.weights
        if weights is not None:
            weights = np.concatenate([np.ones(len(self.before)), weights, np.ones(len(self.after))])
        targets = concat(no_targets(len(self.before)), example.targets, no_targets(len(self.after)))
        return replace(example, inputs=self.text(example.inputs), targets=targets, weights=weights)


@dataclass(frozen=True)
class PretrainedCausal:
    """A causal checkpoint.

    >>> gpt2 = PretrainedCausal(TextFrame(), start=1)
    >>> completion = np.array([6, 7])
    >>> for prompt in ([5], []):
    ...     print(gpt2.scoring_examples(np.array(prompt), completion, special)[0].inputs)
    [5 6]
    [1 6]
    """

    frame: TextFrame
    start: int
    """stands for an empty prompt if the frame puts nothing before a text"""

    kind: ClassVar[str] = "causal"
    role: ClassVar[Role] = "decoder"
    exactness: ClassVar[str] = "exact"
    family: ClassVar[Family] = "autoregressive"

    def training_example(
        self, tokens: Ids, special: SpecialTokens, rng: np.random.Generator
    ) -> Example:
        """Predict every token, the first one after ``start`` or the frame."""
        return self.scoring_examples(tokens[:0], tokens, special)[0]

    def scoring_examples(
        self, prompt: Ids, completion: Ids, special: SpecialTokens
    ) -> list[Example]:
        head = self._head(prompt)
        targets = concat(no_targets(len(head) - 1), completion)
        return [Example(concat(head, completion[:-1]), targets, attention="causal")]

    def generation_prompt(self, prompt: Ids, length: int, special: SpecialTokens) -> Example:
        head = self._head(prompt)
        return Example(head, no_targets(len(head)), attention="causal")

    def encoding_example(self, tokens: Ids, special: SpecialTokens) -> Example:
        """Read the text as the tokenizer frames it; an empty one as ``start``."""
        inputs = self.frame.text(tokens)
        inputs = inputs if len(inputs) else concat([self.start])
        return Example(inputs, no_targets(len(inputs)), attention="causal")

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

    def _head(self, prompt: Ids) -> Ids:
        before: Sequence[int] = self.frame.before or (() if len(prompt) else (self.start,))
        return concat(before, prompt)


@dataclass(frozen=True)
class PretrainedMasked:
    """A masked checkpoint: ``Masked`` between its tokenizer's [CLS] and [SEP]."""

    frame: TextFrame
    masked: Masked = Masked()

    kind: ClassVar[str] = "masked"
    role: ClassVar[Role] = "encoder"
    exactness: ClassVar[str] = "chain"
    family: ClassVar[Family] = "denoising"

    def training_example(
        self, tokens: Ids, special: SpecialTokens, rng: np.random.Generator
    ) -> Example:
        return self.frame.around(self.masked.training_example(tokens, special, rng))

    def scoring_examples(
        self, prompt: Ids, completion: Ids, special: SpecialTokens
    ) -> list[Example]:
        return [
            self.frame.around(example)
            for example in self.masked.scoring_examples(prompt, completion, special)
        ]

    def generation_prompt(self, prompt: Ids, length: int, special: SpecialTokens) -> Example:
        return self.frame.around(self.masked.generation_prompt(prompt, length, special))

    def encoding_example(self, tokens: Ids, special: SpecialTokens) -> Example:
        inputs = self.frame.text(tokens)
        return Example(inputs, no_targets(len(inputs)))

    def reads_right_context(self, special: SpecialTokens) -> bool:
        """Yes."""
        return True

    def infilling_examples(
        self, context: SpanInContext, special: SpecialTokens, *, score_right: bool = False
    ) -> list[Example]:
        """As ``Masked`` does, in the frame, which ends every text."""
        examples = self.masked.infilling_examples(replace(context, ends_text=False), special)
        return [self.frame.around(example) for example in examples]

    def fill_spans(self, template: InfillingTemplate, network: InfillingNetwork) -> FilledSpans:
        """Unmask."""
        return fill_masks(self, template, network)


@dataclass(frozen=True)
class PretrainedSpanCorruption:
    """A span-corruption checkpoint (T5): a completion is the span cut from the end of the prompt.

    With eos 2, sentinel 9 and pad 0 as the decoder's start:

    >>> t5 = PretrainedSpanCorruption(TextFrame(after=(2,)), (0,))
    >>> (example,) = t5.scoring_examples(np.array([5]), np.array([6, 7]), special)
    >>> example.inputs.tolist(), example.decoder_inputs.tolist(), example.targets.tolist()
    ([5, 9, 2], [0, 9, 6], [-100, 6, 7])
    """

    frame: TextFrame
    start: tuple[int, ...]
    """what the decoder reads first"""
    spans: Seq2Seq = Seq2Seq()

    kind: ClassVar[str] = "seq2seq"
    role: ClassVar[Role] = "encoder-decoder"
    exactness: ClassVar[str] = "exact"
    family: ClassVar[Family] = "denoising"

    def training_example(
        self, tokens: Ids, special: SpecialTokens, rng: np.random.Generator
    ) -> Example:
        cut = self.spans.training_example(tokens, special, rng)
        targets = concat(no_targets(len(self.start) - 1), cut.targets)
        return Example(self.frame.text(cut.inputs), targets, concat(self.start, cut.targets[:-1]))

    def scoring_examples(
        self, prompt: Ids, completion: Ids, special: SpecialTokens
    ) -> list[Example]:
        begun = self.generation_prompt(prompt, len(completion), special)
        assert begun.decoder_inputs is not None
        targets = concat(begun.targets[1:], completion)
        return [Example(begun.inputs, targets, concat(begun.decoder_inputs, completion[:-1]))]

    def generation_prompt(self, prompt: Ids, length: int, special: SpecialTokens) -> Example:
        """Read the prompt and a sentinel; the decoder reads its start and that sentinel."""
        sentinel = special.sentinels[:1]
        decoder = concat(self.start, sentinel)
        return Example(self.frame.text(prompt, sentinel), no_targets(len(decoder)), decoder)

    def encoding_example(self, tokens: Ids, special: SpecialTokens) -> Example:
        return _encoded(self.frame, tokens, special)

    def reads_right_context(self, special: SpecialTokens) -> bool:
        """Yes: the encoder does."""
        return True

    def infilling_examples(
        self, context: SpanInContext, special: SpecialTokens, *, score_right: bool = False
    ) -> list[Example]:
        """Predict the span after its sentinel."""
        sentinel = special.sentinels[:1]
        inputs = self.frame.text(context.left, sentinel, context.right)
        targets = concat(no_targets(len(self.start)), context.span)
        return [Example(inputs, targets, concat(self.start, sentinel, context.span[:-1]))]

    def fill_spans(self, template: InfillingTemplate, network: InfillingNetwork) -> FilledSpans:
        """Let the decoder write each span after its sentinel."""
        return fill_sentinels(self, template, network)


@dataclass(frozen=True)
class PretrainedSeq2Seq:
    """An encoder-decoder from prompt to completion: Marian, BART, T5Gemma.

    >>> marian = PretrainedSeq2Seq(TextFrame(after=(2,)), (0,))
    >>> (example,) = marian.scoring_examples(np.array([5]), np.array([6, 7]), special)
    >>> example.inputs.tolist(), example.decoder_inputs.tolist(), example.targets.tolist()
    ([5, 2], [0, 6], [6, 7])
    """

    frame: TextFrame
    start: tuple[int, ...]
    """what the decoder reads first"""
    fills: bool = False
    """whether it was trained to write a text whose spans are masks (BART)"""

    kind: ClassVar[str] = "plain"
    role: ClassVar[Role] = "encoder-decoder"
    exactness: ClassVar[str] = "exact"
    family: ClassVar[Family] = "autoregressive"

    def training_example(
        self, tokens: Ids, special: SpecialTokens, rng: np.random.Generator
    ) -> Example:
        """Refuse: it was trained on pairs, or by a corruption that its files do not specify.

        Raises:
            InputError: always.
        """
        raise InputError(
            "loss: an encoder-decoder of the plain form has no training loss on texts alone (it "
            "was trained on pairs, or by a corruption that its files do not specify); "
            "log_likelihood(sources, targets) scores pairs"
        )

    def scoring_examples(
        self, prompt: Ids, completion: Ids, special: SpecialTokens
    ) -> list[Example]:
        inputs = self.encoding_example(prompt, special).inputs
        targets = concat(no_targets(len(self.start) - 1), completion)
        return [Example(inputs, targets, concat(self.start, completion[:-1]))]

    def generation_prompt(self, prompt: Ids, length: int, special: SpecialTokens) -> Example:
        return Example(
            self.encoding_example(prompt, special).inputs,
            no_targets(len(self.start)),
            concat(self.start),
        )

    def encoding_example(self, tokens: Ids, special: SpecialTokens) -> Example:
        return _encoded(self.frame, tokens, special)

    def reads_right_context(self, special: SpecialTokens) -> bool:
        """Whether there is a mask for the encoder to read."""
        return special.mask >= 0

    def infilling_examples(
        self, context: SpanInContext, special: SpecialTokens, *, score_right: bool = False
    ) -> list[Example]:
        """Predict the span after the left context; the encoder reads both, if there is a mask."""
        if context.ends_text:
            self._check_fills()
        if special.mask < 0:
            return left_context_examples(self, context, special, score_right=score_right)
        return [guided_example(self, context, special, score_right=score_right)]

    def fill_spans(self, template: InfillingTemplate, network: InfillingNetwork) -> FilledSpans:
        """Let the decoder write the text, free within the spans.

        Raises:
            InputError: it did not learn to fill spans.
        """
        self._check_fills()
        return fill_guided(self, template, network)

    def _check_fills(self) -> None:
        if not self.fills:
            raise InputError(
                "infill: wanted a model that learnt to fill holes (masked, T5's sentinels, BART) "
                "or continues a text (causal), got a translator (Marian) or an encoder-decoder "
                "whose files do not tell how a hole was marked (T5Gemma); `rank` compares whole "
                "texts that its decoder may say"
            )


PRETRAINED = (PretrainedCausal, PretrainedMasked, PretrainedSpanCorruption, PretrainedSeq2Seq)
"""Objectives of checkpoints: their files are plain transformers', without lmcompare.json."""


def end_of_training_text(objective: Objective, special: SpecialTokens) -> list[int]:
    """Return the ids that end a training text: eos; none for a checkpoint, whose frame ends it."""
    return [] if isinstance(objective, PRETRAINED) else [special.eos]


def _encoded(frame: TextFrame, tokens: Ids, special: SpecialTokens) -> Example:
    inputs = frame.text(tokens)
    inputs = inputs if len(inputs) else concat([special.eos])
    return Example(inputs, no_targets(len(inputs)))
