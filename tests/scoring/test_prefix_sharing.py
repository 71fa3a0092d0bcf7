"""A shared prompt that is read once gives the log-probabilities of one that is read each time."""

import numpy as np
import pytest
import torch
from transformers import (
    FalconMambaConfig,
    FalconMambaForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    MistralConfig,
    MistralForCausalLM,
    ModernBertDecoderConfig,
    ModernBertDecoderForCausalLM,
)

from lmcompare.core.example import Example
from lmcompare.language_model import LanguageModel
from lmcompare.models.network import Network, build_network
from lmcompare.objectives import OBJECTIVES
from lmcompare.scoring import prefix_sharing
from lmcompare.scoring.scorer import score_examples

SIZES = {"vocab_size": 96, "hidden_size": 32, "num_hidden_layers": 2}


def questions(special, objective=None, prompts=(70, 37, 66, 20)):
    """Prompts of so many tokens; two to five completions each, of 1 to 6 tokens; one prompt that
    none shares.
    """
    rng = np.random.default_rng(0)
    objective = objective or OBJECTIVES["causal"]()
    made = []
    for number, size in enumerate((*prompts, 50)):
        prompt = rng.choice(special.ordinary, size)
        for length in range(1, 1 if size == 50 else 3 + number):
            made += objective.scoring_examples(
                prompt, rng.choice(special.ordinary, length), special
            )
    made += objective.scoring_examples(
        rng.choice(special.ordinary, 50), rng.choice(special.ordinary, 3), special
    )
    return [made[i] for i in rng.permutation(len(made))]


def watched(network):
    """Count the positions that the network's stack reads."""
    seen = []
    network.transformer.base_model.register_forward_pre_hook(
        lambda _, args, given: seen.append(given["input_ids"].numel()), with_kwargs=True
    )
    return seen


def share_nothing(monkeypatch):
    for name in ("LEAST_CACHED", "LEAST_TRUNK"):
        monkeypatch.setattr(prefix_sharing, name, 10_000)


def alone(network, special, examples):
    return [score_examples(network, special, [example], 10_000)[0] for example in examples]


def assert_same(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        assert one == pytest.approx(other, abs=1e-5)


@pytest.mark.parametrize("batch_tokens", [1, 200, 10_000])
def test_a_shared_prompt_is_read_once(small, special, batch_tokens):
    network = build_network(small, "decoder", special, seed=1)
    examples = questions(special)
    expected = alone(network, special, examples)
    assert prefix_sharing.reads_branches(network), "asked once, here, so that it is not counted"
    seen = watched(network)
    assert_same(score_examples(network, special, examples, batch_tokens), expected)
    whole = sum(len(example.inputs) for example in examples)
    # 4 sets of 2, 3, 4, 5; beginnings of 64, 32, 64 are kept, 20 are the trunk of one row.
    assert [len(places) for places in prefix_sharing.shared_prefixes(examples)[64]] in (
        [2, 4],
        [4, 2],
    )
    saved = (2 - 1) * 64 + (3 - 1) * 32 + (4 - 1) * 64 + (5 - 1) * 20
    assert sum(seen) == whole - saved if batch_tokens == 1 else sum(seen) < whole


@pytest.mark.parametrize("batch_tokens", [1, 50, 10_000])
def test_a_short_prompt_is_the_trunk_of_its_completions(small, special, batch_tokens):
    network = build_network(small, "decoder", special, seed=1)
    examples = questions(special, prompts=(5, 12, 30, 2, 1))
    expected = alone(network, special, examples)
    assert prefix_sharing.reads_branches(network), "asked once, here, so that it is not counted"
    seen = watched(network)
    assert_same(score_examples(network, special, examples, batch_tokens), expected)
    saved = (2 - 1) * 5 + (3 - 1) * 12 + (4 - 1) * 30
    if batch_tokens == 1:
        assert sum(seen) == sum(len(example.inputs) for example in examples) - saved


def test_a_row_is_no_wider_than_it_may_be(small, special, monkeypatch):
    network = build_network(small, "decoder", special, seed=1)
    examples = questions(special, prompts=(10, 12, 9))
    monkeypatch.setattr(prefix_sharing, "WIDEST", 16)
    rows = prefix_sharing.merge_rows(network, examples, range(len(examples)))
    assert sorted(i for _, places in rows for i in places) == list(range(len(examples)))
    assert any(len(places) > 1 for _, places in rows) and len(rows) > 5
    assert all(len(row.inputs) <= 16 for row, places in rows if len(places) > 1)
    assert_same(
        score_examples(network, special, examples, 10_000), alone(network, special, examples)
    )


WINDOWED = {
    "mistral": lambda: MistralForCausalLM(
        MistralConfig(**SIZES, num_attention_heads=2, num_key_value_heads=1, intermediate_size=48, sliding_window=24)
    ),
    "gemma2": lambda: Gemma2ForCausalLM(
        Gemma2Config(
            **SIZES, num_attention_heads=2, num_key_value_heads=1, head_dim=16, intermediate_size=48, sliding_window=24
        )
    ),
    "modernbert_decoder": lambda: ModernBertDecoderForCausalLM(
        ModernBertDecoderConfig(
            **SIZES, num_attention_heads=2, intermediate_size=48, local_attention=24, global_attn_every_n_layers=2,
            pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2,
        )
    ),
}  # fmt: skip


@pytest.mark.parametrize("family", list(WINDOWED))
def test_a_window_shorter_than_the_prompt_is_the_mask_s_affair(special, family):
    torch.manual_seed(0)
    model = WINDOWED[family]().eval()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.15)  # so that contexts matter
    network = Network(model, "decoder")
    examples = questions(special)
    assert prefix_sharing.has_kv_cache(network)
    assert_same(
        score_examples(network, special, examples, 10_000), alone(network, special, examples)
    )
    short = questions(special, prompts=(3, 5, 7))
    assert any(
        row.branches is not None
        for row, _ in prefix_sharing.merge_rows(network, short, range(len(short)))
    )
    assert_same(score_examples(network, special, short, 10_000), alone(network, special, short))


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_absolute_positions_go_on(special, attention):
    config = GPT2Config(
        vocab_size=96, n_embd=32, n_layer=2, n_head=2, attn_implementation=attention
    )
    network = Network(GPT2LMHeadModel(config).eval(), "decoder")
    examples = questions(special)
    assert_same(
        score_examples(network, special, examples, 10_000), alone(network, special, examples)
    )


