"""The verbs of the three faces, on networks of our own."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "parity"))

from tiny import build

from lmcompare.core.errors import InputError
from lmcompare.core.example import collate
from lmcompare.language_model import LanguageModel, load
from lmcompare.models.network import BatchTensors, Network, build_network, evaluation_mode
from lmcompare.objectives import OBJECTIVES, sequence_example

TEXTS = ["the film was good.", "an actor who played it well"]


@pytest.fixture(params=["causal", "masked", "seq2seq"])
def model(request, tokenizer, small):
    objective = OBJECTIVES[request.param]()
    network = build_network(small, objective.role, tokenizer.special, seed=1)
    return LanguageModel(network, tokenizer, objective)


def test_rank(model):
    prompt, choices = "the film was", [" good", " unbelievably long", "", " bad"]
    with pytest.raises(InputError, match="empty"):
        model.rank(prompt, choices)
    choices.remove("")
    scores = model.log_likelihood([prompt] * 3, choices)
    before = model.log_likelihood([""] * 3, choices)
    expected = {
        "sum": [one.sum for one in scores],
        "token": [one.tokens.mean() for one in scores],
        "byte": [one.sum / len(text.encode()) for one, text in zip(scores, choices, strict=True)],
        "unconditional": [one.sum - two.sum for one, two in zip(scores, before, strict=True)],
    }
    for normalise, values in expected.items():
        ranked = model.rank(prompt, choices, normalise=normalise)
        assert [one.index for one in ranked] == np.argsort(-np.array(values)).tolist()
        assert [one.score for one in ranked] == pytest.approx(sorted(values, reverse=True))
        assert [one.text for one in ranked] == [choices[one.index] for one in ranked]


def test_bits_per_byte_and_surprisal_say_the_same(model):
    density = model.bits_per_byte(TEXTS)
    for text, bits in zip(TEXTS, density.bits, strict=True):
        frame = model.surprisal(text)
        assert frame.surprisal.sum() == pytest.approx(bits, abs=1e-4)
        spans = zip(frame.start, frame.end, strict=True)
        assert "".join(text[start:end] for start, end in spans) == text.replace(" ", "")
        assert frame.attrs["exactness"] == model.objective.exactness
    assert density.value == pytest.approx(density.bits.sum() / sum(len(text) for text in TEXTS))
    with pytest.raises(InputError, match=r"texts\[1\]: wanted a text"):
        model.bits_per_byte(["a", ""])


def test_a_text_longer_than_the_context(model):
    text = " ".join(TEXTS * 3)
    whole = model.bits_per_byte([text]).bits.sum()
    model.context = 8
    windowed = model.bits_per_byte([text], stride=2)
    assert windowed.context == 8 and windowed.bits.sum() != pytest.approx(whole)
    with pytest.raises(InputError, match=r"completions\[0\]: wanted at most"):
        model.log_likelihood([""], [text])


def test_loss_is_that_of_training(model):
    special = model.tokenizer.special
    examples = [
        sequence_example(
            model.objective, np.array([*model.tokenizer.encode(text), special.eos]), special,
            np.random.default_rng([3, i]), isolated=False,
        )
        for i, text in enumerate(TEXTS)
    ]  # fmt: skip
    batch = collate(examples, special.pad)
    with evaluation_mode(model.network):
        nats = model.network(BatchTensors.of(batch)).double().numpy()
    assert model.loss(TEXTS, seed=3) == pytest.approx(
        (nats * batch.target_weights).sum() / batch.total_weight, abs=1e-5
    )


def test_a_loss_wants_a_seed_that_is_one(model):
    with pytest.raises(InputError, match="seed: wanted at least 0, got -1"):
        model.loss(TEXTS, seed=-1)


def test_layers(model):
    with pytest.raises(InputError, match="layer: wanted one from -3 to 2"):
        model.embed(TEXTS, layer=7)
    first, last = model.embed(TEXTS, layer=0), model.embed(TEXTS)
    assert first.shape == last.shape == (2, 32) and not np.allclose(first, last)


def test_words_have_the_mean_of_their_tokens(model):
    (words,) = model.embed_tokens(["the film"])
    assert words.words == ["the", "film"] and words.spans.tolist() == [[0, 3], [4, 8]]
    ids = np.array(model.tokenizer.encode("the film"))
    assert len(ids) == 2
    example = model.objective.encoding_example(ids, model.tokenizer.special)
    with evaluation_mode(model.network):
        states = model.network.states(BatchTensors.of(collate([example], 0)))[0]
    head = example.inputs.tolist().index(ids[0])
    (pieces,) = model.tokenizer.encode_with_offsets(["the film"])
    for number in (0, 1):
        own = states[head + np.flatnonzero(pieces.words == number)]
        torch.testing.assert_close(
            torch.tensor(words.vectors[number]), own.mean(0), rtol=0, atol=1e-5
        )


def test_generate_says_what_it_cost(model):
    made = model.generate(["the film"], length=4, temperature=0)
    assert len(made) == 1 and isinstance(made[0], str) and made.calls == 4
    assert len(made.decoded.tokens[0]) == 4


def test_a_bare_model_that_is_loaded_has_its_face(model, tmp_path):
    model.save_pretrained(tmp_path)
    assert type(load(tmp_path)).face == model.objective.role


def test_a_score_leaves_dropout_as_it_was(model):
    for training in (True, False):
        model.network.train(training)
        model.log_likelihood([""], ["film"])
        assert model.network.transformer.training is training
    assert not Network(model.network.transformer.eval(), model.network.role).training


@pytest.fixture(scope="module", params=["gpt2", "llama", "bert", "roberta", "bart", "marian"])
def checkpoint(request):
    """Return a tiny checkpoint that reads 64 tokens."""
    return LanguageModel.wrap(*build(request.param))


LONG = (
    "the film was a good bad dull long short story with an actor who played it well and never lost heart. "
    * 4
)
TOO_LONG = r"{}: wanted at most 6[24] tokens, .*, which is what the context holds, got \d+; bits_per_byte and surprisal"


def test_a_text_that_the_context_does_not_hold(checkpoint):
    """Each verb says so in the same words; some raised IndexError, some read on beyond what was
    trained.
    """
    paired = checkpoint.objective.kind == "plain"
    for ask in (checkpoint.embed, checkpoint.embed_tokens, *(() if paired else (checkpoint.loss,))):
        with pytest.raises(InputError, match=TOO_LONG.format(r"texts\[1\]")):
            ask(["the film", LONG])
    with pytest.raises(InputError, match=TOO_LONG.format("text")):
        checkpoint.visibility(LONG)
    if not paired or checkpoint.objective.fills:
        for text, settings in (
            (f"{LONG} <mask>.", {}),
            (f"{LONG} <hole>.", {"choices": ["good", "bad"]}),
        ):
            with pytest.raises(InputError, match=TOO_LONG.format("text")):
                checkpoint.infill(text, **settings)
        short = " ".join(["film"] * 12)
        assert checkpoint.infill(f"{short} <hole>").text.startswith(short[:4])
        with pytest.raises(InputError, match=TOO_LONG.format("text")):
            checkpoint.infill(f"{short} <hole>", lengths=[1, 64])


def test_what_just_fits_is_read(checkpoint):
    special, read = checkpoint.tokenizer.special, checkpoint.objective.encoding_example
    most = checkpoint.context - len(read(special.ordinary[:1], special).inputs) + 1
    row = np.resize(special.ordinary, most + 1)
    assert checkpoint.pool_rows([row[:most]], poolings=["mean"])["mean"].shape == (1, 32)
    with pytest.raises(InputError, match=TOO_LONG.format(r"texts\[0\]")):
        checkpoint.pool_rows([row], poolings=["mean"])


def test_a_text_without_tokens(checkpoint):
    words, other = checkpoint.embed_tokens(["", "the film"])
    assert words.words == [] and words.spans.shape == (0, 2) and words.vectors.shape == (0, 32)
    assert other.words == ["the", "film"]
    with pytest.raises(InputError, match="text: wanted one with tokens, got ''"):
        checkpoint.visibility("")
    with pytest.raises(InputError, match="texts: wanted at least one, got none"):
        checkpoint.bits_per_byte([])


def test_a_completion_without_tokens_does_not_win():
    """BERT's tokenizer makes no token of a space, whose score would be the best there is: 0 nats."""
    model = LanguageModel.wrap(*build("bert"))
    said = (
        r"completions\[1\]: wanted a text with tokens, got ' ', of which the tokenizer makes none"
    )
    for prompt in ("the film was", ""):
        with pytest.raises(InputError, match=said):
            model.rank(prompt, [" good", " "], normalise="token")
        with pytest.raises(InputError, match=said):
            model.log_likelihood([prompt] * 2, [" good", " "], method="pll")


