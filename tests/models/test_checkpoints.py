"""What the door refuses, each with one sentence."""

import json
import sys
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel, ElectraConfig, ElectraForPreTraining

sys.path.insert(0, str(Path(__file__).parents[1] / "parity"))

from tiny import SIZES, build, saved, word_piece

import lmcompare
from lmcompare.core.errors import InputError
from lmcompare.language_model import CausalLM, MaskedLM
from lmcompare.models import checkpoints


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return saved("bert", tmp_path_factory.mktemp("bert"))


@pytest.mark.parametrize(
    ("cls", "config"),
    [(BertModel, BertConfig), (ElectraForPreTraining, ElectraConfig)],
    ids=["bare", "discriminator"],
)
def test_a_head_that_would_be_random(cls, config, tmp_path):
    tokenizer = word_piece()
    cls(config(**SIZES, vocab_size=len(tokenizer))).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(
        InputError, match=f"{cls.__name__} holds no weights for .* which would be random"
    ):
        lmcompare.load(tmp_path)


def test_a_head_under_an_older_name(tmp_path):
    """DeBERTa's own files call it `lm_predictions`; transformers looks for it only if told so."""
    model, tokenizer = build("deberta_v2")
    model.config.legacy = False
    older = type(model)(model.config).eval()
    older.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    score = lmcompare.load(tmp_path).log_likelihood(["the film"], [" was good"])[0]
    ids = torch.tensor([tokenizer("the film was [MASK]").input_ids])
    with torch.no_grad():
        logits = older(input_ids=ids).logits[0, 4].log_softmax(-1)
    assert score.tokens[-1] == pytest.approx(
        logits[tokenizer.convert_tokens_to_ids("good")].item(), abs=1e-5
    )
    described = json.loads((tmp_path / "config.json").read_text()) | {"legacy": True}
    (tmp_path / "config.json").write_text(json.dumps(described))
    with pytest.raises(
        InputError, match="would be random; .* under an older name, which 'legacy: false'"
    ):
        lmcompare.load(tmp_path)


def test_a_model_in_memory_without_a_head():
    tokenizer = word_piece()
    with pytest.raises(InputError, match="BertModel: wanted a model with a language-modeling head"):
        MaskedLM.wrap(BertModel(BertConfig(**SIZES, vocab_size=len(tokenizer))), tokenizer)


def test_another_face(bert):
    with pytest.raises(
        InputError,
        match=r"wanted a network for CausalLM \(decoder\), got BertForMaskedLM \(encoder\)",
    ):
        CausalLM.from_pretrained(bert)
    with pytest.raises(InputError, match="CausalLM: wanted an objective for the role"):
        CausalLM.wrap(*build("bert"))


def test_no_tokenizer(tmp_path):
    model, _ = build("bert")
    model.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="tokenizer"):
        lmcompare.load(tmp_path)


def test_pickled_weights_are_read_only_if_asked(tmp_path):
    model, tokenizer = build("bert")
    tokenizer.save_pretrained(tmp_path)
    model.config.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="allow_pickle=True"):
        lmcompare.load(tmp_path)
    score = lmcompare.load(tmp_path, allow_pickle=True).log_likelihood([""], ["film"])[0].sum
    assert score == pytest.approx(
        lmcompare.wrap(model, tokenizer).log_likelihood([""], ["film"])[0].sum, abs=1e-6
    )


@pytest.mark.parametrize(
    ("described", "said"),
    [
        (
            {"model_type": "transfo-xl"},
            "no longer has Transformer-XL; the nearest .* Mamba .*, which lmcompare scores",
        ),
        ({"model_type": "xlnet"}, "perm_mask"),
        (
            {"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}},
            "not run unless trust_remote_code=True",
        ),
        ({"model_type": "vit", "architectures": ["ViTModel"]}, "wanted a language model"),
        ({"model_type": "nonsense"}, "cannot be read"),
    ],
)
def test_types_that_are_not_served(described, said, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(described))
    with pytest.raises(InputError, match=said) as error:
        lmcompare.load(tmp_path)
    assert "\n" not in str(error.value)


def test_a_path_never_touches_the_network(tmp_path, monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("touched the network"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    for missing in (tmp_path / "none", str(tmp_path / "none"), "./none", "a/b/c"):
        with pytest.raises(
            InputError, match=r"wanted a folder with lmcompare\.json, or config\.json and weights"
        ):
            lmcompare.load(missing)
    assert not checkpoints.is_local("gpt2") and not checkpoints.is_local("org/name")


def test_a_tokenizer_with_more_ids_than_the_network():
    model, _ = build("bert")
    tokenizer = word_piece()
    tokenizer.add_tokens([f"new{i}" for i in range(9)])
    with pytest.raises(InputError, match="tokenizer: wanted at most the"):
        lmcompare.wrap(model, tokenizer)


def test_a_causal_class_that_sees_what_follows(small, special):
    from lmcompare.models.network import build_network

    network = build_network(small, "encoder", special, seed=1)
    with pytest.raises(InputError, match="is_causal: false, so its attention is full"):
        checkpoints.role_of(network.transformer.config, "Gemma2ForCausalLM")


def test_dtype(bert):
    assert lmcompare.load(bert, dtype="bfloat16").network.transformer.dtype is torch.bfloat16
    with pytest.raises(InputError, match="dtype: wanted one of float32"):
        lmcompare.load(bert, dtype="float23")


def seeing(kind, **more):
    """Return a network of a causal class that sees both sides, and a tokenizer for it."""
    from transformers import BertLMHeadModel, ElectraForCausalLM, XLMConfig, XLMWithLMHeadModel

    tokenizer = word_piece()
    size = {"vocab_size": len(tokenizer), "max_position_embeddings": 64}
    made = {
        "bert": lambda: BertLMHeadModel(BertConfig(**SIZES, **size, **more)),
        "electra": lambda: ElectraForCausalLM(ElectraConfig(**SIZES, **size, **more)),
        "xlm": lambda: XLMWithLMHeadModel(
            XLMConfig(emb_dim=32, n_layers=2, n_heads=2, n_langs=1, pad_index=0, **size, **more)
        ),
    }[kind]()
    return made.eval(), tokenizer


@pytest.mark.parametrize(
    ("kind", "flag"), [("bert", "is_decoder"), ("electra", "is_decoder"), ("xlm", "causal")]
)
def test_a_causal_class_whose_config_lets_it_see_both_sides(kind, flag, tmp_path):
    """It was scored as `exact`."""
    model, tokenizer = seeing(kind)
    with pytest.raises(
        InputError, match=f"wanted {flag}: true in the config of a causal {kind}, got false"
    ):
        lmcompare.wrap(model, tokenizer)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(InputError, match=f"wanted {flag}: true"):
        lmcompare.load(tmp_path)
    causal = lmcompare.wrap(*seeing(kind, **{flag: True}))
    assert (
        type(causal) is CausalLM
        and causal.log_likelihood(["the"], [" film"])[0].exactness == "exact"
    )


def test_a_network_that_sees_the_future_whatever_its_config_says(monkeypatch):
    model, tokenizer = seeing("bert")
    model.config.is_decoder = True  # its layers were made without
    for layer in model.bert.encoder.layer:
        layer.attention.self.is_causal = False
    monkeypatch.setattr(
        "transformers.models.bert.modeling_bert.create_causal_mask", lambda **_: None, raising=True
    )
    with pytest.raises(
        InputError,
        match="BertLMHeadModel: wanted a causal network, got one that attends to later tokens",
    ):
        lmcompare.wrap(model, tokenizer)
