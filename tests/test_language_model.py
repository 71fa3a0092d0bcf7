import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel
from transformers.utils import logging as library_logging

import lmcompare
from lmcompare.core import settings
from lmcompare.core.errors import InputError
from lmcompare.language_model import CausalLM, LanguageModel, MaskedLM, Seq2SeqLM, load
from lmcompare.models.network import build_network
from lmcompare.objectives import OBJECTIVES

FACES = {"causal": CausalLM, "masked": MaskedLM, "seq2seq": Seq2SeqLM}
PAIRS = [
    ("the film was", " good"),
    ("an actor", " who played it well and never lost heart."),
    ("", "a story"),
    ("中文", "😀 é"),
]


@pytest.fixture(params=["causal", "masked", "seq2seq"])
def model(request, tokenizer, small):
    objective = OBJECTIVES[request.param]()
    network = build_network(small, objective.role, tokenizer.special, seed=1)
    return FACES[request.param](network, tokenizer, objective)


def test_the_package_exports_the_faces():
    assert {lmcompare.CausalLM, lmcompare.MaskedLM, lmcompare.Seq2SeqLM} == set(FACES.values())
    assert lmcompare.load is load


def theirs(model, prompt, completion):
    """log p of each token from plain transformers: one text, no batch, full logits."""
    ids = [model.tokenizer.encode(text) for text in (prompt, completion)]
    special, found = model.tokenizer.special, []
    transformer = model.network.transformer.eval()
    with torch.no_grad():
        for t, token in enumerate(ids[1]):
            before = [*ids[0], *ids[1][:t]]
            if model.objective.kind == "causal":
                logits = transformer(torch.tensor([[special.bos, *before]])).logits[0, -1]
            elif model.objective.kind == "masked":
                masks = [special.mask] * (len(ids[1]) - t)
                logits = transformer(torch.tensor([before + masks])).logits[0, len(before)]
            else:
                encoder = torch.tensor([[*ids[0], special.sentinels[0]]])
                decoder = torch.tensor([[special.bos, special.sentinels[0], *ids[1][:t]]])
                logits = transformer(input_ids=encoder, decoder_input_ids=decoder).logits[0, -1]
            found.append(logits.log_softmax(-1)[token].item())
    return found


def test_log_likelihood_equals_plain_transformers(model):
    scores = model.log_likelihood(*zip(*PAIRS, strict=True))
    for (prompt, completion), score in zip(PAIRS, scores, strict=True):
        assert score.tokens == pytest.approx(theirs(model, prompt, completion), abs=1e-5)
        assert score.sum == pytest.approx(score.tokens.sum())
        assert score.exactness == ("chain" if model.objective.kind == "masked" else "exact")
        assert score.bits_per_byte == pytest.approx(
            -score.sum / np.log(2) / len(completion.encode())
        )


def test_a_score_does_not_depend_on_its_batch(model):
    prompts, completions = zip(*PAIRS, strict=True)
    together = model.log_likelihood(prompts, completions)
    model.batch_tokens = 1
    for one, all_ in zip(model.log_likelihood(prompts, completions), together, strict=True):
        assert one.tokens == pytest.approx(all_.tokens, abs=1e-5)


def test_conditionals_sum_to_one(model):
    """Over all ids as the one next token: each face gives a distribution."""
    prompt = np.array(model.tokenizer.encode("the film"))
    pairs = [(prompt, np.array([token])) for token in range(model.tokenizer.size)]
    assert np.exp(np.concatenate(model.score_tokens(pairs))).sum() == pytest.approx(1, abs=1e-5)


def test_saved_and_read_back(model, tmp_path):
    model.save_pretrained(tmp_path)
    again = load(tmp_path)
    assert type(again) is type(model)
    assert again.objective == model.objective
    prompts, completions = zip(*PAIRS, strict=True)
    for ours, before in zip(
        again.log_likelihood(prompts, completions),
        model.log_likelihood(prompts, completions),
        strict=True,
    ):
        assert ours.tokens.tolist() == before.tokens.tolist()


