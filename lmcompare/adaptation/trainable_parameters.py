"""The weights that fine-tuning trains: all, none but the head's (linear probe), or LoRA's."""

import copy
import warnings
from typing import Any

from torch import nn

from lmcompare.core import settings
from lmcompare.core.errors import InputError
from lmcompare.models.network import Network


def trainable_copy(
    network: Network, adaptation: settings.Adaptation, *, decoder: bool = False
) -> Network:
    """Return a copy of ``network`` whose trainable weights are those of ``adaptation.protocol``.

    - 'finetune', 'text_to_text': all of them.
    - 'linear_probe': none; the head alone is trained.
    - 'lora': two low-rank matrices beside each linear layer (Hu et al. 2022, section 4.1), by
      peft: the layer computes W x + (alpha / rank) B A x and trains A and B alone. B starts at 0,
      so the copy starts as the network. Biases, norms and embeddings stay.

    Args:
        network: left as it is.
        adaptation: protocol, ``lora_rank`` and ``lora_alpha``.
        decoder: whether LoRA goes into all layers; else into those that ``Network.states`` reads,
            without the decoder of an encoder-decoder and without the prediction head of a masked
            LM.

    Raises:
        InputError: 'lora' without peft installed.
    """
    copied = copy.deepcopy(network)
    if adaptation.protocol != "linear_probe" and not adaptation.lora:
        return copied
    copied.requires_grad_(False)
    if adaptation.lora:
        _add_lora(copied.transformer if decoder else copied.reader, adaptation)
    return copied


def _add_lora(module: nn.Module, adaptation: settings.Adaptation) -> None:
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise InputError(
            "protocol: 'lora' wants the package peft, which is not installed; wanted "
            "`pip install 'lmcompare[lora]'`"
        ) from error
    config: Any = LoraConfig(
        r=adaptation.lora_rank or 8, lora_alpha=adaptation.lora_alpha, target_modules="all-linear"
    )
    with warnings.catch_warnings():
        # GPT-2's layers hold their matrices transposed; peft notices, adapts, and warns.
        warnings.filterwarnings("ignore", message="fan_in_fan_out is set to False")
        inject_adapter_in_model(config, module)
