"""How each family of checkpoints formats its inputs: its special tokens around a text.

=======================  ==========================================================================
family                   inputs
=======================  ==========================================================================
GPT-2, Qwen, GPT-NeoX    no special token before a prompt; an empty prompt is bos (or eos)
Llama, Gemma, GLM        what their tokenizer puts before a text, always
BERT, RoBERTa, ELECTRA   [CLS] prompt completion [SEP], with masks in the completion
T5, mT5 (sentinels)      encoder: prompt <extra_id_0> </s>; decoder: start <extra_id_0> completion
BART, Marian, T5Gemma    encoder: prompt as the tokenizer frames it; decoder: start completion
=======================  ==========================================================================

The first two lines and the last are those of lm-evaluation-harness (`TemplateLM._encode_pair`,
`HFLM`), but for BART, whose decoder was trained to read ``</s> <s>`` first; the third is that of
minicons (`MaskedLMScorer`).

Recurrent checkpoints (Mamba, and RecurrentGemma with its bos) follow the first two lines. Their
state has a fixed size, so no text is too long for them.
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
"""Model types whose decoder writes the whole of a text whose spans are each one mask (Lewis et al.
2020, section 2.2; Liu et al. 2020, section 2.1; Ahmad et al. 2021, section 2.1)."""

RELATIVE_POSITIONS = frozenset({"t5", "mt5", "umt5", "longt5", "bloom", "mpt"})
"""Model types whose positions are relative, so that no length is too long."""

PADDED_POSITIONS = frozenset(
    "camembert data2vec-text esm ibert longformer luke mpnet roberta roberta-prelayernorm "
    "xlm-roberta xlm-roberta-xl xmod".split()
)
"""Model types that count positions from the id of padding + 1: RoBERTa reads 512 of its 514."""


def pretrained_objective(
    config: Any, role: Role, frame: TextFrame, special: SpecialTokens, start: int | None = None
) -> Objective:
    """Return the objective of a checkpoint.

    Args:
        config: of the transformers model.
        role: of the network.
        frame: what its tokenizer puts around a text.
        special: of its tokenizer.
        start: the decoder's first token, if there is one; None: as the config says, else padding.

    Raises:
        InputError: a masked model whose tokenizer has no mask.
    """
    if role == "decoder":
        # Some tokenizers close a text with eos, but a prompt is not closed before its completion.
        return PretrainedCausal(frame, start=special.bos)
    if role == "encoder":
        if special.mask < 0:
            raise InputError("tokenizer: wanted one with a mask token for a masked model, got none")
        return PretrainedMasked(frame)
    first = decoder_start(config, special) if start is None else start
    if config.model_type in SENTINEL_FAMILIES and special.sentinels:
        return PretrainedSpanCorruption(frame, (first,))
    # BART was trained on '</s> <s> text': its tokenizer's <s> is part of what the decoder writes.
    starts = (first,) if frame.before in ((), (first,)) else (first, *frame.before)
    return PretrainedSeq2Seq(frame, starts, fills=config.model_type in FILLING_FAMILIES)


def decoder_start(config: Any, special: SpecialTokens) -> int:
    """Return a decoder's first token: as the config says, else its decoder's bos, else padding."""
    start = getattr(config, "decoder_start_token_id", None)
    if start is None:
        start = getattr(getattr(config, "decoder", None), "bos_token_id", None)
    return special.pad if start is None else int(start)


def configured_role(config: Any) -> Role:
    """Return the role that the config of a network of ours says.

    A single stack trained on several objectives also serves those of the other mask.
    """
    if config.is_encoder_decoder:
        return "encoder-decoder"
    return "encoder" if getattr(config, "is_causal", True) is False else "decoder"


def context_length(config: Any) -> int | None:
    """Return how many tokens, special ones included, a network reads at most; None: any number.

    >>> from types import SimpleNamespace as Config
    >>> context_length(Config(model_type="roberta", max_position_embeddings=514, pad_token_id=1))
    512
    >>> context_length(Config(model_type="t5", n_positions=512)) is None
    True
    """
    if config.model_type in RELATIVE_POSITIONS:
        return None
    lengths: list[int] = []
    parts: list[Any] = [config, getattr(config, "encoder", None), getattr(config, "decoder", None)]
    for part in parts:
        names = ("max_position_embeddings", "n_positions", "n_ctx")
        size = next((getattr(part, name) for name in names if getattr(part, name, None)), None)
        if isinstance(size, int):
            unused = part.pad_token_id + 1 if part.model_type in PADDED_POSITIONS else 0
            lengths.append(size - unused)
    return min(lengths, default=None)
