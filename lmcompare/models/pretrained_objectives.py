"""How a checkpoint reads: its own special tokens around what is asked, one class a kind."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from lmcompare.core.errors import InputError
from lmcompare.core.example import IGNORE, Example, Ids, SpecialTokens
from lmcompare.core.infilling import FilledSpans, InfillingNetwork, InfillingTemplate, SpanInContext
from lmcompare.objectives import Family, Objective, Role
from lmcompare.objectives.bart import fill_guided, guided_example
from lmcompare.objectives.causal import fill_from_left, left_context_examples
from lmcompare.objectives.masked import Masked, fill_masks
from lmcompare.objectives.seq2seq import Seq2Seq, fill_sentinels


def _ids(*parts: Sequence[int] | Ids) -> Ids:
    # An empty tuple would count as floats.
    return np.concatenate(parts, dtype=np.int64, casting="unsafe")


def _nothing(count: int) -> Ids:
    return np.full(count, IGNORE, dtype=np.int64)


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
        return _ids(self.before, *parts, self.after)

    def around(self, example: Example) -> Example:
        """Frame what an encoder reads; nothing is asked of the frame."""
        weights = example.weights
        if weights is not None:
            weights = np.concatenate([np.ones(len(self.before)), weights, np.ones(len(self.after))])
        targets = _ids(_nothing(len(self.before)), example.targets, _nothing(len(self.after)))
        return replace(example, inputs=self.text(example.inputs), targets=targets, weights=weights)


@dataclass(frozen=True)
class PretrainedCausal:
    """A causal checkpoint.

    >>> gpt2 = PretrainedCausal(TextFrame(), start=1)
    >>> [one.inputs.tolist() for prompt in ([5], []) for one in gpt2.scoring_examples(np.array(prompt), np.array([6, 7]), special)]
    [[5, 6], [1, 6]]
    """

    frame: TextFrame
    start: int
    """stands for an empty prompt if the frame puts nothing before a text"""

    kind: ClassVar[str] = "causal"
    role: ClassVar[Role] = "decoder"
    exactness: ClassVar[str] = "exact"
    family: ClassVar[Family] = "autoregressive"
    share: ClassVar[float] = 1.0

    def training_example(
        self, tokens: Ids, special: SpecialTokens, rng: np.random.Generator
    ) -> Example:
        """Ask for every token, the first one after ``start`` or the frame."""
        return self.scoring_examples(tokens[:0], tokens, special)[0]

    def scoring_examples(
        self, prompt: Ids, completion: Ids, special: SpecialTokens
    ) -> list[Example]:
        """Ask for the completion after the prompt, in one pass."""
        head = self._head(prompt)
        targets = _ids(_nothing(len(head) - 1), completion)
        return [Example(_ids(head, completion[:-1]), targets, attention="causal")]

    def generation_prompt(self, prompt: Ids, length: int, special: SpecialTokens) -> Example:
        """Read the prompt; what follows is not there yet."""
        head = self._head(prompt)
        return Example(head, _nothing(len(head)), attention="causal")

    def encoding_example(self, tokens: Ids, special: SpecialTokens) -> Example:
        """Read the text as the tokenizer frames it; an empty one as ``start``."""
        inputs = self.frame.text(tokens)
        inputs = inputs if len(inputs) else _ids([self.start])
        return Example(inputs, _nothing(len(inputs)), attention="causal")

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

    def _head(self, prompt: Ids) -> Ids:
        before: Sequence[int] = self.frame.before or (() if len(prompt) else (self.start,))
        return _ids(before, prompt)


@dataclass(frozen=True)
class PretrainedMasked:
    """A masked checkpoint: ``Masked`` between its tokenizer's [CLS] and [SEP]."""

    frame: TextFrame
    masked: Masked = Masked()

    kind: ClassVar[str] = "masked"
    role: ClassVar[Role] = "encoder"
    exactness: ClassVar[str] = "chain"
    family: ClassVar[Family] = "denoising"

    @property
    def share(self) -> float:
        """Share of the tokens that training asks for."""
        return self.masked.share

    def training_example(
        self, tokens: Ids, special: SpecialTokens, rng: np.random.Generator
    ) -> Example:
        """Ask for a share of the tokens, in the frame."""
        return self.frame.around(self.masked.training_example(tokens, special, rng))

    def scoring_examples(
        self, prompt: Ids, completion: Ids, special: SpecialTokens
    ) -> list[Example]:
        """Ask for each token of the completion with all later ones masked, in the frame: the chain."""
        return [
            self.frame.around(example)
            for example in self.masked.scoring_examples(prompt, completion, special)
        ]

    def generation_prompt(self, prompt: Ids, length: int, special: SpecialTokens) -> Example:
        """Read the prompt and ``length`` masks, in the frame."""
        return self.frame.around(self.masked.generation_prompt(prompt, length, special))

    def encoding_example(self, tokens: Ids, special: SpecialTokens) -> Example:
        """Read the text in the frame."""
        inputs = self.frame.text(tokens)
        return Example(inputs, _nothing(len(inputs)))

    def reads_right_context(self, special: SpecialTokens) -> bool:
        """Yes."""
        return True

    def infilling_examples(
        self, gap: SpanInContext, special: SpecialTokens, *, score_right: bool = False
    ) -> list[Example]:
        """Ask for each token of the span with the later ones masked, in the frame, which ends every text."""
        examples = self.masked.infilling_examples(replace(gap, ends_text=False), special)
        return [self.frame.around(example) for example in examples]

    def fill_spans(self, template: InfillingTemplate, network: InfillingNetwork) -> FilledSpans:
        """Unmask."""
        return fill_masks(self, template, network)


