"""Metrics that ask a model: beside their libraries, on tiny random networks from a folder."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "parity"))

from tiny import saved
from transformers import AutoTokenizer

from lmcompare import load, metrics
from lmcompare.core.errors import InputError

REAL = [
    "the film was good",
    "a long story with an actor",
    "he played it well and never lost heart",
    "a dull short film",
]
SAID = ["the film was bad", "a story with an actor", "he lost heart", "good good good good"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {name: str(saved(name, tmp_path_factory.mktemp(name))) for name in ("gpt2", "bert")}


def test_perplexity_is_that_of_the_model(folders):
    result = metrics.load("perplexity").compute(
        predictions=SAID, model=folders["gpt2"], per_item=True
    )
    scores = load(folders["gpt2"]).log_likelihood([""] * 4, SAID)
    tokens = np.concatenate([one.tokens for one in scores])
    assert result["perplexity"] == pytest.approx(np.exp(-tokens.mean()))
    assert result["items"] == pytest.approx([one.bits_per_byte for one in scores])
    sizes = [len(text) for text in SAID]
    assert result["bits_per_byte"] == pytest.approx(np.average(result["items"], weights=sizes))


def test_perplexity_of_nothing(folders):
    with pytest.raises(InputError, match="perplexity: item 1: wanted a text, got an empty one"):
        metrics.load("perplexity").compute(predictions=["a", ""], model=folders["gpt2"])


def test_bertscore_is_the_library_s_at_any_layer_and_one_for_the_same_text(folders):
    bert_score = pytest.importorskip("bert_score")
    metric = metrics.load("bertscore")
    limited = AutoTokenizer.from_pretrained(folders["bert"], model_max_length=32)
    limited.save_pretrained(folders["bert"])  # their shortcut wants a longest text
    for layer in (1, None):
        result = metric.compute(
            predictions=SAID, references=REAL, model=folders["bert"], layer=layer, per_item=True
        )
        theirs = bert_score.score(SAID, REAL, model_type=folders["bert"], num_layers=layer or 2)
        assert result["items"] == pytest.approx(theirs[2].tolist(), abs=1e-6)
        assert result["precision"] == pytest.approx(float(theirs[0].mean()), abs=1e-6)
    weighted = metric.compute(predictions=SAID, references=REAL, model=folders["bert"], idf=True)
    theirs = bert_score.score(SAID, REAL, model_type=folders["bert"], num_layers=2, idf=True)
    assert weighted["bertscore"] == pytest.approx(float(theirs[2].mean()), abs=1e-6)
    both = metric.compute(
        predictions=SAID,
        references=[[a, b] for a, b in zip(REAL, SAID, strict=True)],
        model=folders["bert"],
    )
    assert both["bertscore"] == pytest.approx(1, abs=1e-6)
    with pytest.raises(InputError, match="bertscore: layer: wanted one from 1 to 2, got 3"):
        metric.compute(predictions=SAID, references=REAL, model=folders["bert"], layer=3)


def test_mauve_is_the_library_s_on_our_states_and_one_for_the_same_texts(folders, sentences):
    mauve = pytest.importorskip("mauve")
    metric, model = metrics.load("mauve"), load(folders["gpt2"])
    real, predictions = sentences[:60], [text[::-1] for text in sentences[60:120]]
    result = metric.compute(
        predictions=predictions, references=real, model=folders["gpt2"], clusters=5
    )["mauve"]
    ours, theirs = (model.embed(texts, pooling="last") for texts in (predictions, real))
    library = mauve.compute_mauve(
        p_features=ours, q_features=theirs, num_buckets=5, verbose=False
    ).mauve
    assert result == pytest.approx(library, abs=1e-6) and result < 0.9
    same = metric.compute(predictions=real, references=real, model=folders["gpt2"], clusters=5)
    assert same["mauve"] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", ["bertscore", "mauve", "perplexity"])
def test_no_model_or_nothing_to_score(name, tmp_path):
    pytest.importorskip({"bertscore": "bert_score", "mauve": "mauve"}.get(name, "evaluate"))
    pairs = {"predictions": ["a"]} | ({} if name == "perplexity" else {"references": ["a"]})
    with pytest.raises(
        InputError, match=f"{name}: model: missing; wanted the folder of a checkpoint"
    ):
        metrics.load(name).compute(**pairs)
    with pytest.raises(InputError, match="model: wanted a folder with config.json"):
        metrics.load(name).compute(**pairs, model=str(tmp_path))
    with pytest.raises(InputError, match=f"{name}: wanted at least one prediction, got none"):
        metrics.load(name).compute(**{key: [] for key in pairs}, model=str(tmp_path))


@pytest.mark.parametrize(("name", "missing"), [("bertscore", "bert_score"), ("mauve", "mauve")])
def test_a_library_that_is_missing(name, missing, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(InputError, match=r"`pip install 'lmcompare\[judges\]'` installs it"):
        metrics.load(name).compute(predictions=["a"], references=["a"], model=".")


def test_a_tokenizer_that_was_told_no_longest_text(tmp_path):
    pytest.importorskip("bert_score")
    folder = str(saved("bert", tmp_path))
    assert AutoTokenizer.from_pretrained(folder).model_max_length > 1e9
    result = metrics.load("bertscore").compute(
        predictions=["good " * 200], references=["good " * 200], model=folder
    )
    assert result["bertscore"] == pytest.approx(1, abs=1e-6)
