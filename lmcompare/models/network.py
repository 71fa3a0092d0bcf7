"""A transformers model that computes the losses of ``Example``s, and fresh ones of three roles."""

from collections.abc import Callable, Iterator
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
from lmcompare.models.input_formats import configured_role
from lmcompare.objectives import Role

# Gemma-2 refuses the name 'sdpa' because that kernel has no soft-capping. Our layers have none.
FUSED = "fused"
AttentionInterface.register(FUSED, sdpa_attention_forward)
AttentionMaskInterface.register(FUSED, sdpa_mask)


class Network(nn.Module):
    """A transformers model with a language-modeling head, and its role."""

    def __init__(self, transformer: Any, role: Role) -> None:
        super().__init__()
        self.transformer = transformer
        self.role = role
        # A checkpoint comes in evaluation mode; without this, evaluation_mode would switch its
        # dropout on when it ends.
        self.train(transformer.training)
        self._positions: Tensor | None = None
        transformer.get_output_embeddings().register_forward_pre_hook(self._select_positions)

    def forward(self, batch: BatchTensors, past: Cache | None = None) -> Tensor:
        """Return -log p (nats) of each target, in row-major order. Shape (targets,).

        This is the one loss kernel: logits are computed at the targets alone, in float32.

        Args:
            batch: inputs and targets.
            past: of a decoder, the KV cache of each row's prefix; see ``scoring.prefix_sharing``.
        """
        has_target = batch.targets != IGNORE  # (B, m)
        logits = self.logits(batch, has_target, past).float()  # (targets, vocab)
        return F.cross_entropy(logits, batch.targets[has_target], reduction="none")

    def logits(self, batch: BatchTensors, where: Tensor, past: Cache | None = None) -> Tensor:
        """Return the logits at the positions where the mask (B, m) is true. Shape (true, vocab)."""
        self._positions = where
        try:
            logits: Tensor = self._run(batch, past).logits
        finally:
            self._positions = None
        return logits

    def _run(self, batch: BatchTensors, past: Cache | None) -> Any:
        dtype = self.transformer.dtype
        if batch.decoder_inputs is not None:
            return self.transformer(
                attention_mask=batch.cross_attention_mask(dtype),
                encoder_outputs=self._encode(batch),
                decoder_input_ids=batch.decoder_inputs,
                decoder_attention_mask=batch.decoder_attention_mask(dtype),
                use_cache=False,
            )
        options: dict[str, Any]
        options = _no_cache(self.transformer) if past is None else {"past_key_values": past}
        if (position_ids := batch.position_ids()) is not None:
            options["position_ids"] = position_ids
        mask = batch.self_attention_mask(self.role, dtype)
        return self.transformer(input_ids=batch.inputs, attention_mask=mask, **options)

    def _select_positions(
        self, _: nn.Module, args: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...] | None:
        """Keep, before the output embeddings, the hidden states whose logits are needed."""
        return None if self._positions is None else (args[0][self._positions], *args[1:])

    def states(self, batch: BatchTensors, layer: int | None = None) -> Tensor:
        """Return the hidden states of the inputs (B, n, hidden), of an encoder if there is one.

        Args:
            batch: what is read.
            layer: 0 for the embeddings, k for the output of layer k, negative from the end; None
                for the last state, after the final norm.

        Raises:
            InputError: there is no such layer.
        """
        options = _no_cache(self.reader)
        if layer is not None:
            options["output_hidden_states"] = True
        mask = batch.self_attention_mask(self.role, self.transformer.dtype)
        output = self.reader(input_ids=batch.inputs, attention_mask=mask, **options)
        if layer is None:
            states: Tensor = output.last_hidden_state
            return states
        layers: tuple[Tensor, ...] = output.hidden_states
        if not -len(layers) <= layer < len(layers):
            raise InputError(
                f"layer: wanted one from {-len(layers)} to {len(layers) - 1} (0: embeddings), "
                f"got {layer}"
            )
        return layers[layer]

    @property
    def reader(self) -> Any:
        """The module whose output ``states`` returns: the encoder, or all but the head."""
        if self.role == "encoder-decoder":
            return self.transformer.get_encoder()
        return self.transformer.base_model

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
        """Count the parameters, tied ones once: 'parameters', 'parameters_without_embeddings'."""
        sizes = {id(p): p.numel() for p in self.transformer.parameters()}
        head = self.transformer.get_output_embeddings()
        tables = [m for m in self.transformer.modules() if isinstance(m, nn.Embedding)]
        embeddings = {id(m.weight) for m in [*tables, head]}
        rest = sum(size for key, size in sizes.items() if key not in embeddings)
        return {"parameters": sum(sizes.values()), "parameters_without_embeddings": rest}

    def _encode(self, batch: BatchTensors) -> Any:
        """Return the encoder's output; in inference, equal rows are encoded once."""
        encoder, dtype = self.transformer.get_encoder(), self.transformer.dtype
        if (
            not torch.is_inference_mode_enabled()
            or batch.segments is not None
            or len(batch.inputs) < 2
        ):
            mask = batch.self_attention_mask(self.role, dtype)
            return encoder(input_ids=batch.inputs, attention_mask=mask)
        # Two rows are equal if inputs, padding and prefix are: (B, 2n + 1).
        rows = torch.cat([batch.inputs, batch.attention_mask, batch.prefix_lengths[:, None]], dim=1)
        unique, group = torch.unique(rows, dim=0, return_inverse=True)
        # The first row of each group. (unique,)
        first = torch.full((len(unique),), len(rows), device=rows.device)
        first.scatter_reduce_(0, group, torch.arange(len(rows), device=rows.device), "amin")
        distinct = replace(
            batch,
            inputs=batch.inputs[first],
            attention_mask=batch.attention_mask[first],
            prefix_lengths=batch.prefix_lengths[first],
        )
        mask = distinct.self_attention_mask(self.role, dtype)
        states = encoder(input_ids=distinct.inputs, attention_mask=mask).last_hidden_state
        return BaseModelOutput(last_hidden_state=states[group])  # (B, n, hidden)


