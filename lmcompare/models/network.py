"""Networks: one block in three roles, or a checkpoint; and the one loss kernel."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch._dynamo.exc import TorchDynamoException
from torch.nn import functional as F
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    AutoConfig,
    AutoModelForSeq2SeqLM,
    Cache,
    Gemma2Config,
    Gemma2ForCausalLM,
    PreTrainedModel,
    T5GemmaConfig,
    T5GemmaForConditionalGeneration,
)
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask
from transformers.modeling_outputs import BaseModelOutput

from lmcompare.core import settings
from lmcompare.core.errors import InputError
from lmcompare.core.example import IGNORE, SpecialTokens
from lmcompare.models.batch_tensors import BatchTensors as BatchTensors
from lmcompare.models.families import configured_role
from lmcompare.objectives import Role

# Gemma-2 refuses 'sdpa' by name because that kernel has no soft-capping. Our blocks have none, so it is right for them.
FUSED = "fused"
AttentionInterface.register(FUSED, sdpa_attention_forward)
AttentionMaskInterface.register(FUSED, sdpa_mask)


class Network(nn.Module):
    """A transformers model that answers ``Example``s.

    Args:
        transformer: a model with a language-modelling head.
        role: 'decoder', 'encoder' or 'encoder-decoder'.
    """

    def __init__(self, transformer: Any, role: Role) -> None:
        super().__init__()
        self.transformer = transformer
        # Else `evaluation_mode` would leave a checkpoint, which comes without dropout, with it.
        self.train(transformer.training)
        self.role = role
        self._asked: Tensor | None = None
        transformer.get_output_embeddings().register_forward_pre_hook(self._keep_asked)

    def forward(self, batch: BatchTensors, past: Cache | None = None) -> Tensor:
        """Return -log p (nats) of each target. Shape (targets,), in row-major order of where they stand.

        This is the one loss kernel: logits are computed only where something is asked, in float32.

        Args:
            batch: what is read and wanted.
            past: of a decoder: the keys and values of what each row has read before; see ``sharing``.
        """
        asked = batch.targets != IGNORE
        return F.cross_entropy(
            self.logits(batch, asked, past).float(), batch.targets[asked], reduction="none"
        )

    def logits(self, batch: BatchTensors, where: Tensor, past: Cache | None = None) -> Tensor:
        """Return the logits at the positions where the mask (B, m) is true. Shape (true, vocabulary)."""
        self._asked = where
        dtype = self.transformer.dtype
        try:
            if batch.decoder_inputs is None:
                given: dict[str, Any] = (
                    _without_cache(self.transformer) if past is None else {"past_key_values": past}
                )
                if (positions := batch.positions()) is not None:
                    given["position_ids"] = positions
                mask = batch.self_attention_mask(self.role, dtype)
                output = self.transformer(input_ids=batch.inputs, attention_mask=mask, **given)
            else:
                output = self.transformer(
                    attention_mask=batch.cross_attention_mask(dtype),
                    encoder_outputs=self._encode(batch),
                    decoder_input_ids=batch.decoder_inputs,
                    decoder_attention_mask=batch.decoder_attention_mask(dtype),
                    use_cache=False,
                )
        finally:
            self._asked = None
        logits: Tensor = output.logits
        return logits

    def states(self, batch: BatchTensors, layer: int | None = None) -> Tensor:
        """Return the hidden state of each input (of the encoder, if there is one). Shape (B, n, width).

        Args:
            batch: what is read.
            layer: 0 for the embeddings, k for what comes out of layer k, negative from the end; None for the last
                state, after the final norm.

        Raises:
            InputError: there is no such layer.
        """
        module = self.reader
        wanted = (
            _without_cache(module)
            if layer is None
            else _without_cache(module) | {"output_hidden_states": True}
        )
        mask = batch.self_attention_mask(self.role, self.transformer.dtype)
        output = module(input_ids=batch.inputs, attention_mask=mask, **wanted)
        if layer is None:
            states: Tensor = output.last_hidden_state
            return states
        layers: tuple[Tensor, ...] = output.hidden_states
        if not -len(layers) <= layer < len(layers):
            raise InputError(
                f"layer: wanted one from {-len(layers)} to {len(layers) - 1} (0: embeddings), got {layer}"
            )
        return layers[layer]

    @property
    def reader(self) -> Any:
        """The transformers model whose output the states are: the encoder, if there is one, else all but the head."""
        return (
            self.transformer.get_encoder()
            if self.role == "encoder-decoder"
            else self.transformer.base_model
        )

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return torch.device(self.transformer.device)

    @property
    def hidden_size(self) -> int:
        """Size of the hidden states (ELECTRA's embeddings are narrower)."""
        config = self.transformer.config
        return int(getattr(config, "hidden_size", None) or config.encoder.hidden_size)

    def parameters_counted(self) -> dict[str, int]:
        """Count the parameters, tied ones once: 'parameters' and 'parameters_without_embeddings'."""
        every = {id(p): p.numel() for p in self.transformer.parameters()}
        tables = {
            id(m.weight): m.weight.numel()
            for m in self.transformer.modules()
            if isinstance(m, nn.Embedding)
        }
        head = self.transformer.get_output_embeddings().weight
        tables[id(head)] = head.numel()
        return {
            "parameters": sum(every.values()),
            "parameters_without_embeddings": sum(
                n for key, n in every.items() if key not in tables
            ),
        }

    def _keep_asked(self, _: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        """Drop the states at which nothing is asked, just before the output embeddings."""
        return None if self._asked is None else (args[0][self._asked], *args[1:])

    def _encode(self, batch: BatchTensors) -> Any:
        """Return what the encoder says of the inputs; of a prompt that several rows share, once."""
        encoder, dtype = self.transformer.get_encoder(), self.transformer.dtype
        if (
            not torch.is_inference_mode_enabled()
            or batch.segments is not None
            or len(batch.inputs) < 2
        ):
            return encoder(
                input_ids=batch.inputs, attention_mask=batch.self_attention_mask(self.role, dtype)
            )
        rows = torch.cat([batch.inputs, batch.attention_mask, batch.prefix_lengths[:, None]], dim=1)
        unique, place = torch.unique(rows, dim=0, return_inverse=True)
        first = torch.full((len(unique),), len(rows), device=rows.device)
        first.scatter_reduce_(0, place, torch.arange(len(rows), device=rows.device), "amin")
        once = replace(
            batch,
            inputs=batch.inputs[first],
            attention_mask=batch.attention_mask[first],
            prefix_lengths=batch.prefix_lengths[first],
        )
        output = encoder(
            input_ids=once.inputs, attention_mask=once.self_attention_mask(self.role, dtype)
        )
        return BaseModelOutput(last_hidden_state=output.last_hidden_state[place])


def _without_cache(module: nn.Module) -> dict[str, Any]:
    """Return how a module is told to keep no cache: BERT-like encoders keep none and do not know the word."""
    return {"use_cache": False} if "use_cache" in signature(module.forward).parameters else {}


@contextmanager
def evaluation_mode(network: torch.nn.Module) -> Iterator[None]:
    """Switch to evaluation, without gradients, and back."""
    was = network.training
    network.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        network.train(was)


@contextmanager
def compiled(network: Network) -> Iterator[None]:
    """Let torch compile the layers of a network; while it is in evaluation, and at the end, they are as they were.

    Layers share their code, so one is compiled, or two of an encoder-decoder, and once more where shapes change.

    Raises:
        InputError: torch cannot compile here.
    """
    layers = [
        layer for part in network.modules() if isinstance(part, nn.ModuleList) for layer in part
    ]

    def either(eager: Any) -> Any:
        fast, layer = torch.compile(eager), eager.__self__
        return lambda *args, **kwargs: (fast if layer.training else eager)(*args, **kwargs)

    for layer in layers:
        layer.forward = either(layer.forward)
    try:
        yield
    except TorchDynamoException as error:
        said = str(getattr(error, "inner_exception", error)).strip().partition("\n")[0]
        raise InputError(
            "training.compile: torch could not compile here; wanted a C++ compiler and Python's headers (on Debian: "
            f"apt install g++ python3-dev), got: {said}; or leave it out"
        ) from error
    finally:
        for layer in layers:
            del layer.forward
        torch.compiler.reset()  # else the next network's shapes count towards torch's limit of recompilations


def build_network(
    network: settings.NetworkSettings, role: Role, special: SpecialTokens, seed: int
) -> Network:
    """Build a fresh network: the Gemma-2 block (Gemma Team 2024, section 2) without soft-capping or sliding windows.

    The three roles share the block, the initialisation (normal, 0.02) and one table of embeddings, which is the output
    layer too; the encoder-decoder (Zhang et al. 2025, T5Gemma) is the block twice, with cross-attention.

    Args:
        network: the sizes.
        role: 'decoder', 'encoder' or 'encoder-decoder'.
        special: of the vocabulary that the network is to read.
        seed: of the initialisation.
    """
    if network.hidden_size % network.num_heads or (network.hidden_size // network.num_heads) % 2:
        raise InputError(
            f"network.num_heads: wanted a number that divides the hidden_size {network.hidden_size} into even parts, "
            f"got {network.num_heads}"
        )
    head = network.hidden_size // network.num_heads
    sizes: dict[str, Any] = {
        "vocab_size": len(special.word_starts),
        "hidden_size": network.hidden_size,
        "intermediate_size": round(network.ffn_multiplier * network.hidden_size),
        "num_hidden_layers": network.num_layers,
        "num_attention_heads": network.num_heads,
        "num_key_value_heads": network.num_heads,
        "head_dim": head,
        "query_pre_attn_scalar": head,
        "layer_types": ["full_attention"] * network.num_layers,
        "attention_dropout": network.dropout,
        "attn_logit_softcapping": None,
        "final_logit_softcapping": None,
        "pad_token_id": special.pad,
        "bos_token_id": special.bos,
        "eos_token_id": special.eos,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": True,
    }
    devices = range(torch.cuda.device_count())
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        if role == "encoder-decoder":
            config: Any = T5GemmaConfig(
                encoder=dict(sizes),
                decoder=dict(sizes),
                attention_dropout=network.dropout,
                vocab_size=sizes["vocab_size"],
                tie_word_embeddings=True,
                **{
                    "decoder_start_token_id": special.bos,
                    **{k: sizes[k] for k in sizes if k.endswith("token_id")},
                },
            )
            for part in (config, config.encoder, config.decoder):
                part._attn_implementation = FUSED
            transformer: PreTrainedModel = T5GemmaForConditionalGeneration(config)
            share_embeddings(transformer)
        else:
            config = Gemma2Config(**sizes)
            config._attn_implementation = FUSED
            config.is_causal = role == "decoder"
            transformer = Gemma2ForCausalLM(config)
    return Network(transformer, role)


def reinitialize(network: Network, seed: int) -> Network:
    """Return a network of the same class and config, from random initialisation: what it was before it was trained.

    Args:
        network: it stays as it is.
        seed: of the initialisation.
    """
    old = network.transformer
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        made = type(old)._from_config(
            old.config, dtype=old.dtype, attn_implementation=old.config._attn_implementation
        )
    if old.config.model_type == "t5gemma":
        encoder, decoder = old.get_encoder(), old.get_decoder()
        if encoder.embed_tokens.weight is decoder.embed_tokens.weight:
            share_embeddings(made)
    return Network(made.eval(), network.role).to(network.device)


def share_embeddings(transformer: Any) -> None:
    """Let the encoder of a T5Gemma read with the decoder's table: one table, as in the other roles."""
    encoder, decoder = transformer.get_encoder(), transformer.get_decoder()
    encoder.embed_tokens.weight = decoder.embed_tokens.weight


def save_network(network: Network, folder: Path) -> None:
    """Write weights (safetensors) and config so that plain transformers reads the same network.

    A shared table is written under each of its names: transformers does not know that our encoder-decoder shares it.
    """
    state = {
        name: tensor.detach().clone().contiguous()
        for name, tensor in network.transformer.state_dict().items()
    }
    network.transformer.save_pretrained(folder, state_dict=state)


def load_network(folder: Path, role: Role, dtype: torch.dtype = torch.float32) -> Network:
    """Read a network that ``save_network`` wrote.

    Args:
        folder: where it lies.
        role: that of the objective, which the network must be able to serve; its own is ``families.configured_role``.
        dtype: of the weights.

    Raises:
        InputError: no such folder, a part without weights, another network than an encoder-decoder, or the reverse.
    """
    if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
        raise InputError(
            f"{folder}: no network there (wanted a folder with config.json and model.safetensors)"
        )
    where: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    own = configured_role(AutoConfig.from_pretrained(folder, **where))
    if (own == "encoder-decoder") != (role == "encoder-decoder"):
        raise InputError(f"{folder}: wanted a network for the role {role!r}, got one for {own!r}")
    cls: Any = AutoModelForSeq2SeqLM if own == "encoder-decoder" else Gemma2ForCausalLM
    transformer, report = cls.from_pretrained(
        folder,
        use_safetensors=True,
        attn_implementation=FUSED,
        dtype=dtype,
        output_loading_info=True,
        **where,
    )
    if missing := sorted(report["missing_keys"]):
        raise InputError(
            f"{folder}: no weights for {len(missing)} parts ({missing[0]}, ...), which would be random"
        )
    if own == "encoder-decoder":
        share_embeddings(transformer)
    return Network(transformer, own)