def test_who_cannot_lend_reads_each_time(small, special):
    """A recurrent state, a stack that is no decoder by itself, an encoder-decoder."""
    mamba = Network(
        FalconMambaForCausalLM(FalconMambaConfig(**SIZES, state_size=4)).eval(), "decoder"
    )
    encoder = build_network(small, "encoder", special, seed=1)
    both = build_network(small, "encoder-decoder", special, seed=1)
    assert [prefix_sharing.has_kv_cache(network) for network in (mamba, encoder, both)] == [
        False
    ] * 3
    assert prefix_sharing.has_kv_cache(build_network(small, "decoder", special, seed=1))
    examples = questions(special)
    assert_same(
        score_examples(encoder, special, examples, 10_000), alone(encoder, special, examples)
    )


def test_only_what_begins_alike_before_it_is_asked_and_sees_the_past_alone_is_shared(special):
    assert prefix_sharing.shared_prefixes([_ask(40), _ask(45), _ask(31), _ask(31)]) == {
        32: [[0, 1]]
    }
    for kind in ("prefix", "masked", "seq2seq", "glm"):
        assert not prefix_sharing.shared_prefixes(questions(special, OBJECTIVES[kind]()))
    tokens = np.tile(special.ordinary, 2)[:100]
    rows = [OBJECTIVES["causal"]().training_example(tokens, special, np.random.default_rng(0))] * 2
    assert not prefix_sharing.shared_prefixes(rows), (
        "what training asks is asked from the first token on"
    )


def _ask(size):
    return Example(np.arange(size), np.append(np.full(size - 1, -100), 7), attention="causal")


def test_distinct_prompts_are_asked_as_ever(small, special, monkeypatch):
    network = build_network(small, "decoder", special, seed=1)
    examples = [one for i, one in enumerate(questions(special)) if i % 5 == 0]
    distinct = list(
        {
            example.inputs[: prefix_sharing.LEAST_TRUNK].tobytes(): example for example in examples
        }.values()
    )
    ours = score_examples(network, special, distinct, 200)
    share_nothing(monkeypatch)
    for one, other in zip(ours, score_examples(network, special, distinct, 200), strict=True):
        assert one.tolist() == other.tolist()


def test_rank_and_log_likelihood_share(tokenizer, small, monkeypatch):
    network = build_network(small, "decoder", tokenizer.special, seed=1)
    model = LanguageModel(network, tokenizer, OBJECTIVES["causal"]())
    prompt = "the film was a good story with an actor who played it well and never lost heart " * 4
    choices = [" good", " unbelievably long", " bad, 😀"]
    seen = watched(network)
    ours = model.rank(prompt.rstrip(), choices)
    assert seen[0] % prefix_sharing.STEP == 0 and sum(seen[1:]) < seen[0], (
        "the prompt once, then the choices"
    )
    share_nothing(monkeypatch)
    theirs = model.rank(prompt.rstrip(), choices)
    assert [one.text for one in ours] == [one.text for one in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert one.scores.tokens == pytest.approx(other.scores.tokens, abs=1e-5)