@dataclass(frozen=True)
class PretrainedSpanCorruption:
    """A span-corruption checkpoint such as T5: the completion is the span cut from the end of the prompt.

    With eos 2, sentinel 9 and pad 0 as the decoder's start:

    >>> (one,) = PretrainedSpanCorruption(TextFrame(after=(2,)), (0,)).scoring_examples(np.array([5]), np.array([6, 7]), special)
    >>> one.inputs.tolist(), one.decoder_inputs.tolist(), one.targets.tolist()
    ([5, 9, 2], [0, 9, 6], [-100, 6, 7])
    """

    frame: TextFrame
    start: tuple[int, ...]
    """what the decoder has read before it says anything"""
    spans: Seq2Seq = Seq2Seq()

    kind: ClassVar[str] = "seq2seq"
    role: ClassVar[Role] = "encoder-decoder"
    exactness: ClassVar[str] = "exact"
    family: ClassVar[Family] = "denoising"

    @property
    def share(self) -> float:
        """Targets a token of the text: the spans, and a sentinel for each."""
        return self.spans.corruption_rate * (1 + 1 / self.spans.mean_span_length)

    def training_example(
        self, tokens: Ids, special: SpecialTokens, rng: np.random.Generator
    ) -> Example:
        """Cut spans out of the text and ask for them."""
        cut = self.spans.training_example(tokens, special, rng)
        targets = _ids(_nothing(len(self.start) - 1), cut.targets)
        return Example(self.frame.text(cut.inputs), targets, _ids(self.start, cut.targets[:-1]))

    def scoring_examples(
        self, prompt: Ids, completion: Ids, special: SpecialTokens
    ) -> list[Example]:
        """Ask for the completion as the one span cut from the end of the prompt; its sentinel is given."""
        begun = self.generation_prompt(prompt, len(completion), special)
        assert begun.decoder_inputs is not None
        targets = _ids(begun.targets[1:], completion)
        return [Example(begun.inputs, targets, _ids(begun.decoder_inputs, completion[:-1]))]

    def generation_prompt(self, prompt: Ids, length: int, special: SpecialTokens) -> Example:
        """Let the encoder read the prompt and a sentinel; the decoder has read its start and that sentinel."""
        hole = special.sentinels[:1]
        decoder = _ids(self.start, hole)
        return Example(self.frame.text(prompt, hole), _nothing(len(decoder)), decoder)

    def encoding_example(self, tokens: Ids, special: SpecialTokens) -> Example:
        """Let the encoder read the text in the frame; the decoder is left out."""
        return _encoded(self.frame, tokens, special)

    def reads_right_context(self, special: SpecialTokens) -> bool:
        """Yes: the encoder does."""
        return True

    def infilling_examples(
        self, gap: SpanInContext, special: SpecialTokens, *, score_right: bool = False
    ) -> list[Example]:
        """Ask for the span after its sentinel."""
        sentinel = special.sentinels[:1]
        inputs = self.frame.text(gap.left, sentinel, gap.right)
        targets = _ids(_nothing(len(self.start)), gap.span)
        return [Example(inputs, targets, _ids(self.start, sentinel, gap.span[:-1]))]

    def fill_spans(self, template: InfillingTemplate, network: InfillingNetwork) -> FilledSpans:
        """Let the decoder write each span after its sentinel."""
        return fill_sentinels(self, template, network)