def test_loading_shows_no_bar_and_leaves_the_user_s_switch(model, tmp_path, capsys):
    library_logging.enable_progress_bar()
    model.save_pretrained(tmp_path)
    capsys.readouterr()
    load(tmp_path)
    (tmp_path / "lmcompare.json").unlink()  # the same weights as a plain checkpoint
    if model.objective.kind == "causal":
        load(tmp_path)
        assert capsys.readouterr().err == ""
        AutoModelForCausalLM.from_pretrained(tmp_path)
        assert "Loading weights" in capsys.readouterr().err, "theirs shows one, then as before"
    assert capsys.readouterr().err == "" and library_logging.is_progress_bar_enabled()


def test_a_file_is_no_folder_to_save_in(model, tmp_path):
    """Nothing was saved, and nothing said."""
    (tmp_path / "file").write_text("kept")
    with pytest.raises(
        InputError, match="file: wanted a folder, or a path where one can be made, got a file"
    ):
        model.save_pretrained(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "kept"


def test_what_is_no_place_is_not_loaded():
    for given in (None, 3):
        with pytest.raises(
            InputError, match=f"name_or_path: wanted a folder, or a name of the hub, got {given}"
        ):
            load(given)


def test_a_dtype_may_be_torch_s_own(model, tmp_path):
    model.save_pretrained(tmp_path)
    assert load(tmp_path, dtype=torch.bfloat16).network.transformer.dtype == torch.bfloat16
    for dtype in (torch.int8, None, 16, ["float32"]):
        with pytest.raises(
            InputError, match=r"dtype: wanted one of float32, float16, bfloat16, auto, got"
        ):
            load(tmp_path, dtype=dtype)


def test_weights_of_another_shape(model, tmp_path):
    """The sentence sent its reader to a report that was not shown."""
    model.save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    state = {name: torch.zeros(2, *tensor.shape[1:]) for name, tensor in load_file(weights).items()}
    save_file(state, weights, {"format": "pt"})
    with pytest.raises(
        InputError, match=r"cannot be read: weights of another shape than config\.json says$"
    ):
        load(tmp_path)


def test_wrong_face_is_refused(model, tmp_path):
    model.save_pretrained(tmp_path)
    other = CausalLM if model.objective.kind != "causal" else MaskedLM
    with pytest.raises(InputError, match=f"{other.__name__}: wanted an objective for the role"):
        other.from_pretrained(tmp_path)


def test_nothing_there(tmp_path):
    with pytest.raises(InputError, match="wanted a folder with lmcompare.json"):
        LanguageModel.from_pretrained(tmp_path)


def test_bad_questions(model):
    with pytest.raises(InputError, match="wanted as many as prompts"):
        model.log_likelihood(["a"], [])
    with pytest.raises(InputError, match=r"completions\[1\]: wanted a text, got an empty one"):
        model.log_likelihood(["a", "b"], ["c", ""])


def test_embeddings_do_not_depend_on_the_batch(model):
    texts = ["the film", "an actor who played it well and never lost heart", "中"]
    for pooling in ("mean", "last", "first"):
        together = model.embed(texts, pooling=pooling)
        assert together.shape == (3, 32)
        apart = np.concatenate([model.embed([text], pooling=pooling) for text in texts])
        np.testing.assert_allclose(together, apart, atol=1e-5)


def test_generates_text(model):
    texts = model.generate(["the film", "an actor who"], length=5, seed=3)
    assert texts == model.generate(["the film", "an actor who"], length=5, seed=3)
    assert all(isinstance(text, str) for text in texts)


def test_network_settings_are_checked(tokenizer):
    with pytest.raises(InputError, match="network.num_heads"):
        build_network(
            settings.NetworkSettings(hidden_size=30, num_heads=4),
            "decoder",
            tokenizer.special,
            seed=1,
        )


def test_weights_that_are_not_there_are_not_made_up(tokenizer, small, tmp_path):
    """A part without weights was read as a random one; a missing file was the library's own
    traceback.
    """
    network = build_network(small, "decoder", tokenizer.special, seed=1)
    CausalLM(network, tokenizer, OBJECTIVES["causal"]()).save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    state = load_file(weights)
    del state["model.layers.1.mlp.up_proj.weight"]
    save_file(state, weights, {"format": "pt"})
    with pytest.raises(
        InputError,
        match=r"no weights for 1 parts .*layers\.1\.mlp\.up_proj\.weight.* would be random",
    ):
        load(tmp_path)
    weights.write_bytes(b"{}")
    with pytest.raises(InputError, match="cannot be read"):
        load(tmp_path)
    weights.unlink()
    torch.save(state, tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"no network there \(wanted .* model\.safetensors"):
        load(tmp_path)


def test_code_beside_a_network_of_ours_is_not_run_and_not_asked_about(
    tokenizer, small, tmp_path, monkeypatch
):
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked on the terminal"))
    network = build_network(small, "decoder", tokenizer.special, seed=1)
    CausalLM(network, tokenizer, OBJECTIVES["causal"]()).save_pretrained(tmp_path)
    described = json.loads((tmp_path / "config.json").read_text())
    described |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}}
    (tmp_path / "config.json").write_text(json.dumps(described))
    (tmp_path / "own.py").write_text("raise SystemExit('run')\n")
    with pytest.raises(InputError, match="cannot be read: .*contains custom code"):
        load(tmp_path)
    (tmp_path / "lmcompare.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        load(tmp_path)


def test_a_network_of_ours_in_memory_is_asked_as_its_objective_says(model, tmp_path):
    """Without it, it is asked as a checkpoint: no bos of ours, no sentinels, and a masked one is
    refused.
    """
    model.save_pretrained(tmp_path)
    transformer, tokenizer = model.network.transformer, model.tokenizer.hf_tokenizer
    wrapped = lmcompare.wrap(transformer, tokenizer, objective=model.objective)
    assert type(wrapped) is type(model) and wrapped.network.transformer is transformer
    prompts, completions = zip(*PAIRS, strict=True)
    for ours, loaded in zip(
        wrapped.log_likelihood(prompts, completions),
        load(tmp_path).log_likelihood(prompts, completions),
        strict=True,
    ):
        assert ours.tokens == pytest.approx(loaded.tokens, abs=1e-6)
    other = OBJECTIVES["causal" if model.objective.kind == "seq2seq" else "seq2seq"]()
    with pytest.raises(InputError, match="objective: wanted one for .*ForC.*, got"):
        lmcompare.wrap(transformer, tokenizer, objective=other)
    named = lmcompare.wrap(
        transformer, tokenizer, objective=json.loads((tmp_path / "lmcompare.json").read_text())
    )
    assert named.objective == model.objective
    for wrong in (3, type(model.objective), ["causal"]):
        with pytest.raises(InputError, match=r"objective\.kind: wanted one of .*, got"):
            lmcompare.wrap(transformer, tokenizer, objective=wrong)


def test_an_objective_is_not_for_a_network_of_another_family(tokenizer):
    """What wrote it would be read back as one of ours."""
    other = GPT2LMHeadModel(GPT2Config(vocab_size=tokenizer.size, n_embd=8, n_layer=1, n_head=1))
    with pytest.raises(
        InputError, match=r"objective: wanted a network of ours \(gemma2 or t5gemma\), got 'gpt2'"
    ):
        lmcompare.wrap(other, tokenizer.hf_tokenizer, objective="causal")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_device_that_is_not_there(tokenizer, small, tmp_path):
    model = CausalLM(
        build_network(small, "decoder", tokenizer.special, seed=1),
        tokenizer,
        OBJECTIVES["causal"](),
    )
    model.save_pretrained(tmp_path)
    for device in ("cuda", "cuda:1", "quantum", "meta"):
        with pytest.raises(
            InputError, match=f"device: wanted one that is there, such as cpu, got '{device}'"
        ):
            load(tmp_path, device=device)
        with pytest.raises(InputError, match="device: wanted one that is there"):
            lmcompare.wrap(model.network.transformer, tokenizer.hf_tokenizer, device=device)
