"""Which weights a fine-tuning trial may change: all, none but the head's, or low-rank additions."""

import copy
import warnings
from typing import Any

from torch import nn

from lmcompare.core import settings
from lmcompare.core.errors import InputError
from lmcompare.models.network import Network


def trainable(network: Network, adaptation: settings.Adaptation, *, whole: bool = False) -> Network:
    """Return a copy of ``network`` in which those weights take a gradient that the protocol trains.

    - 'finetune', 'text_to_text': all of them.
    - 'linear_probe': none; what is trained stands on the network's states.
    - 'lora': two thin matrices beside each linear layer (Hu et al. 2022, section 4.1), added by peft: the layer says
      W x + (alpha / rank) B A x, and A and B alone are trained. B starts at 0, so the copy says at first what the
      network says. Biases, norms and embeddings stay as they are.

    Args:
        network: left as it is.
        adaptation: ``protocol``, ``lora_rank`` and ``lora_alpha``.
        whole: whether LoRA goes into all layers; else into those that the states come from, which leaves out the
            decoder of an encoder-decoder and what stands before the output embeddings of a masked LM.

    Raises:
        InputError: 'lora' is wanted and peft is not installed.
    """
    copied = copy.deepcopy(network)
    if adaptation.protocol != "linear_probe" and not adaptation.lora:
        return copied
    copied.requires_grad_(False)
    if adaptation.lora:
        _add_lora(copied.transformer if whole else copied.reader, adaptation)
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
        # GPT-2's layers hold their matrices the other way round; peft sees that, sets it right, and warns.
        warnings.filterwarnings("ignore", message="fan_in_fan_out is set to False")
        inject_adapter_in_model(config, module)