def test_one_text_is_no_list(model):
    for ask in (model.generate, model.embed, model.embed_tokens, model.loss, model.bits_per_byte):
        with pytest.raises(
            InputError, match=r"(prompts|texts): wanted a list of texts, got one text \('film'\)"
        ):
            ask("film")
    with pytest.raises(InputError, match="prompts: wanted a list"):
        model.log_likelihood("a", ["b"])
    with pytest.raises(InputError, match="completions: wanted a list"):
        model.log_likelihood(["a"], "b")
    with pytest.raises(InputError, match="choices: wanted a list"):
        model.rank("a", "bc")
    with pytest.raises(InputError, match="choices: wanted a list"):
        model.infill("the <mask> was", choices="film")


def test_a_stop_may_be_one_text(model):
    if model.objective.role == "encoder":
        return
    settings = {"length": 40, "seed": 1}
    (whole,) = model.generate(["the film"], **settings)
    pairs = [whole[i : i + 2] for i in range(len(whole) - 1)]
    stop = next(pair for pair in pairs if min(map(whole.find, pair)) < whole.find(pair))
    assert model.generate(["the film"], stop=stop, **settings).texts == (whole[: whole.find(stop)],)


def test_what_is_for_masked_models_is_refused_elsewhere(model):
    if model.objective.role == "encoder":
        with pytest.raises(
            InputError, match="strategy: no such one, 'bogus'; known: confidence, gibbs"
        ):
            model.generate(["the film"], strategy="bogus", length=2)
        return
    for settings in ({"strategy": "bogus"}, {"strategy": "gibbs"}, {"steps": 3}):
        with pytest.raises(InputError, match="generate: strategy and steps are for a masked model"):
            model.generate(["the film"], length=2, **settings)
        with pytest.raises(InputError, match="infill: strategy and steps are for a masked model"):
            model.infill("the <mask> was", **settings)