@dataclass(frozen=True)
class PretrainedSeq2Seq:
    """A translator or the like (Marian, BART, T5Gemma): the encoder reads the prompt, the decoder says the completion.

    >>> (one,) = PretrainedSeq2Seq(TextFrame(after=(2,)), (0,)).scoring_examples(np.array([5]), np.array([6, 7]), special)
    >>> one.inputs.tolist(), one.decoder_inputs.tolist(), one.targets.tolist()
    ([5, 2], [0, 6], [6, 7])
    """

    frame: TextFrame
    start: tuple[int, ...]
    """what the decoder has read before it says anything"""
    fills: bool = False
    """whether its training let the encoder read masks and the decoder say the whole text (BART)"""

    kind: ClassVar[str] = "plain"
    role: ClassVar[Role] = "encoder-decoder"
    exactness: ClassVar[str] = "exact"
    family: ClassVar[Family] = "autoregressive"
    share: ClassVar[float] = 1.0

    def training_example(
        self, tokens: Ids, special: SpecialTokens, rng: np.random.Generator
    ) -> Example:
        """Refuse: such a checkpoint was trained on pairs, or on a noise that its files do not tell.

        Raises:
            InputError: always.
        """
        raise InputError(
            "loss: an encoder-decoder of the plain form has no training loss on texts alone (it was trained on pairs, "
            "or on a noise that its files do not tell); log_likelihood(sources, targets) scores pairs"
        )

    def scoring_examples(
        self, prompt: Ids, completion: Ids, special: SpecialTokens
    ) -> list[Example]:
        """Ask the decoder for the completion, the encoder having read the prompt."""
        inputs = self.encoding_example(prompt, special).inputs
        targets = _ids(_nothing(len(self.start) - 1), completion)
        return [Example(inputs, targets, _ids(self.start, completion[:-1]))]

    def generation_prompt(self, prompt: Ids, length: int, special: SpecialTokens) -> Example:
        """Let the encoder read the prompt; the decoder has read its start."""
        return Example(
            self.encoding_example(prompt, special).inputs,
            _nothing(len(self.start)),
            _ids(self.start),
        )

    def encoding_example(self, tokens: Ids, special: SpecialTokens) -> Example:
        """Let the encoder read the text in the frame; the decoder is left out."""
        return _encoded(self.frame, tokens, special)

    def reads_right_context(self, special: SpecialTokens) -> bool:
        """Whether there is a mask for the encoder to read."""
        return special.mask >= 0

    def infilling_examples(
        self, gap: SpanInContext, special: SpecialTokens, *, score_right: bool = False
    ) -> list[Example]:
        """Ask for the span where the decoder has written the left context; without a mask, after that alone."""
        if gap.ends_text:
            self._check_fills()
        if special.mask < 0:
            return left_context_examples(self, gap, special, score_right=score_right)
        return [guided_example(self, gap, special, score_right=score_right)]

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
                "infill: wanted a model that learnt to fill holes (masked, T5's sentinels, BART) or continues a "
                "text (causal), got a translator (Marian) or an encoder-decoder whose files do not tell how a hole "
                "was marked (T5Gemma); `rank` compares whole texts that its decoder may say"
            )


PRETRAINED = (PretrainedCausal, PretrainedMasked, PretrainedSpanCorruption, PretrainedSeq2Seq)
"""Objectives of checkpoints: their files are plain transformers', without lmcompare.json."""


def end_of_training_text(objective: Objective, special: SpecialTokens) -> list[int]:
    """Return the ids that end a text in training: eos, but nothing for a checkpoint, whose frame ends it."""
    return [] if isinstance(objective, PRETRAINED) else [special.eos]


def _encoded(frame: TextFrame, tokens: Ids, special: SpecialTokens) -> Example:
    inputs = frame.text(tokens)
    inputs = inputs if len(inputs) else _ids([special.eos])
    return Example(inputs, _nothing(len(inputs)))
