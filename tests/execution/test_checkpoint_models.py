"""Arms that came trained: loaded, tuned, asked and judged beside fresh ones; from a folder and
under a hub's name.
"""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from huggingface_hub import constants

sys.path.insert(0, str(Path(__file__).parents[1] / "parity"))

from tiny import build, saved

from lmcompare.core.cells import CellContext
from lmcompare.core.settings import NetworkSettings
from lmcompare.evaluation.cell_work import CellWork, perform
from lmcompare.evaluation.harness import Harness, PreparedData
from lmcompare.experiments import experiment
from lmcompare.language_model import load, wrap
from lmcompare.models.network import build_network, load_network, reinitialize, save_network
from lmcompare.tasks.continuation import Continuation

TREE = {
    "name": "ready",
    "tokenizer": {"vocab_size": 360, "sentinels": 8},
    "sequence": {"length": 24},
    "network": {"hidden_size": 16, "num_layers": 1, "num_heads": 2, "ffn_multiplier": 2.0},
    "training": {"tokens": 480, "batch_size": 4, "evaluations": 1, "validation_sequences": 4},
    "seeds": [1],
}
TINY = ("gpt2", "roberta", "t5")


@pytest.fixture(scope="module")
def place(sentences, tmp_path_factory):
    """An experiment with a fresh arm, three checkpoints, one of them under a hub's name, too, and
    one of ours.
    """
    folder = tmp_path_factory.mktemp("ready")
    (folder / "text.txt").write_text("\n".join(sentences))
    rows = [f"{sentence},{'good' in sentence}" for sentence in sentences[:120]]
    (folder / "labels.csv").write_text("\n".join(["text,label", *rows]))
    for name in TINY:
        saved(name, folder / name)
    snapshot = folder / "hub" / "models--org--tiny" / "snapshots" / ("a" * 40)
    saved("gpt2", snapshot)
    (folder / "hub" / "models--org--tiny" / "refs").mkdir()
    (folder / "hub" / "models--org--tiny" / "refs" / "main").write_text("a" * 40)
    arms = {name: {"checkpoint": str(folder / name)} for name in (*TINY, "ours")}
    arms |= {"hub": {"checkpoint": "org/tiny"}, "fresh": {"objective": "masked"}}
    source = {"kind": "csv", "path": str(folder / "labels.csv")}
    tasks = {
        "sorting": {
            "kind": "classification", "source": source,
            "adaptation": {"learning_rates": [1e-3], "epochs": 1, "pooling": ["mean"]},
        },
        "continuing": {"kind": "continuation", "items": 6, "prefix": 8, "suffix": 4, "samples": 2},
    }  # fmt: skip
    corpus = {
        "source": {"kind": "text", "path": str(folder / "text.txt")},
        "validation": 0.1,
        "test": 0.1,
    }
    tiny = experiment.parse(TREE | {"corpus": corpus, "tasks": tasks, "models": arms})
    data = PreparedData.of(tiny, folder / "cache")
    cell = SimpleNamespace(model="fresh", seed=1)
    model = CellWork(tiny, cell, None, data).initial_model()
    model.save_pretrained(folder / "ours")
    model.save_pretrained(folder / "weights")
    return SimpleNamespace(tiny=tiny, folder=folder, data=data)


def work(place, arm, task, condition="pretrained", seed=1):
    name = f"{task}/{arm}/{seed}/{condition}"
    needs = {"pretrain/fresh/1": place.folder} if arm == "fresh" else {}
    cell = SimpleNamespace(
        name=name,
        kind="task",
        model=arm,
        seed=seed,
        task=task,
        condition=condition,
        needs=tuple(needs),
        key=name,
    )
    return perform(
        place.tiny, cell, CellContext(place.folder / "cache", needs, place.folder, "cpu")
    )


def values(records, metric):
    return {r.item: r.value for r in records if r.metric == metric and r.item}


def make_harness(place, model):
    return Harness(place.data, model, 1, 24, 480, lambda event: None)


@pytest.mark.parametrize("arm", TINY)
def test_a_checkpoint_is_tuned_and_so_is_its_like_from_scratch(place, arm):
    found = {}
    for condition in ("pretrained", "scratch"):
        run, records = work(place, arm, "sorting", condition)
        found[condition] = [r.value for r in records if r.metric == "nll" and r.item]
        assert len(found[condition]) == run.notes.counts["test_items"]
        assert (
            run.notes.checkpoint.parameters > run.notes.checkpoint.parameters_without_embeddings > 0
        )
        assert (
            not run.notes.checkpoint.shared_tokenizer and len(run.fingerprints["checkpoint"]) == 64
        )
        assert run.config == {"checkpoint": str(place.folder / arm), "revision": None}
    assert found["pretrained"] != found["scratch"]


@pytest.mark.parametrize("arm", TINY)
def test_a_checkpoint_is_asked_the_same_text_in_its_own_tokens(place, arm):
    run, records = work(place, arm, "continuing")
    _, others = work(place, "fresh", "continuing")
    passages = {
        p.id: p for p in Continuation(**_settings(place)).passages(make_harness(place, None))
    }
    bits, sizes = values(records, "bits"), values(records, "bytes")
    assert len(bits) == run.notes.details["passages"] == 6 - run.notes.left_out > 0
    assert all(sizes[item] == values(others, "bytes")[item] for item in bits)
    decode, model = place.data.tokenizer.decode, load(place.folder / arm)
    for item, value in bits.items():
        prefix, suffix = (
            decode(part.tolist()) for part in (passages[item].prefix, passages[item].suffix)
        )
        assert sizes[item] == len(suffix.encode())
        if arm != "t5":  # whose log_likelihood reads prompt and completion as two texts
            (score,) = model.log_likelihood([prefix], [suffix])
            assert value == pytest.approx(-score.sum / np.log(2), rel=1e-5)
    assert len(run.samples) == 2 and {s["item"] for s in run.samples} <= set(passages)


