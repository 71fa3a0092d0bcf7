"""Marian with its own tokenizer: two sentencepiece models, one table of ids or two."""

import pickle
import sys
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, MarianConfig, MarianMTModel

sys.path.insert(0, str(Path(__file__).parents[1] / "parity"))

from tiny import BART, translator

import lmcompare
from lmcompare.core.errors import InputError
from lmcompare.core.settings import AdaptationSettings
from lmcompare.evaluation.harness import Harness
from lmcompare.models import checkpoints
from lmcompare.tasks.text_to_text import TextToText

pytest.importorskip("sentencepiece")
pytestmark = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")

TEXTS = [
    "the film was unbelievably good.",
    "今天 a film 😀",
    "</s> the <pad>",
    "well  played",
    ">>fra<< the film",
    "",
]


@dataclass(frozen=True)
class Pairs:
    """Rows of a source, given."""

    kind: ClassVar[str] = "pairs"
    items: list

    def rows(self):
        return iter(self.items)

    def fingerprint(self):
        return "pairs"


@pytest.fixture(scope="module", params=[False, True], ids=["one table", "two tables"])
def folder(request, tmp_path_factory):
    """A random network whose sides have the ids of their own tables, and its tokenizer, saved."""
    tokenizer = translator(separate=request.param)
    targets = tokenizer.target_encoder if request.param else tokenizer.encoder
    config = MarianConfig(
        vocab_size=len(tokenizer.encoder),
        decoder_vocab_size=len(targets),
        pad_token_id=tokenizer.encoder["<pad>"],
        eos_token_id=0,
        forced_eos_token_id=0,
        decoder_start_token_id=targets["<pad>"],
        share_encoder_decoder_embeddings=not request.param,
        **BART,
    )
    if request.param:
        # Else an embedding of the decoder would be padded by an id that it does not have.
        config.pad_token_id = 0
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = MarianMTModel(config).eval()
        for parameter in model.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.15)
    path = tmp_path_factory.mktemp("marian")
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def test_ids_are_those_of_the_tokenizer(folder):
    tokenizer = lmcompare.load(folder).tokenizer
    theirs = AutoTokenizer.from_pretrained(folder, split_special_tokens=True)
    assert tokenizer.encode_batch(TEXTS) == [
        theirs(text, add_special_tokens=False).input_ids for text in TEXTS
    ]
    assert tokenizer.target.encode_batch(TEXTS) == [
        theirs(text_target=text, add_special_tokens=False).input_ids for text in TEXTS
    ]
    assert tokenizer.encode(TEXTS[0]) != tokenizer.target.encode(TEXTS[0])
    assert tokenizer.decode(tokenizer.encode(TEXTS[0])) == TEXTS[0]
    assert tokenizer.target.decode(tokenizer.target.encode(TEXTS[0])) == TEXTS[0]
    again = pickle.loads(pickle.dumps(tokenizer))
    assert again.fingerprint == tokenizer.fingerprint != tokenizer.target.fingerprint


def test_pieces_cover_the_text(folder):
    tokenizer = lmcompare.load(folder).tokenizer
    for text, piece in zip(TEXTS, tokenizer.encode_with_offsets(TEXTS), strict=True):
        assert "".join(text[start:end] for start, end in piece.spans) == text.replace(" ", "")
    (piece,) = tokenizer.encode_with_offsets([TEXTS[0]])
    assert piece.words[-1] == 5 and (np.diff(piece.words) >= 0).all()


def test_log_likelihood_equals_plain_transformers(folder):
    model = lmcompare.load(folder)
    plain, tokenizer = (
        MarianMTModel.from_pretrained(folder).eval(),
        AutoTokenizer.from_pretrained(folder),
    )
    pairs = [
        ("the film", "a story."),
        (">>fra<< a good film", "the film was good"),
        ("dull", "unbelievably long"),
    ]
    scores = model.log_likelihood(*zip(*pairs, strict=True))
    for (source, target), score in zip(pairs, scores, strict=True):
        read = tokenizer(source, return_tensors="pt")
        targets = tokenizer(
            text_target=target, add_special_tokens=False, return_tensors="pt"
        ).input_ids
        start = torch.tensor([[plain.config.decoder_start_token_id]])
        with torch.no_grad():
            logits = plain(**read, decoder_input_ids=torch.cat([start, targets[:, :-1]], 1)).logits
        expected = logits.log_softmax(-1).gather(2, targets[..., None])[0, :, 0]
        assert score.tokens == pytest.approx(expected.tolist(), abs=1e-4)


