from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lmcompare.core.cells import CellContext
from lmcompare.evaluation.cell_work import CellWork, perform
from lmcompare.evaluation.harness import PreparedData
from lmcompare.experiments import experiment
from lmcompare.language_model import load

TREE = {
    "name": "tiny",
    "tokenizer": {"vocab_size": 360, "sentinels": 8},
    "sequence": {"length": 24},
    "network": {"hidden_size": 16, "num_layers": 1, "num_heads": 2, "ffn_multiplier": 2.0},
    "training": {
        "tokens": 24 * 4 * 5,
        "batch_size": 4,
        "evaluations": 2,
        "validation_sequences": 4,
    },
    "models": {kind: {"objective": kind} for kind in ("causal", "masked", "seq2seq")},
    "seeds": [1],
}


@pytest.fixture(scope="module")
def small(sentences, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "text.txt").write_text("\n".join(sentences))
    rows = [f"{sentence.replace(',', '')},{'good' in sentence}" for sentence in sentences]
    (folder / "labels.csv").write_text("\n".join(["text,label", *rows]))
    turned = [
        f"{' '.join(words)},{' '.join(words[::-1])}"
        for words in (s[:-1].split()[:3] for s in sentences[:120])
    ]
    (folder / "pairs.csv").write_text("\n".join(["prompt,answer", *turned]))
    tree = TREE | {
        "corpus": {
            "source": {"kind": "text", "path": str(folder / "text.txt")},
            "validation": 0.1,
            "test": 0.1,
        },
        "tasks": {
            "sorting": {
                "kind": "classification",
                "source": {"kind": "csv", "path": str(folder / "labels.csv")},
                "adaptation": {"learning_rates": [1e-3], "epochs": 1},
            },
            "turning": {
                "kind": "text_to_text",
                "source": {"kind": "csv", "path": str(folder / "pairs.csv")},
                "metric": "exact_match",
                "metrics": ["chrf"],
                "adaptation": {"learning_rates": [1e-3], "epochs": 1},
            },
            **{
                protocol: {
                    "kind": "classification",
                    "source": {"kind": "csv", "path": str(folder / "labels.csv")},
                    "items": 100,
                    "protocol": protocol,
                    "adaptation": {"learning_rates": [1e-3], "epochs": 1},
                }
                for protocol in ("zero_shot", "text_to_text")
            },
            "continuing": {
                "kind": "continuation",
                "items": 6,
                "prefix": 8,
                "suffix": 4,
                "samples": 2,
            },
        },
    }
    return experiment.parse(tree), folder / "cache"


def cell(name, kind, model="", seed=0, task="", condition="", needs=()):
    return SimpleNamespace(
        name=name,
        kind=kind,
        model=model,
        seed=seed,
        task=task,
        condition=condition,
        needs=needs,
        key=name,
    )


def work(small, cell, folders=None):
    tiny, cache = small
    folder = cache / cell.name.replace("/", "-")
    folder.mkdir(parents=True, exist_ok=True)
    return perform(tiny, cell, CellContext(cache, folders or {}, folder, "cpu", workers=3)), folder


@pytest.fixture(scope="module", params=["causal", "masked", "seq2seq"])
def pretrained(small, request):
    name = f"pretrain/{request.param}/1"
    (run, records), folder = work(
        small, cell(name, "pretrain", request.param, 1, needs=("prepare",))
    )
    return run, records, {name: folder}


def test_prepare_counts_the_data(small):
    (run, records), _ = work(small, cell("prepare", "prepare"))
    assert records == []
    assert run.notes.counts["documents"] == 400
    assert set(run.fingerprints) == {"source", "corpus", "vocabulary", "blocks"}
    assert run.machine["device"] == "cpu"