def _no_cache(module: nn.Module) -> dict[str, Any]:
    """Return the argument that keeps a module from caching; BERT-like encoders do not know it."""
    return {"use_cache": False} if "use_cache" in signature(module.forward).parameters else {}


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Switch to evaluation, without gradients, and back."""
    training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        network.train(training)


@contextmanager
def compiled(network: Network) -> Iterator[None]:
    """Compile the layers of a network in training; in evaluation, and at the end, they are eager.

    Layers share their code, so one is compiled (of an encoder-decoder, two), and again where shapes
    change.

    Raises:
        InputError: torch cannot compile here.
    """
    stacks = [module for module in network.modules() if isinstance(module, nn.ModuleList)]
    layers = [layer for stack in stacks for layer in stack]
    for layer in layers:
        layer.forward = _compiled_in_training(layer)
    try:
        yield
    except TorchDynamoException as error:
        reason = str(getattr(error, "inner_exception", error)).strip().partition("\n")[0]
        raise InputError(
            "training.compile: torch could not compile here; wanted a C++ compiler and Python's "
            f"headers (on Debian: apt install g++ python3-dev), got: {reason}; or leave it out"
        ) from error
    finally:
        for layer in layers:
            del layer.forward
        # Otherwise the next network's shapes count toward torch's limit of recompilations.
        torch.compiler.reset()


def _compiled_in_training(layer: nn.Module) -> Callable[..., Any]:
    eager = layer.forward
    fast = torch.compile(eager)
    return lambda *args, **kwargs: (fast if layer.training else eager)(*args, **kwargs)


def build_network(
    network: settings.NetworkSettings, role: Role, special: SpecialTokens, seed: int
) -> Network:
    """Build a fresh network of Gemma-2 layers (Gemma Team 2024, section 2).

    Left out are soft-capping and sliding windows. All roles share the architecture, the
    initialization (normal, 0.02) and one table of embeddings, which is the output layer too. The
    encoder-decoder (T5Gemma, Zhang et al. 2025) is two stacks with cross-attention.

    Raises:
        InputError: the heads do not divide the hidden size into even parts.
    """
    sizes = _config_sizes(network, special)
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        transformer = (
            _encoder_decoder(sizes)
            if role == "encoder-decoder"
            else _single_stack(sizes, is_causal=role == "decoder")
        )
    return Network(transformer, role)


def _config_sizes(network: settings.NetworkSettings, special: SpecialTokens) -> dict[str, Any]:
    """Return the arguments of ``Gemma2Config`` that all roles share."""
    head_dim, rest = divmod(network.hidden_size, network.num_heads)
    if rest or head_dim % 2:
        raise InputError(
            f"network.num_heads: wanted a number that divides the hidden_size "
            f"{network.hidden_size} into even parts, got {network.num_heads}"
        )
    return {
        "vocab_size": len(special.word_starts),
        "hidden_size": network.hidden_size,
        "intermediate_size": round(network.ffn_multiplier * network.hidden_size),
        "num_hidden_layers": network.num_layers,
        "num_attention_heads": network.num_heads,
        "num_key_value_heads": network.num_heads,
        "head_dim": head_dim,
        "query_pre_attn_scalar": head_dim,
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


def _single_stack(sizes: dict[str, Any], *, is_causal: bool) -> PreTrainedModel:
    config = Gemma2Config(**sizes)
    config._attn_implementation = FUSED
    config.is_causal = is_causal
    return Gemma2ForCausalLM(config)


def _encoder_decoder(sizes: dict[str, Any]) -> PreTrainedModel:
    shared = {key: value for key, value in sizes.items() if key.endswith("token_id")}
    shared["decoder_start_token_id"] = sizes["bos_token_id"]
    config: Any = T5GemmaConfig(
        encoder=dict(sizes),
        decoder=dict(sizes),
        attention_dropout=sizes["attention_dropout"],
        vocab_size=sizes["vocab_size"],
        tie_word_embeddings=True,
        **shared,
    )
    for part in (config, config.encoder, config.decoder):
        part._attn_implementation = FUSED
    transformer = T5GemmaForConditionalGeneration(config)
    _share_embeddings(transformer)
    return transformer


def _share_embeddings(transformer: Any) -> None:
    """Let the encoder of a T5Gemma use the decoder's table: one table, as in the other roles."""
    encoder, decoder = transformer.get_encoder(), transformer.get_decoder()
    encoder.embed_tokens.weight = decoder.embed_tokens.weight


