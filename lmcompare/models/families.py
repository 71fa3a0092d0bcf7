"""How a checkpoint was taught to read: its own special tokens, in the shape of ``Example``.

A checkpoint is no run of ours, so its objective here says only how it is asked (``scoring_examples``, ``generation_prompt``,
``encoding_example``) and, if
that is known, how it was trained (``training_example``). One scorer, ``LanguageModel.ask``, serves them all.

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

from typing import Any

from lmcompare.core.errors import InputError
from lmcompare.core.example import SpecialTokens
from lmcompare.models.pretrained_objectives import (
    PretrainedCausal,
    PretrainedMasked,
    PretrainedSeq2Seq,
    PretrainedSpanCorruption,
    TextFrame,
)
from lmcompare.objectives import Objective, Role

SENTINEL_FAMILIES = frozenset({"t5", "mt5", "umt5", "longt5"})
"""Model types pretrained by span corruption with ``<extra_id_n>``."""

FILLING_FAMILIES = frozenset({"bart", "mbart", "plbart"})
"""Model types whose decoder learnt to say a whole text to one whose spans are each a mask (Lewis et al. 2020, section
2.2; Liu et al. 2020, section 2.1; Ahmad et al. 2021, section 2.1)."""

RELATIVE = frozenset({"t5", "mt5", "umt5", "longt5", "bloom", "mpt"})
"""Model types whose positions are relative, so that no length is too long."""

PADDED_POSITIONS = frozenset(
    "camembert data2vec-text esm ibert longformer luke mpnet roberta roberta-prelayernorm xlm-roberta xlm-roberta-xl "
    "xmod".split()
)
"""Model types whose positions are counted from the id of padding, and one: RoBERTa reads 512 of its 514."""


def pretrained_objective(
    config: Any, role: Role, frame: TextFrame, special: SpecialTokens, start: int | None = None
) -> Objective:
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
        return PretrainedCausal(frame, start=special.bos)
    if role == "encoder":
        if special.mask < 0:
            raise InputError("tokenizer: wanted one with a mask token for a masked model, got none")
        return PretrainedMasked(frame)
    first = start if start is not None else decoder_start(config, special)
    if config.model_type in SENTINEL_FAMILIES and special.sentinels:
        return PretrainedSpanCorruption(frame, (first,))
    # BART was trained on '</s> <s> text': its tokenizer's <s> is part of what the decoder says.
    starts = (first,) if frame.before in ((), (first,)) else (first, *frame.before)
    return PretrainedSeq2Seq(frame, starts, fills=config.model_type in FILLING_FAMILIES)


def decoder_start(config: Any, special: SpecialTokens) -> int:
    """Return the token that a decoder reads first: as the config says, else its decoder's bos, else padding."""
    found = getattr(config, "decoder_start_token_id", None)
    if found is None:
        found = getattr(getattr(config, "decoder", None), "bos_token_id", None)
    return special.pad if found is None else int(found)


def configured_role(config: Any) -> Role:
    """Return the mask that a network of ours applies by itself, as its config says.

    A stack trained on several objectives serves those of the other mask, too.
    """
    if config.is_encoder_decoder:
        return "encoder-decoder"
    return "encoder" if getattr(config, "is_causal", True) is False else "decoder"


def context_length(config: Any) -> int | None:
    """Return how many tokens, special ones included, a network may read at once; None: any number.

    >>> from types import SimpleNamespace as Config
    >>> context_length(Config(model_type="roberta", max_position_embeddings=514, pad_token_id=1))
    512
    >>> context_length(Config(model_type="t5", n_positions=512)) is None
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
            found.append(
                size - (part.pad_token_id + 1 if part.model_type in PADDED_POSITIONS else 0)
            )
    return min(found, default=None)