def test_pretraining_says_what_it_cost_and_what_it_learnt(pretrained):
    run, records, folders = pretrained
    assert run.costs["corpus_tokens"] == 480
    assert run.costs["workers"] == 3
    assert run.costs["parameters"] > run.costs["parameters_without_embeddings"] > 0
    check = run.notes.convergence
    assert check.margin == pytest.approx(check.unigram_loss - check.loss)
    assert check.passed is (check.margin >= 0.3)
    assert {record.metric for record in records} == {
        "loss",
        "text_loss",
        "unigram_loss",
        "margin",
        "validation_rise",
    }
    assert [point["step"] for point in run.curve if point["split"] == "validation"] == [2, 5]
    (folder,) = folders.values()
    assert load(folder / "weights").objective.kind == run.model


def test_a_task_measures_the_pretrained_network_and_the_same_one_from_scratch(small, pretrained):
    pretraining, _, folders = pretrained
    for condition, needs in (("pretrained", folders), ("scratch", {})):
        name = f"sorting/{pretraining.model}/1/{condition}"
        (run, records), _ = work(
            small, cell(name, "task", pretraining.model, 1, "sorting", condition), needs
        )
        assert run.notes.task.primary_metric == "accuracy"
        items = [r for r in records if r.metric == "correct"]
        assert len(items) == run.notes.counts["test_items"] > 20
        (accuracy,) = (
            r.value for r in records if r.metric == "accuracy" and r.split == "test" and not r.part
        )
        assert accuracy == pytest.approx(np.mean([r.value for r in items]))
        assert {r.condition for r in records} == {condition}


def test_continuation_of_each_model(small, pretrained):
    pretraining, _, folders = pretrained
    name = f"continuing/{pretraining.model}/1/pretrained"
    (run, records), _ = work(
        small, cell(name, "task", pretraining.model, 1, "continuing", "pretrained"), folders
    )
    exactness = {r.exactness for r in records if r.metric == "bits"}
    assert exactness == {"chain" if run.model == "masked" else "exact"}
    assert len(run.samples) == 2


def test_transduction_of_each_model(small, pretrained):
    pretraining, _, folders = pretrained
    name = f"turning/{pretraining.model}/1/pretrained"
    (run, records), _ = work(
        small, cell(name, "task", pretraining.model, 1, "turning", "pretrained"), folders
    )
    items = [r for r in records if r.metric == "exact_match" and r.item]
    assert len(items) == run.notes.counts["test_items"] > 5
    assert run.notes.task.primary_metric == "exact_match"
    assert run.notes.task.per_item["bits_per_byte"] == ("bits", "bytes")
    assert {r.exactness for r in records if r.metric == "bits"} == {
        "chain" if run.model == "masked" else "exact"
    }
    assert {"validation_loss", "chrf", "bits_per_byte", "calls_per_answer"} <= {
        r.metric for r in records
    }
    assert len(run.samples) == 3


@pytest.mark.parametrize("protocol", ["zero_shot", "text_to_text"])
def test_verbalizers_of_each_model(small, pretrained, protocol):
    pretraining, _, folders = pretrained
    name = f"{protocol}/{pretraining.model}/1/pretrained"
    (run, records), _ = work(
        small, cell(name, "task", pretraining.model, 1, protocol, "pretrained"), folders
    )
    assert (
        len([r for r in records if r.metric == "correct"]) == run.notes.counts["test_items"] == 10
    )
    assert run.notes.details["completions"] == [" False", " True"]
    assert run.notes.truncated > 0


def test_controls_have_their_own_names(small):
    for task, models in (
        ("sorting", {"majority", "tf-idf + logistic regression"}),
        ("continuing", {"unigram", "trigram", "reference text"}),
        (
            "turning",
            {
                "answer of the nearest prompt",
                "most frequent answer",
                "copy of the prompt",
                "lead of the prompt",
            },
        ),
    ):
        (_, records), _ = work(
            small, cell(f"{task}/control", "control", task=task, condition="control")
        )
        assert {record.model for record in records} == models
        assert {record.condition for record in records} == {"control"}


def test_scratch_is_where_pretraining_starts(small):
    tiny, cache = small
    data = PreparedData.of(tiny, cache)
    work_ = CellWork(tiny, cell("x", "task", "masked", 1), None, data)
    first, second = (work_.initial_model().network for _ in range(2))
    for ours, theirs in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(ours, theirs)
