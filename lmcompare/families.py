"""How a checkpoint was taught to read: its own special tokens, in the shape of ``Example``.

A checkpoint is no run of ours, so its objective here says only how it is asked (``score``, ``begin``, ``read``) and, if
that is known, how it was trained (``learn``). One scorer, ``LanguageModel.ask``, serves them all.

========================  =========================================================================================
family                    how it is asked
========================  =========================================================================================
GPT-2, Qwen, GPT-NeoX     no special token before a prompt; an empty prompt is the bos (or eos) token
Llama, Gemma, GLM         what their tokenizer puts before a text, always
BERT, RoBERTa, ELECTRA    [CLS] prompt completion [SEP], the completion asked at masks
T5, mT5 (sentinels)       encoder: prompt <extra_id_0> </s>; decoder: its start, <extra_id_0>, completion
BART, Marian, T5Gemma     encoder: the prompt as the tokenizer frames it; decoder: its start, completion (plain)
========================  =========================================================================================

The first two lines, and the plain form, are those of lm-evaluation-harness (`TemplateLM._encode_pair`, `HFLM`), but for
BART, whose decoder was trained to read ``</s> <s>`` first; the third is that of minicons (`MaskedLMScorer`).

Recurrent checkpoints (Mamba, and RecurrentGemma with its bos) are asked as in the first two lines. They keep what they
have read in a state of fixed size, so no text is too long for them: they stand for Transformer-XL's long memory, which
transformers 5 no longer has. XLNet, which inherited it, asks in another way and is refused (``checkpoints.GONE``).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from lmcompare.errors import InputError
from lmcompare.example import IGNORE, Example, Ids, Special
from lmcompare.objectives import Family, Objective, Role
from lmcompare.objectives.masked import Masked
from lmcompare.objectives.seq2seq import Seq2Seq


def _ids(*parts: Sequence[int] | Ids) -> Ids:
    # An empty tuple would count as floats.
    return np.concatenate(parts, dtype=np.int64, casting="unsafe")


def _nothing(count: int) -> Ids:
    return np.full(count, IGNORE, dtype=np.int64)


@dataclass(frozen=True)
class Frame:
    """What a tokenizer puts around a text: ([CLS], [SEP]), (<s>, </s>), (bos), (eos), or nothing.

    >>> example = Example(np.array([5, 4]), np.array([-100, 6]))
    >>> framed = Frame((1,), (2, 3)).around(example)
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
class CausalFrame:
    """A causal checkpoint.

    >>> gpt2 = CausalFrame(Frame(), start=1)
    >>> [one.inputs.tolist() for prompt in ([5], []) for one in gpt2.score(np.array(prompt), np.array([6, 7]), special)]
    [[5, 6], [1, 6]]
    """

    frame: Frame
    start: int
    """stands for an empty prompt if the frame puts nothing before a text"""

    kind: ClassVar[str] = "causal"
    role: ClassVar[Role] = "decoder"
    exactness: ClassVar[str] = "exact"
    family: ClassVar[Family] = "autoregressive"
    share: ClassVar[float] = 1.0

    def learn(self, tokens: Ids, special: Special, rng: np.random.Generator) -> Example:
        """Ask for every token, the first one after ``start`` or the frame."""
        return self.score(tokens[:0], tokens, special)[0]

    def score(self, prompt: Ids, completion: Ids, special: Special) -> list[Example]:
        """Ask for the completion after the prompt, in one pass."""
        head = self._head(prompt)
        targets = _ids(_nothing(len(head) - 1), completion)
        return [Example(_ids(head, completion[:-1]), targets, visible="past")]

    def begin(self, prompt: Ids, length: int, special: Special) -> Example:
        """Read the prompt; what follows is not there yet."""
        head = self._head(prompt)
        return Example(head, _nothing(len(head)), visible="past")

    def read(self, tokens: Ids, special: Special) -> Example:
        """Read the text as the tokenizer frames it; an empty one as ``start``."""
        inputs = self.frame.text(tokens)
        inputs = inputs if len(inputs) else _ids([self.start])
        return Example(inputs, _nothing(len(inputs)), visible="past")

    def _head(self, prompt: Ids) -> Ids:
        before: Sequence[int] = self.frame.before or (() if len(prompt) else (self.start,))
        return _ids(before, prompt)


