import sys

import numpy as np
import pytest
import torch
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    T5Config,
    T5ForConditionalGeneration,
)

from lmcompare.adaptation.trainable_parameters import trainable_copy
from lmcompare.core.errors import InputError
from lmcompare.core.example import Example, collate
from lmcompare.core.settings import Adaptation
from lmcompare.models.network import BatchTensors, Network, build_network, evaluation_mode

LORA = Adaptation(protocol="lora", lora_rank=2)


def gpt2():
    return GPT2LMHeadModel(
        GPT2Config(vocab_size=96, n_positions=32, n_embd=16, n_layer=2, n_head=2)
    ), "decoder"


def bert():
    sizes = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    config = BertConfig(vocab_size=96, max_position_embeddings=32, **sizes)
    return BertForMaskedLM(config), "encoder"


def t5():
    config = T5Config(vocab_size=96, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2)
    return T5ForConditionalGeneration(config), "encoder-decoder"


def bart():
    layers = {
        f"{side}_{key}": n
        for side in ("encoder", "decoder")
        for key, n in (("layers", 2), ("attention_heads", 2))
    }
    inner = {
        "encoder_ffn_dim": 32,
        "decoder_ffn_dim": 32,
        "max_position_embeddings": 32,
        "d_model": 16,
    }
    config = BartConfig(vocab_size=96, **layers, **inner)
    return BartForConditionalGeneration(config), "encoder-decoder"


@pytest.fixture(params=["decoder", "encoder", "encoder-decoder", gpt2, bert, t5, bart])
def network(request, special, small):
    if isinstance(request.param, str):
        return build_network(small, request.param, special, 1)
    transformer, role = request.param()
    return Network(transformer.eval(), role)


@pytest.fixture
def batch():
    return BatchTensors.of(collate([Example(np.array([1, 40, 41, 2]), np.full(4, -100))], 0))


def test_lora_says_at_first_what_the_network_says_and_then_learns_with_few_weights(network, batch):
    added = trainable_copy(network, LORA)
    with evaluation_mode(network), evaluation_mode(added):
        before = network.states(batch)
        assert torch.equal(added.states(batch), before)
    names = [name for name, weight in added.named_parameters() if weight.requires_grad]
    assert names and all("lora_" in name for name in names)
    assert all(weight.requires_grad for weight in network.parameters())
    added.train(False)
    added.states(batch).square().sum().backward()
    moved = [
        weight
        for _, weight in added.named_parameters()
        if weight.requires_grad and weight.grad.abs().sum() > 0
    ]
    assert len(moved) == len(names) / 2  # while B is 0, A has no gradient; no layer is left out
    with torch.no_grad():
        for weight in moved:
            weight -= weight.grad.sign()
    with evaluation_mode(added):
        assert not torch.allclose(added.states(batch), before)


def test_lora_into_all_layers_reaches_the_decoder(network):
    some, every = (trainable_copy(network, LORA, decoder=decoder) for decoder in (False, True))
    count = [sum(weight.requires_grad for weight in one.parameters()) for one in (some, every)]
    assert count[1] > count[0] if network.role == "encoder-decoder" else count[1] >= count[0]


def test_a_probe_trains_nothing_of_the_network_and_fine_tuning_all(network):
    assert not any(
        weight.requires_grad
        for weight in trainable_copy(network, Adaptation(protocol="linear_probe")).parameters()
    )
    assert all(
        weight.requires_grad for weight in trainable_copy(network, Adaptation()).parameters()
    )


def test_without_peft_it_says_what_to_install(network, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(InputError, match=r"pip install 'lmcompare\[lora\]'"):
        trainable_copy(network, LORA)
