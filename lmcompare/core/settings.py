"""Settings that several rooms read: frozen dataclasses whose fields are the keys of a YAML file."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

STRICT = ConfigDict(extra="forbid", use_attribute_docstrings=True)
PRETRAINING = "pretraining"
"""The task of the rows of pretraining; no task has this name."""

CONVERGENCE_MARGIN = 0.3
"""A network passes the convergence check if its loss is this many nats below the unigram loss."""

Share = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[int, Field(gt=0)]
Rate = Annotated[float, Field(gt=0)]


@dataclass(frozen=True)
class TokenizerSettings:
    """The shared byte-level BPE tokenizer, trained on the train split."""

    __pydantic_config__ = STRICT

    vocab_size: Annotated[int, Field(ge=300)] = 4096
    """tokens, the special ones and the 256 bytes included"""
    sentinels: Positive = 32
    """special tokens that stand for the masked spans of a sequence"""


@dataclass(frozen=True)
class SequenceSettings:
    """How documents are packed into sequences of equal length."""

    __pydantic_config__ = STRICT

    length: Annotated[int, Field(ge=8)] = 128
    """tokens in a sequence"""
    packing: Literal["joined", "isolated"] = "joined"
    """joined: attention crosses the documents of a sequence; isolated: it does not"""


@dataclass(frozen=True)
class NetworkSettings:
    """A fresh network: decoder, encoder or encoder-decoder of one layer type."""

    __pydantic_config__ = STRICT

    architecture: Literal["gemma2"] = "gemma2"
    """the layer type (positions, norm, activation) that all three share"""
    hidden_size: Positive = 128
    """width of the residual stream"""
    num_layers: Positive = 4
    """layers of the decoder or the encoder; of each, in an encoder-decoder"""
    num_heads: Positive = 4
    """attention heads; must divide `hidden_size`"""
    ffn_multiplier: Annotated[float, Field(gt=0)] = 3.0
    """inner size of the gated feed-forward (transformers: intermediate_size) over `hidden_size`"""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """probability of dropping an attention weight while training"""


@dataclass(frozen=True)
class TrainingSettings:
    """The training loop; the budget is counted in corpus tokens, the same for every objective."""

    __pydantic_config__ = STRICT

    tokens: Positive = 1_000_000
    """corpus tokens that each network reads in pretraining, repeats counted"""
    unique_tokens: Positive | None = None
    """train on the first so many tokens of the train split, repeated; on all of it if left out"""
    batch_size: Positive = 16
    """sequences in a step, over all processes"""
    gradient_accumulation_steps: Positive = 1
    """micro-batches of a step; changes memory, not the result"""
    learning_rate: Rate = 0.003
    """peak of the schedule"""
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """share of the steps in which the learning rate rises"""
    lr_scheduler: Literal["cosine", "linear", "constant"] = "cosine"
    """how the learning rate decays after that, to a tenth of its peak (constant: not at all)"""
    weight_decay: Annotated[float, Field(ge=0)] = 0.1
    """of AdamW, on matrices only"""
    adam_betas: tuple[Share, Share] = (0.9, 0.98)
    """of AdamW"""
    max_grad_norm: Rate = 1.0
    """norm at which gradients are clipped"""
    evaluations: Positive = 10
    """points of the validation curve"""
    validation_sequences: Positive = 128
    """sequences of the validation split for each point"""
    precision: Literal["auto", "no", "bf16", "fp16"] = "auto"
    """mixed precision; auto: bf16 on a device that gains from it, else none"""
    compile: bool = False
    """compile the layers with torch (needs a C++ compiler): faster steps after half a minute, other
    last digits"""
    checkpoint_minutes: Rate = 5.0
    """minutes between checkpoints"""


@dataclass(frozen=True)
class AdaptationSettings:
    """How a pretrained network is fine-tuned on a task: the same trials for every objective."""

    __pydantic_config__ = STRICT

    lora_rank: Positive | None = None
    """of LoRA: rank of the added matrices, 8 if left out; with text_to_text it asks for LoRA"""
    lora_alpha: Positive = 16
    """of LoRA: what is added is scaled by alpha / rank"""
    learning_rates: Annotated[tuple[Rate, ...], Field(min_length=1)] = (0.0003, 0.001)
    """one trial each; linear probes and LoRA need higher ones than fine-tuning: [0.003, 0.01]"""
    pooling: Annotated[tuple[Literal["mean", "last", "first"], ...], Field(min_length=1)] = (
        "mean",
        "last",
        "first",
    )
    """how the hidden states of a text (or word) become one; the best linear probe on validation
    decides before the trials"""
    epochs: Positive = 3
    """passes over the training items, at most"""
    patience: Positive | None = None
    """epochs without a better validation score after which a trial stops early; none does if left
    out"""
    batch_size: Positive = 32
    """items in a step"""
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """share of the steps in which the learning rate rises; it falls linearly after that"""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """of AdamW, on matrices only"""
    attention: Literal["own", "bidirectional", "causal"] = "own"
    """the attention mask while fine-tuning: the network's own, or one of the two for all"""

    def by(self, protocol: str) -> "Adaptation":
        """Return these settings with the protocol of a task."""
        values = {setting.name: getattr(self, setting.name) for setting in fields(self)}
        return Adaptation(**values, protocol=protocol)


@dataclass(frozen=True)
class Adaptation(AdaptationSettings):
    """How a task adapts a network: its settings, and what is trained.

    - 'finetune', 'text_to_text': all weights.
    - 'linear_probe': the head alone, on a frozen network.
    - 'lora': the head, if there is one, and low-rank matrices beside each linear layer.
    """

    protocol: str = "finetune"

    @property
    def lora(self) -> bool:
        """Whether low-rank matrices are trained in place of all weights."""
        return self.protocol == "lora" or (
            self.protocol == "text_to_text" and self.lora_rank is not None
        )


@dataclass(frozen=True)
class CorpusSettings:
    """The text that every objective is trained on; split once, before anything is fitted."""

    __pydantic_config__ = STRICT

    source: object
    """where the text comes from: a word of `lmcompare list sources`, or a mapping by `kind`"""
    validation: Share = 0.02
    """share of the documents"""
    test: Share = 0.02
    """share of the documents"""
    documents: Positive | None = None
    """at most so many documents, the first ones of the source; all if left out"""
    seed: int = 0
    """orders the documents before they are split"""


@dataclass(frozen=True)
class ModelSettings:
    """A model that is compared: a fresh network with its objective, or a pretrained checkpoint."""

    __pydantic_config__ = STRICT

    objective: object = None
    """a word of `lmcompare list objectives`, or a mapping with its `kind` and settings"""
    checkpoint: Annotated[str, Field(min_length=1)] | None = None
    """instead: a folder with safetensors, config and tokenizer, or a name of the hub"""
    revision: Annotated[str, Field(min_length=1)] | None = None
    """branch, tag or commit of a checkpoint of the hub; the main branch if left out"""
    network: dict[str, object] = field(default_factory=dict)
    """settings of `network` that this model alone changes"""
    training: dict[str, object] = field(default_factory=dict)
    """settings of `training` that this model alone changes"""
    tasks: tuple[str, ...] | None = None
    """names of the tasks that this model is evaluated on; all if left out"""


def plain(value: Any) -> Any:
    """Return settings as what JSON and YAML can hold; a plug-in is a mapping with its ``kind``.

    >>> plain(SequenceSettings())
    {'length': 128, 'packing': 'joined'}
    """
    if is_dataclass(value):
        kind = getattr(type(value), "kind", None)
        head = {} if kind is None else {"kind": kind}
        return head | {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