@dataclass(frozen=True)
class MaskedFrame:
    """A masked checkpoint: ``Masked`` between its tokenizer's [CLS] and [SEP]."""

    frame: Frame
    masked: Masked = Masked()

    kind: ClassVar[str] = "masked"
    role: ClassVar[Role] = "encoder"
    exactness: ClassVar[str] = "chain"
    family: ClassVar[Family] = "denoising"

    @property
    def share(self) -> float:
        """Share of the tokens that training asks for."""
        return self.masked.share

    def learn(self, tokens: Ids, special: Special, rng: np.random.Generator) -> Example:
        """Ask for a share of the tokens, in the frame."""
        return self.frame.around(self.masked.learn(tokens, special, rng))

    def score(self, prompt: Ids, completion: Ids, special: Special) -> list[Example]:
        """Ask for each token of the completion with all later ones masked, in the frame: the chain."""
        return [self.frame.around(example) for example in self.masked.score(prompt, completion, special)]

    def begin(self, prompt: Ids, length: int, special: Special) -> Example:
        """Read the prompt and ``length`` masks, in the frame."""
        return self.frame.around(self.masked.begin(prompt, length, special))

    def read(self, tokens: Ids, special: Special) -> Example:
        """Read the text in the frame."""
        inputs = self.frame.text(tokens)
        return Example(inputs, _nothing(len(inputs)))


@dataclass(frozen=True)
class SentinelFrame:
    """A span-corruption checkpoint such as T5: the completion is the span cut from the end of the prompt.

    With eos 2, sentinel 9 and pad 0 as the decoder's start:

    >>> (one,) = SentinelFrame(Frame(after=(2,)), (0,)).score(np.array([5]), np.array([6, 7]), special)
    >>> one.inputs.tolist(), one.decoder_inputs.tolist(), one.targets.tolist()
    ([5, 9, 2], [0, 9, 6], [-100, 6, 7])
    """

    frame: Frame
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
        return self.spans.rate * (1 + 1 / self.spans.mean_span)

    def learn(self, tokens: Ids, special: Special, rng: np.random.Generator) -> Example:
        """Cut spans out of the text and ask for them."""
        cut = self.spans.learn(tokens, special, rng)
        targets = _ids(_nothing(len(self.start) - 1), cut.targets)
        return Example(self.frame.text(cut.inputs), targets, _ids(self.start, cut.targets[:-1]))

    def score(self, prompt: Ids, completion: Ids, special: Special) -> list[Example]:
        """Ask for the completion as the one span cut from the end of the prompt; its sentinel is given."""
        begun = self.begin(prompt, len(completion), special)
        assert begun.decoder_inputs is not None
        targets = _ids(begun.targets[1:], completion)
        return [Example(begun.inputs, targets, _ids(begun.decoder_inputs, completion[:-1]))]

    def begin(self, prompt: Ids, length: int, special: Special) -> Example:
        """Let the encoder read the prompt and a sentinel; the decoder has read its start and that sentinel."""
        hole = special.sentinels[:1]
        decoder = _ids(self.start, hole)
        return Example(self.frame.text(prompt, hole), _nothing(len(decoder)), decoder)

    def read(self, tokens: Ids, special: Special) -> Example:
        """Let the encoder read the text in the frame; the decoder is left out."""
        return _encoded(self.frame, tokens, special)


@dataclass(frozen=True)
class PlainFrame:
    """A translator or the like (Marian, BART, T5Gemma): the encoder reads the prompt, the decoder says the completion.

    >>> (one,) = PlainFrame(Frame(after=(2,)), (0,)).score(np.array([5]), np.array([6, 7]), special)
    >>> one.inputs.tolist(), one.decoder_inputs.tolist(), one.targets.tolist()
    ([5, 2], [0, 6], [6, 7])
    """

    frame: Frame
    start: tuple[int, ...]
    """what the decoder has read before it says anything"""
    fills: bool = False
    """whether its training let the encoder read masks and the decoder say the whole text (BART)"""

    kind: ClassVar[str] = "plain"
    role: ClassVar[Role] = "encoder-decoder"
    exactness: ClassVar[str] = "exact"
    family: ClassVar[Family] = "autoregressive"
    share: ClassVar[float] = 1.0

    def learn(self, tokens: Ids, special: Special, rng: np.random.Generator) -> Example:
        """Refuse: such a checkpoint was trained on pairs, or on a noise that its files do not tell.

        Raises:
            InputError: always.
        """
        raise InputError(
            "loss: an encoder-decoder of the plain form has no training loss on texts alone (it was trained on pairs, "
            "or on a noise that its files do not tell); log_likelihood(sources, targets) scores pairs"
        )

    def score(self, prompt: Ids, completion: Ids, special: Special) -> list[Example]:
        """Ask the decoder for the completion, the encoder having read the prompt."""
        inputs = self.read(prompt, special).inputs
        targets = _ids(_nothing(len(self.start) - 1), completion)
        return [Example(inputs, targets, _ids(self.start, completion[:-1]))]

    def begin(self, prompt: Ids, length: int, special: Special) -> Example:
        """Let the encoder read the prompt; the decoder has read its start."""
        return Example(self.read(prompt, special).inputs, _nothing(len(self.start)), _ids(self.start))

    def read(self, tokens: Ids, special: Special) -> Example:
        """Let the encoder read the text in the frame; the decoder is left out."""
        return _encoded(self.frame, tokens, special)