def test_each_of_a_list_is_a_text(model):
    for ask in (model.generate, model.embed, model.embed_tokens, model.loss, model.bits_per_byte):
        for given, got in ((b"a", "b'a', a bytes"), (3, "3, a int"), (None, "None, a NoneType")):
            with pytest.raises(
                InputError, match=rf"(prompts|texts)\[1\]: wanted a text, got {got}"
            ):
                ask(["film", given])
            with pytest.raises(
                InputError, match=rf"(prompts|texts): wanted a list of texts, got {got}"
            ):
                ask(given)
        with pytest.raises(
            InputError,
            match=r"\[1\]: wanted a text that UTF-8 holds, got the lone surrogate .* at 2",
        ):
            ask(["film", "a \ud800"])
    with pytest.raises(InputError, match=r"choices\[0\]: wanted a text, got None"):
        model.rank("a", [None])
    with pytest.raises(InputError, match=r"choices\[0\]: wanted a text, got 3"):
        model.infill("the <mask> was", choices=[3])


def test_a_list_is_no_text(model):
    for ask, name in (
        (model.surprisal, "text"),
        (model.visibility, "text"),
        (model.infill, "text"),
    ):
        with pytest.raises(
            InputError, match=rf"{name}: wanted a text, got \['the <mask>'\], a list"
        ):
            ask(["the <mask>"])
    with pytest.raises(InputError, match=r"prompt: wanted a text, got \['film'\], a list"):
        model.rank(["film"], ["a", "b"])
    with pytest.raises(InputError, match="unconditional: wanted a text, got None"):
        model.rank("film", ["a", "b"], normalise="unconditional", unconditional=None)


def test_words_of_texts_that_are_no_plain_list(model):
    """They were those that stood at the index of a series, or none."""
    wanted = [words.words for words in model.embed_tokens(TEXTS)]
    for texts in (pd.Series(TEXTS, index=[1, 0]), (text for text in TEXTS)):
        assert [words.words for words in model.embed_tokens(texts)] == wanted


def test_a_pooling_that_is_none(model):
    """It was 'first'."""
    for pooling, hint in (
        ("maen", "did you mean 'mean'"),
        ("cls", "known: first, last, mean"),
        (None, "known"),
    ):
        with pytest.raises(InputError, match=f"pooling: no such one, {pooling!r}; {hint}"):
            model.embed(TEXTS, pooling=pooling)


def test_a_bound_has_draws():
    """Without any, a completion had probability 1."""
    model = LanguageModel.wrap(*build("bert"))
    for draws in (0, -1, 1.5):
        with pytest.raises(InputError, match=f"draws: wanted .*at least 1, got {draws}"):
            model.log_likelihood(["the film"], ["was good"], method="bound", draws=draws)
    with pytest.raises(InputError, match="seed: wanted at least 0, got -1"):
        model.log_likelihood(["the film"], ["was good"], method="bound", seed=-1)


def test_a_choice_without_tokens_does_not_fill():
    """It won with 0 nats."""
    model = LanguageModel.wrap(*build("bert"))
    for bare in ("", " "):
        with pytest.raises(
            InputError, match=rf"choices\[1\]: wanted a text with tokens, got '{bare}'"
        ):
            model.infill("the film was <hole>.", choices=["good", bare])


def test_settings_of_decoding_that_cannot_be(model):
    for settings, said in (
        ({"length": "5"}, "length: wanted an integer, at least 1, got '5'"),
        ({"length": 2, "beams": 0}, "beams: wanted at least 1, got 0"),
        ({"length": 2, "seed": -1}, "seed: wanted at least 0, got -1"),
        ({"length": 2, "stop": ""}, "stop: wanted texts that end a continuation, got an empty one"),
        ({"length": 2, "stop": [3]}, r"stop\[0\]: wanted a text, got 3"),
    ):
        with pytest.raises(InputError, match=said):
            model.generate(["the film"], **settings)
    with pytest.raises(InputError, match="seed: wanted at least 0, got -1"):
        model.infill("the <mask> was", seed=-1)
    assert len(model.generate(["the film"], length=np.int64(2)).decoded.tokens[0]) == 2


def test_a_context_that_is_too_short_for_windows(model):
    model.context = 1
    with pytest.raises(InputError, match="context: wanted room for"):
        model.bits_per_byte(TEXTS)
