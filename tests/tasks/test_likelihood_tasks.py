"""The tasks that train nothing, on tiny networks of each objective, with the harness that
``evaluate`` gives.
"""

import json
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest
from datasets import Dataset

from lmcompare.core.errors import InputError
from lmcompare.data import SOURCES
from lmcompare.evaluation.harness import Harness
from lmcompare.language_model import LanguageModel
from lmcompare.models.network import build_network
from lmcompare.objectives import OBJECTIVES
from lmcompare.tasks.infilling import Infilling
from lmcompare.tasks.minimal_pairs import MinimalPairs
from lmcompare.tasks.nbest_rescoring import NbestRescoring

KINDS = ["causal", "masked", "seq2seq"]


@pytest.fixture(scope="module")
def harness(sentences, small, tokenizer):
    """Make the harness of one objective's network, or of a control."""
    rows = [[*tokenizer.encode(text), tokenizer.special.eos] for text in sentences[:200]]
    stream = np.concatenate(rows)
    counts = np.bincount(stream, minlength=tokenizer.size) + 1.0
    train = Dataset.from_dict({"tokens": stream[: len(stream) // 16 * 16].reshape(-1, 16).tolist()})
    documents = [{"document": f"d{n}", "text": text} for n, text in enumerate(sentences[200:230])]
    data = SimpleNamespace(
        tokenizer=tokenizer,
        corpus=SimpleNamespace(test=documents),
        sequences=SimpleNamespace(unigram=np.log(counts / counts.sum()), train=train),
    )

    def made(kind=None):
        model = None
        if kind is not None:
            objective = OBJECTIVES[kind]()
            network = build_network(small, objective.role, tokenizer.special, seed=3)
            model = LanguageModel(network, tokenizer, objective)
        return Harness(
            data, model, seed=1, context=64, pretraining_tokens=1000, progress=lambda event: None
        )

    return made


@pytest.fixture(scope="module")
def tasks(sentences, tmp_path_factory):
    folder = tmp_path_factory.mktemp("likelihood")

    def source(name, rows):
        (folder / name).write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        return SOURCES["jsonl"](path=str(folder / name))

    def reversed_words(text):
        return " ".join(reversed(text.split()))

    pairs = [
        {"good": text, "bad": reversed_words(text), "paradigm": f"p{n % 2}"}
        for n, text in enumerate(sentences[:6])
    ]
    lists = [
        {
            "id": n,
            "ref": text,
            "nbest": [
                {"text": reversed_words(text), "score": -1},
                {"text": text, "score": -2},
                {"text": "", "score": -9},
            ],
        }
        for n, text in enumerate(sentences[6:10])
    ]
    return {
        "minimal_pairs": MinimalPairs(source("pairs.jsonl", pairs)),
        "nbest_rescoring": NbestRescoring(
            source("lists.jsonl", lists), lm_weights=(0.0, 0.5), word_bonuses=(0.0, 1.0)
        ),
        "infilling": Infilling(items=6, left=4, span=2, right=4, choices=3, samples=1),
    }


def sums(found, task, metric, model=""):
    """Return a metric from its items, as the report computes it."""
    above, below = task.per_item[metric]
    values = {
        name: [o.value for o in found.outcomes if o.metric == name and o.item and o.model == model]
        for name in (above, below)
    }
    return sum(values[above]) / (sum(values[below]) if below else len(values[above]))


@pytest.mark.parametrize("name", ["minimal_pairs", "nbest_rescoring", "infilling"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_objective_takes_it(harness, tasks, kind, name):
    task = tasks[name]
    found = task.measure(harness(kind))
    whole = {o.metric: o for o in found.outcomes if not (o.item or o.part) and o.split == "test"}
    assert np.isfinite([o.value for o in found.outcomes]).all()
    assert 0 <= whole[task.primary_metric].value
    for metric in task.per_item:
        if metric in whole:
            assert whole[metric].value == pytest.approx(sums(found, task, metric))
    assert not whole[task.primary_metric].exactness
    assert ("bits_per_byte" in whole) is (name == "infilling" and kind != "causal")
    assert found.notes.procedure
    json.dumps(asdict(found.notes))


@pytest.mark.parametrize("name", ["minimal_pairs", "nbest_rescoring", "infilling"])
def test_controls_are_measured_on_the_same_items(harness, tasks, name):
    task = tasks[name]
    found, control = task.measure(harness("causal")), task.control(harness())
    assert found.fingerprint == control.fingerprint
    primary, _ = task.per_item[task.primary_metric]
    items = {o.item for o in found.outcomes if o.metric == primary and o.item}
    for arm in {o.model for o in control.outcomes}:
        assert {
            o.item for o in control.outcomes if o.metric == primary and o.item and o.model == arm
        } == items
        (whole,) = (
            o.value
            for o in control.outcomes
            if o.metric == task.primary_metric and not (o.item or o.part) and o.model == arm
        )
        assert whole == pytest.approx(sums(control, task, task.primary_metric, arm))


def test_an_untrained_network_is_near_chance(harness):
    task = Infilling(items=30, left=2, span=2, right=2, choices=2, samples=0)
    accuracies = [
        o.value
        for kind in KINDS
        for o in task.measure(harness(kind)).outcomes
        if o.metric == "choice_accuracy"
    ]
    assert 0.3 < np.mean(accuracies) < 0.7


def test_they_are_declared_in_yaml(make, tmp_path):
    (tmp_path / "rows.jsonl").write_text("{}\n")
    source = {"kind": "jsonl", "path": str(tmp_path / "rows.jsonl")}
    made = make(
        tasks={
            "grammar": {
                "kind": "minimal_pairs",
                "source": source,
                "items": None,
                "field": "linguistics_term",
            },
            "speech": {
                "kind": "nbest_rescoring",
                "source": source,
                "lm_weights": [0, 0.5],
                "word_bonuses": [-1, 0, 1.5],
            },
            "gaps": "infilling",
        }
    ).tasks
    assert (made["grammar"].items, made["grammar"].field) == (None, "linguistics_term")
    assert made["speech"].lm_weights == (0.0, 0.5) and made["speech"].word_bonuses == (
        -1.0,
        0.0,
        1.5,
    )
    assert made["gaps"] == Infilling()
    with pytest.raises(InputError) as caught:
        make(
            tasks={
                "speech": {
                    "kind": "nbest_rescoring",
                    "source": source,
                    "lm_weights": [],
                    "word_bonuses": [float("inf")],
                }
            }
        )
    assert "tasks.speech.lm_weights: wanted" in str(
        caught.value
    ) and "tasks.speech.word_bonuses.0: wanted" in str(caught.value)