def reinitialize(network: Network, seed: int) -> Network:
    """Return a network of the same class and config with fresh random weights."""
    old = network.transformer
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        new = type(old)._from_config(
            old.config, dtype=old.dtype, attn_implementation=old.config._attn_implementation
        )
    if old.config.model_type == "t5gemma":
        encoder, decoder = old.get_encoder(), old.get_decoder()
        if encoder.embed_tokens.weight is decoder.embed_tokens.weight:
            _share_embeddings(new)
    return Network(new.eval(), network.role).to(network.device)


def save_network(network: Network, folder: Path) -> None:
    """Write weights (safetensors) and config so that plain transformers reads the same network.

    A shared table is written under each of its names: transformers does not know that our
    encoder-decoder shares it.
    """
    state = {
        name: tensor.detach().clone().contiguous()
        for name, tensor in network.transformer.state_dict().items()
    }
    network.transformer.save_pretrained(folder, state_dict=state)


def load_network(folder: Path, role: Role, dtype: torch.dtype = torch.float32) -> Network:
    """Load a network that ``save_network`` wrote.

    A decoder may load as an encoder and the reverse: an objective may have trained one stack under
    both masks. The network's own role is in its config.

    Raises:
        InputError: no such folder, missing weights, or an encoder-decoder for another role or the
            reverse.
    """
    if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
        raise InputError(
            f"{folder}: no network there (wanted a folder with config.json and model.safetensors)"
        )
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    own = configured_role(AutoConfig.from_pretrained(folder, **options))
    if (own == "encoder-decoder") != (role == "encoder-decoder"):
        raise InputError(f"{folder}: wanted a network for the role {role!r}, got one for {own!r}")
    cls: Any = AutoModelForSeq2SeqLM if own == "encoder-decoder" else Gemma2ForCausalLM
    transformer, report = cls.from_pretrained(
        folder,
        use_safetensors=True,
        attn_implementation=FUSED,
        dtype=dtype,
        output_loading_info=True,
        **options,
    )
    if missing := sorted(report["missing_keys"]):
        raise InputError(
            f"{folder}: no weights for {len(missing)} parts ({missing[0]}, ...), which would be "
            "random"
        )
    if own == "encoder-decoder":
        _share_embeddings(transformer)
    return Network(transformer, own)