FRAMED = (CausalFrame, MaskedFrame, SentinelFrame, PlainFrame)
"""Objectives of checkpoints: their files are plain transformers', without lmcompare.json."""


def _encoded(frame: Frame, tokens: Ids, special: Special) -> Example:
    inputs = frame.text(tokens)
    inputs = inputs if len(inputs) else _ids([special.eos])
    return Example(inputs, _nothing(len(inputs)))


SENTINEL_FAMILIES = frozenset({"t5", "mt5", "umt5", "longt5"})
"""Model types pretrained by span corruption with ``<extra_id_n>``."""

FILLING_FAMILIES = frozenset({"bart", "mbart", "plbart"})
"""Model types whose decoder learnt to say a whole text to one whose spans are each a mask (Lewis et al. 2020, section
2.2; Liu et al. 2020, section 2.1; Ahmad et al. 2021, section 2.1)."""

RELATIVE = frozenset({"t5", "mt5", "umt5", "longt5", "bloom", "mpt"})
"""Model types whose positions are relative, so that no length is too long."""

PADDED_POSITIONS = frozenset({"roberta", "xlm-roberta", "camembert", "roberta-prelayernorm", "xlm-roberta-xl", "mpnet"})
"""Model types whose positions are counted from the id of padding, and one: RoBERTa reads 512 of its 514."""


def objective_of(config: Any, role: Role, frame: Frame, special: Special, start: int | None = None) -> Objective:
    """Return how a checkpoint is asked.

    Args:
        config: of the transformers model.
        role: what the network is.
        frame: what its tokenizer puts around a text.
        special: of its vocabulary.
        start: the first token of the decoder, if there is one; None: as the config says, else padding.

    Raises:
        InputError: a masked model whose tokenizer has no mask.
    """
    if role == "decoder":
        # Some tokenizers close a text (eos): what a completion continues is not closed.
        return CausalFrame(frame, start=special.bos)
    if role == "encoder":
        if special.mask < 0:
            raise InputError("tokenizer: wanted one with a mask token for a masked model, got none")
        return MaskedFrame(frame)
    first = start if start is not None else decoder_start(config, special)
    if config.model_type in SENTINEL_FAMILIES and special.sentinels:
        return SentinelFrame(frame, (first,))
    # BART was trained on '</s> <s> text': its tokenizer's <s> is part of what the decoder says.
    starts = (first,) if frame.before in ((), (first,)) else (first, *frame.before)
    return PlainFrame(frame, starts, fills=config.model_type in FILLING_FAMILIES)


def decoder_start(config: Any, special: Special) -> int:
    """Return the token that a decoder reads first: as the config says, else its decoder's bos, else padding."""
    found = getattr(config, "decoder_start_token_id", None)
    if found is None:
        found = getattr(getattr(config, "decoder", None), "bos_token_id", None)
    return special.pad if found is None else int(found)


def context_of(config: Any) -> int | None:
    """Return how many tokens, special ones included, a network may read at once; None: any number.

    >>> from types import SimpleNamespace as Config
    >>> context_of(Config(model_type="roberta", max_position_embeddings=514, pad_token_id=1))
    512
    >>> context_of(Config(model_type="t5", n_positions=512)) is None
    True
    """
    if config.model_type in RELATIVE:
        return None
    found: list[int] = []
    parts: list[Any] = [config, getattr(config, "encoder", None), getattr(config, "decoder", None)]
    for part in parts:
        names = ("max_position_embeddings", "n_positions", "n_ctx")
        size = next((getattr(part, name) for name in names if getattr(part, name, None)), None)
        if isinstance(size, int):
            found.append(size - (part.pad_token_id + 1 if part.model_type in PADDED_POSITIONS else 0))
    return min(found, default=None)
