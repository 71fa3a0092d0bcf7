"""Each family, saved to and loaded from disk, beside plain transformers: no batch, full logits."""

import numpy as np
import pytest
import torch
from tiny import FAMILIES
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
)

import lmcompare
from lmcompare.core.errors import InputError
from lmcompare.generation.autoregressive import decode_autoregressively
from lmcompare.generation.sampling import Sampling
from lmcompare.language_model import CausalLM, MaskedLM, Seq2SeqLM

pytestmark = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")

RECURRENT = ["mamba", "mamba2", "recurrent_gemma"]
CAUSAL = ["gpt2", "llama", "qwen3", "gpt_neox", "glm4", "modernbert_decoder", *RECURRENT]
MASKED = ["bert", "roberta", "electra", "deberta_v2", "modernbert"]
SEQ2SEQ = ["t5", "bart", "marian", "marian_spm", "t5gemma"]
PAIRED = ["marian", "marian_spm", "t5gemma"]
AUTO = {
    **dict.fromkeys(CAUSAL, AutoModelForCausalLM),
    **dict.fromkeys(MASKED, AutoModelForMaskedLM),
    **dict.fromkeys(SEQ2SEQ, AutoModelForSeq2SeqLM),
}
FACE = {
    **dict.fromkeys(CAUSAL, CausalLM),
    **dict.fromkeys(MASKED, MaskedLM),
    **dict.fromkeys(SEQ2SEQ, Seq2SeqLM),
}
PAIRS = [
    ("the film was", " unbelievably good"),
    ("an actor who never", " lost heart."),
    ("", "a story"),
    ("今天天气很", "好，"),
    ("well ", "played 😀"),
]


@pytest.fixture(scope="module")
def model(family, folders):
    return lmcompare.load(folders(family))


def theirs(name, folder, prompt, completion):
    """log p of each token, the inputs written out for each family."""
    plain, tokenizer = (
        AUTO[name].from_pretrained(folder).eval(),
        AutoTokenizer.from_pretrained(folder),
    )
    spaces = prompt[len(prompt.rstrip()) :]
    prompt, completion = prompt.rstrip(), spaces + completion

    def bare(text):
        return tokenizer(text, add_special_tokens=False).input_ids

    ids = tokenizer.convert_tokens_to_ids
    found: list[float] = []
    if name in SEQ2SEQ:
        said = tokenizer(text_target=completion, add_special_tokens=False).input_ids
        encoder = {
            "t5": lambda: [*bare(prompt), ids("<extra_id_0>"), ids("</s>")],
            "bart": lambda: [ids("<s>"), *bare(prompt), ids("</s>")],
            "marian": lambda: [*bare(prompt), ids("</s>")],
            "marian_spm": lambda: [*bare(prompt), ids("</s>")],
            "t5gemma": lambda: [ids("<bos>"), *bare(prompt)],
        }[name]()
        begun = {
            "t5": ["<pad>", "<extra_id_0>"], "bart": ["</s>", "<s>"], "marian": ["<pad>"],
            "marian_spm": ["<pad>"],
            "t5gemma": ["<bos>"],
        }[name]  # fmt: skip
        start = [ids(token) for token in begun]
        with torch.no_grad():
            decoder = torch.tensor([[*start, *said[:-1]]])
            logits = plain(input_ids=torch.tensor([encoder]), decoder_input_ids=decoder).logits[
                0, len(start) - 1 :
            ]
        return logits.log_softmax(-1).gather(1, torch.tensor(said)[:, None])[:, 0].tolist()
    head = bare(prompt)
    said = bare(prompt + completion)[len(head) :]
    cls, sep = ("<s>", "</s>") if name == "roberta" else ("[CLS]", "[SEP]")
    always = {
        "llama": ["<s>"], "glm4": ["[gMASK]"], "modernbert_decoder": ["[CLS]"],
        "recurrent_gemma": ["<bos>"],
    }.get(name, [])  # fmt: skip
    if name in CAUSAL and not always and not head:
        always = ["<|endoftext|>"]
    if name in CAUSAL:
        inputs = [*(ids(one) for one in always), *head, *said[:-1]]
        with torch.no_grad():
            logits = plain(input_ids=torch.tensor([inputs])).logits[0, -len(said) :]
        return logits.log_softmax(-1).gather(1, torch.tensor(said)[:, None])[:, 0].tolist()
    for t, token in enumerate(said):
        inputs = [
            ids(cls),
            *head,
            *said[:t],
            *[tokenizer.mask_token_id] * (len(said) - t),
            ids(sep),
        ]
        with torch.no_grad():
            logits = plain(input_ids=torch.tensor([inputs])).logits[0, 1 + len(head) + t]
        found.append(logits.log_softmax(-1)[token].item())
    return found


def test_every_family_has_its_row():
    assert set(FAMILIES) == set(AUTO)


def test_the_door_picks_the_face(family, model, folders):
    assert type(model) is FACE[family]
    assert type(FACE[family].from_pretrained(folders(family))) is FACE[family]


def test_log_likelihood_equals_plain_transformers(family, model, folders):
    scores = model.log_likelihood(*zip(*PAIRS, strict=True))
    for (prompt, completion), score in zip(PAIRS, scores, strict=True):
        assert score.tokens == pytest.approx(
            theirs(family, folders(family), prompt, completion), abs=1e-4
        )
        assert score.exactness == ("chain" if family in MASKED else "exact")