def _settings(place):
    task = place.tiny.tasks["continuing"]
    return {name: getattr(task, name) for name in ("items", "prefix", "suffix", "samples", "seed")}


def test_the_bytes_of_tokens_are_those_of_their_text(place):
    harness = make_harness(place, load(place.folder / "t5"))
    (own,), (shared,) = (
        harness.encode(["the film was long"]),
        harness.encode(["the film was long"], shared=True),
    )
    assert harness.has_own_tokenizer and harness.decode([own]) == harness.decode(
        [shared], shared=True
    ) == ["the film was long"]
    assert harness.byte_length(own) == harness.byte_length(shared, shared=True) == 17


def test_what_a_checkpoint_says_is_judged_in_the_shared_tokens(place):
    run, records = work(place, "gpt2", "continuing")
    harness, model = make_harness(place, load(place.folder / "gpt2")), load(place.folder / "gpt2")
    passages = Continuation(**_settings(place)).passages(harness)
    decode = place.data.tokenizer.decode
    prompts = [np.array(model.tokenizer.encode(decode(p.prefix.tolist()))) for p in passages]
    texts = [
        model.tokenizer.decode(row.tolist())
        for row in model.decode(prompts, length=4, seed=1).tokens
    ]
    for passage, text in zip(passages, texts, strict=True):
        row = np.array(place.data.tokenizer.encode(text)[:4])
        scores = harness.trigram_judge().log_p(np.concatenate([passage.prefix, row]))[
            len(passage.prefix) :
        ]
        assert values(records, "judge_bits")[passage.id] == pytest.approx(-scores.sum() / np.log(2))
        assert values(records, "judge_bytes")[passage.id] == harness.byte_length(row, shared=True)


def test_a_fresh_network_is_asked_in_the_shared_tokens_as_before(place):
    run, records = work(place, "fresh", "continuing")
    model = load(place.folder / "weights")
    harness = make_harness(place, model)
    assert (
        not harness.has_own_tokenizer
        and run.notes.left_out is None
        and run.notes.checkpoint is None
    )
    rows = [
        np.array(row) for row in place.data.tokenizer.encode_batch(place.data.corpus.test["text"])
    ]
    for ours, theirs in zip(harness.encode(place.data.corpus.test["text"]), rows, strict=True):
        assert np.array_equal(ours, theirs)
    documents = dict(zip(map(str, place.data.corpus.test["document"]), rows, strict=True))
    bits, judged = values(records, "bits"), values(records, "judge_bits")
    items = list(bits)
    pairs = [(documents[item][:8], documents[item][8:12]) for item in items]
    order = [p.id for p in Continuation(**_settings(place)).passages(harness)]
    decoded = model.decode([documents[item][:8] for item in order], length=4, seed=1).tokens
    for item, (prefix, _), score in zip(items, pairs, model.score_tokens(pairs), strict=True):
        assert bits[item] == -float(score.sum()) / np.log(2)
        row = np.concatenate([prefix, decoded[order.index(item)]])
        assert judged[item] == -float(harness.trigram_judge().log_p(row)[8:].sum()) / np.log(2)


def test_a_network_of_ours_from_disk_says_what_the_fresh_arm_says(place):
    run, records = work(place, "ours", "continuing")
    _, others = work(place, "fresh", "continuing")
    assert run.notes.checkpoint.shared_tokenizer
    for metric in ("bits", "bytes", "judge_bits"):
        assert values(records, metric) == values(others, metric)


def test_a_name_of_the_hub_is_read_from_what_was_downloaded(place, monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("touched the network"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(place.folder / "hub"))
    run, records = work(place, "hub", "continuing")
    assert run.notes.checkpoint.commit == "a" * 40 and "checkpoint" not in run.fingerprints
    assert values(records, "bits") == values(work(place, "gpt2", "continuing")[1], "bits")


@pytest.mark.parametrize("name", [*TINY, "bert", "bart", "llama", "marian"])
def test_scratch_is_the_same_class_and_config_drawn_anew(name):
    network = wrap(*build(name)).network
    before = {key: value.clone() for key, value in network.state_dict().items()}
    one, again, other = (reinitialize(network, seed) for seed in (1, 1, 2))
    assert type(one.transformer) is type(network.transformer) and one.role == network.role
    assert one.parameters_counted() == network.parameters_counted()
    matrices = [key for key, value in before.items() if value.dim() > 1 and value.std() > 0]
    new, same, differ = (part.state_dict() for part in (one, again, other))
    for key in matrices:
        assert torch.equal(new[key], same[key]) and torch.equal(
            network.state_dict()[key], before[key]
        )
        if "position" not in key or name not in ("marian",):  # Marian's positions are sines
            assert not torch.equal(new[key], before[key]) and not torch.equal(new[key], differ[key])


@pytest.mark.parametrize("role", ["decoder", "encoder", "encoder-decoder"])
def test_scratch_of_a_network_of_ours_is_where_its_pretraining_began(
    role, special, small, tmp_path
):
    begun = build_network(small, role, special, seed=3)
    trained = build_network(NetworkSettings(**vars(small)), role, special, seed=4)
    save_network(trained, tmp_path)
    found = reinitialize(load_network(tmp_path, role), seed=3)
    assert found.parameters_counted() == begun.parameters_counted()
    for ours, theirs in zip(found.parameters(), begun.parameters(), strict=True):
        assert torch.equal(ours, theirs)
