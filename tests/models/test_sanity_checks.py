"""Networks whose configs do not show that they are wrong: each is refused or served right."""

import pytest
import torch
from transformers import (
    Data2VecTextConfig,
    Data2VecTextForMaskedLM,
    FalconConfig,
    FalconForCausalLM,
    FNetConfig,
    FNetForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    MobileBertConfig,
    MobileBertForMaskedLM,
    RobertaConfig,
    RobertaForCausalLM,
)

import lmcompare
from lmcompare.core.errors import InputError
from lmcompare.scoring.prefix_sharing import reads_branches

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
}


@pytest.fixture
def made(tokenizer):
    """Return the maker of a random network whose weights are large, so that contexts matter."""

    def make(cls, config, **sizes):
        ids = {"pad_token_id": tokenizer.special.pad, "bos_token_id": tokenizer.special.bos}
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = cls(
                config(
                    vocab_size=tokenizer.size, eos_token_id=tokenizer.special.eos, **ids, **sizes
                )
            )
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    torch.nn.init.normal_(parameter, std=0.15)
        return model.eval(), tokenizer.hf_tokenizer

    return make


@pytest.mark.parametrize(
    ("cls", "config", "sizes"),
    [
        (RobertaForCausalLM, RobertaConfig, SIZES | {"is_decoder": True}),
        (FalconForCausalLM, FalconConfig, SIZES | {"alibi": True}),
        (
            GPTNeoForCausalLM,
            GPTNeoConfig,
            {
                "hidden_size": 32,
                "num_heads": 2,
                "num_layers": 2,
                "attention_types": [[["global", "local"], 1]],
            }
            | {"window_size": 4},
        ),
    ],
)
def test_choices_after_one_prompt_are_scored_as_each_is_alone(made, cls, config, sizes):
    model = lmcompare.wrap(*made(cls, config, **sizes))
    prompt, choices = "the film was", [" good", " a dull and long story", " bad"]
    alone = [model.log_likelihood([prompt], [choice])[0].sum for choice in choices]
    together = [one.sum for one in model.log_likelihood([prompt] * 3, choices)]
    assert together == pytest.approx(alone, abs=1e-4)


def test_rows_with_branches_are_for_networks_that_read_them_right(made):
    def reads(*what, **sizes):
        return reads_branches(lmcompare.wrap(*made(*what, **sizes)).network)

    assert reads(GPT2LMHeadModel, GPT2Config, n_embd=32, n_layer=2, n_head=2)
    assert not reads(RobertaForCausalLM, RobertaConfig, **SIZES, is_decoder=True)
    assert not reads(FalconForCausalLM, FalconConfig, **SIZES, alibi=True)


def test_a_masked_network_that_reads_padding(made):
    with pytest.raises(
        InputError, match="FNetForMaskedLM: wanted log-probabilities that do not depend on padding"
    ):
        lmcompare.wrap(
            *made(
                FNetForMaskedLM,
                FNetConfig,
                hidden_size=32,
                num_hidden_layers=2,
                intermediate_size=48,
            )
        )


def test_a_network_whose_head_has_another_shape(made):
    small = {
        "hidden_size": 32,
        "embedding_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    small |= {"intermediate_size": 32, "intra_bottleneck_size": 16}
    with pytest.raises(
        InputError,
        match="MobileBertForMaskedLM: wanted a network that scores a short text, got an error",
    ):
        lmcompare.wrap(*made(MobileBertForMaskedLM, MobileBertConfig, **small))


def test_a_context_of_one_token_is_no_crash(made):
    model = lmcompare.wrap(
        *made(GPT2LMHeadModel, GPT2Config, n_embd=8, n_layer=1, n_head=1, n_positions=1)
    )
    assert model.context == 1


def test_positions_that_are_counted_from_padding_shorten_the_context(made):
    sizes = SIZES | {"max_position_embeddings": 34}
    model = lmcompare.wrap(*made(Data2VecTextForMaskedLM, Data2VecTextConfig, **sizes))
    assert model.context == 34 - (model.tokenizer.special.pad + 1)
    assert model.bits_per_byte(["the film was a good " * 20]).bits[0] > 0