def test_a_batch_of_one_is_a_batch_of_many(model):
    prompts, completions = zip(*PAIRS, strict=True)
    together = model.log_likelihood(prompts, completions)
    for i, pair in enumerate(PAIRS):
        (alone,) = model.log_likelihood(pair[:1], pair[1:])
        assert alone.tokens == pytest.approx(together[i].tokens, abs=1e-5)


def test_every_next_token_has_a_share_of_one(model):
    """Conditionals are over all ids that the network has, and add up."""
    prompt = np.array(model.tokenizer.encode("the film"))
    pairs = [(prompt, np.array([token])) for token in range(model.tokenizer.size)]
    model.batch_tokens = 2**16
    assert np.exp(np.concatenate(model.score_tokens(pairs))).sum() == pytest.approx(1, abs=1e-4)


def test_saved_again_it_is_a_plain_checkpoint(family, model, tmp_path):
    model.save_pretrained(tmp_path)
    assert not (tmp_path / "lmcompare.json").exists()
    again = lmcompare.load(tmp_path)
    before, after = (m.log_likelihood(*zip(*PAIRS, strict=True)) for m in (model, again))
    assert [one.sum for one in after] == pytest.approx([one.sum for one in before], abs=1e-6)


def test_states_are_those_of_plain_transformers(family, model, folders):
    plain, tokenizer = (
        AUTO[family].from_pretrained(folders(family)).eval(),
        AutoTokenizer.from_pretrained(folders(family)),
    )
    text = "the film was unbelievably good"
    encoded = {"input_ids": torch.tensor([tokenizer(text).input_ids])}
    module = plain.get_encoder() if family in SEQ2SEQ else plain.base_model
    with torch.no_grad():
        output = module(**encoded, output_hidden_states=True)
    ours = model.embed([text, "a much longer text, which is there for its length alone"])[0]
    assert ours == pytest.approx(output.last_hidden_state[0].mean(0).numpy(), abs=1e-5)
    (layer,) = model.embed([text], layer=1, pooling="first")
    assert layer == pytest.approx(output.hidden_states[1][0, 0].numpy(), abs=1e-5)


def test_words_have_vectors(model):
    first, second = model.embed_tokens(["the film was unbelievably good", "今天 好"])
    assert first.words == ["the", "film", "was", "unbelievably", "good"]
    assert first.vectors.shape == (5, 32)
    assert np.isfinite(first.vectors).all() and len(second.words) == len(second.vectors)


@pytest.mark.parametrize("family", CAUSAL + SEQ2SEQ, scope="session")
def test_decoding_with_cache_is_that_without(family, model):
    """Unequal prompts in one batch, so that padding and positions count, too."""
    special, sampling = model.tokenizer.special, Sampling(length=8, temperature=0.0)
    prompts = [
        model.objective.generation_prompt(np.array(ids), sampling.length, special)
        for ids in model.tokenizer.encode_batch(["the film was", "an actor who never lost heart"])
    ]
    cached, plain = (
        decode_autoregressively(model.network, prompts, special, sampling, cache=cache)
        for cache in (True, False)
    )
    for ours, theirs in zip(cached.tokens, plain.tokens, strict=True):
        assert ours.tolist() == theirs.tolist()
    for ours, theirs in zip(cached.scores, plain.scores, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4)


@pytest.mark.parametrize("family", RECURRENT, scope="session")
def test_a_long_memory(family, model):
    """No text is too long, what lies far back counts, and no batch neighbour or padding does."""
    assert model.context is None
    middle = " the film was good" * 40
    prompts, completions = [f"an actor{middle}", f"a story{middle}", "a"], [" never lost heart"] * 3
    together = model.log_likelihood(prompts, completions)
    assert together[0].sum != pytest.approx(together[1].sum, abs=1e-6)
    for prompt, score in zip(prompts, together, strict=True):
        (alone,) = model.log_likelihood([prompt], completions[:1])
        assert alone.tokens == pytest.approx(score.tokens, abs=1e-5)


def test_new_tokens_fit_into_the_context(family, model):
    if model.context is None:
        return
    made = model.generate(["the film"], temperature=0)
    assert len(made.decoded.tokens[0]) <= 64
    with pytest.raises(InputError, match="length: wanted at most"):
        model.generate(["the film"], length=65)


def test_holes_are_filled_and_masks_measured(family, model):
    if family in PAIRED:
        with pytest.raises(InputError, match="infill: wanted a model that learnt to fill holes"):
            model.infill("今天天气很[MASK]，适合出去玩")
    else:
        filled = model.infill("今天天气很[MASK]，适合出去玩")
        assert filled.text.startswith("今天天气很") or family in MASKED + [
            "modernbert_decoder",
            "t5",
        ]
    if family in ("bart", *PAIRED):
        with pytest.raises(InputError, match="no training loss on texts alone"):
            model.loss(["the film was good"])
    else:
        assert 0 < model.loss(["the film was good", "a story"]) < 50
    seen = model.visibility("the film was good")
    own = np.asarray(seen.own)
    if family in CAUSAL:
        assert (own == np.tril(np.ones_like(own))).all()
    else:
        assert own.all()
    assert (seen.decoder is not None) == (family in SEQ2SEQ)
    if family in SEQ2SEQ:
        assert (seen.decoder == np.tril(np.ones_like(seen.decoder))).all() and seen.cross.all()