def test_generation_says_text_of_the_target_side(folder):
    model = lmcompare.load(folder)
    generated = model.generate(["the film was good", "a story"], length=6, temperature=0)
    ordinary = model.tokenizer.special.ordinary
    assert all(np.isin(row, ordinary).all() and len(row) == 6 for row in generated.decoded.tokens)
    plain, tokenizer = (
        MarianMTModel.from_pretrained(folder).eval(),
        AutoTokenizer.from_pretrained(folder),
    )
    ban = sorted(set(range(model.tokenizer.size)) - set(ordinary.tolist()))
    plain.generation_config.forced_eos_token_id = None
    output = plain.generate(
        **tokenizer("the film was good", return_tensors="pt"),
        num_beams=1,
        do_sample=False,
        max_new_tokens=6,
        suppress_tokens=ban,
    )
    assert output[0, 1:].tolist() == generated.decoded.tokens[0].tolist()
    assert model.embed(["the film", "a much longer text"]).shape == (2, 32)


def test_texts_longer_than_the_context_are_refused(folder):
    model = lmcompare.load(folder, context=8)
    long = "the film was good and " * 4
    refused = (
        r"texts\[1\]: wanted at most 8 tokens, got \d+: a translator reads in another vocabulary"
    )
    with pytest.raises(InputError, match=refused):
        model.bits_per_byte(["film", long])
    with pytest.raises(InputError, match=refused.replace("1", "0", 1)):
        model.surprisal(long)
    with pytest.raises(InputError, match=r"completions\[0\]: wanted at most 8 tokens"):
        model.log_likelihood(["film"], [long])
    with pytest.raises(InputError, match=r"prompts\[0\]: wanted at most 7 tokens"):
        model.log_likelihood([long], ["film"])
    # Cut, it is read from its end: 7 tokens, and eos.
    (cut,) = model.log_likelihood([long.rstrip()], ["film"], cut=True)
    end = np.array(model.tokenizer.encode(long.rstrip())[-7:])
    (tokens,) = model.score_tokens([(end, np.array(model.tokenizer.target.encode("film")))])
    assert cut.tokens == pytest.approx(tokens, abs=1e-5)


def test_a_network_with_fewer_ids(folder):
    tokenizer = translator()
    model = MarianMTModel(
        MarianConfig(vocab_size=40, pad_token_id=39, decoder_start_token_id=39, **BART)
    )
    with pytest.raises(
        InputError, match="tokenizer: wanted at most the 40 ids that the network has on its source"
    ):
        lmcompare.wrap(model, tokenizer)


def test_without_sentencepiece(folder, monkeypatch):
    monkeypatch.setattr(checkpoints, "find_spec", lambda _: None)
    with pytest.raises(
        InputError,
        match=r"wanted the package sentencepiece, .*pip install 'lmcompare\[translation\]'",
    ):
        lmcompare.load(folder)


def test_a_task_reads_prompts_in_one_vocabulary_and_answers_in_the_other(folder):
    model = lmcompare.load(folder)
    shared = SimpleNamespace(tokenizer=SimpleNamespace(fingerprint="another"))
    harness = Harness(
        shared, model, seed=1, context=64, pretraining_tokens=0, progress=lambda event: None
    )
    (prompt,), (answer,) = harness.encode(TEXTS[:1]), harness.encode(TEXTS[:1], target=True)
    assert prompt.tolist() == model.tokenizer.encode(TEXTS[0]) != answer.tolist()
    assert harness.decode([prompt]) == harness.decode([answer], target=True) == [TEXTS[0]]
    assert harness.byte_length(answer) == len(TEXTS[0].encode())
    orders = list(permutations(["film", "was", "the", "good", "a"]))[:40]
    items = [
        {"prompt": "the " + " ".join(order), "answer": "a " + " ".join(reversed(order))}
        for order in orders
    ]
    task = TextToText(
        Pairs(items), items=40, adaptation=AdaptationSettings(learning_rates=(1e-3,), epochs=1)
    )
    seen = {}

    def answer_as_wanted(pairs, **settings):
        seen.update(pairs)
        rows = [real for _, real in pairs["test"]]
        tuned = SimpleNamespace(loss=0.0, trials=[], chosen={}, seconds=0.0)
        nats = [np.full(len(row), -np.log(2)) for row in rows]
        return SimpleNamespace(answers=rows, nats=nats, tuned=tuned, calls=1, seconds=1.0)

    harness.generate_answers = answer_as_wanted
    metrics = {
        outcome.metric: outcome.value
        for outcome in task.measure(harness).outcomes
        if not outcome.item
    }
    assert metrics["exact_match"] == 1
    texts = {row["prompt"]: row["answer"] for row in items}
    for part in seen.values():
        for read, targets in part:
            assert targets.tolist() == model.tokenizer.target.encode(
                texts[model.tokenizer.decode(read.tolist()).strip()]
            )
