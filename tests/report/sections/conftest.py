"""Analyzed results for the tests of sections."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lmcompare.report.analysis import TaskAnalysis, analyze
from lmcompare.report.results import Results, read

Maker = Callable[..., Any]
Analyzed = tuple[Results, list[TaskAnalysis]]
MODELS = ("causal", "masked", "seq2seq")


@pytest.fixture(scope="module")
def plain(finished: Path) -> Analyzed:
    results = read(finished)
    return results, [analyze(results, task) for task in results.tasks]


@pytest.fixture
def rich(synthetic: Maker, tmp_path: Path) -> tuple[Results, list[TaskAnalysis]]:
    """Rows of every kind, on a corpus that was read three times."""
    made = synthetic(items=40)
    correct = {
        (r.model, r.seed, r.condition, r.item): r.value
        for r in made.records
        if r.metric == "correct" and r.condition != "control"
    }
    for (model, seed, condition, item), right in correct.items():
        sure = 0.95 if right else 0.62
        record = replace(
            made.records[0],
            model=model,
            seed=seed,
            task="sentiment",
            condition=condition,
            split="test",
        )
        made.records.append(
            replace(record, item=item, metric="confidence", value=sure, exactness="")
        )
    for place, model in enumerate(MODELS):
        for seed in made.seeds:
            for number, part in enumerate(("1-4", "5-16", "17-32")):
                exactness = "pseudo" if model == "masked" else "exact"
                value = 8.0 + place - number + 0.1 * seed
                made.record(
                    model,
                    seed,
                    "continuation",
                    "pretrained",
                    "bits_per_token",
                    value,
                    exactness,
                    part=f"position/{part}",
                )
            for tokens in (8, 64):
                for metric, factor in (("latency_p50", 1.0), ("latency_p95", 1.5)):
                    value = 0.001 * tokens * factor * (1 + place) + 0.0002 * seed
                    made.record(
                        model,
                        seed,
                        "continuation",
                        "pretrained",
                        metric,
                        value,
                        part=f"tokens/{tokens}",
                    )
    made.runs = [
        replace(run, costs={**run.costs, "epochs": 3.0}) if run.task == "pretraining" else run
        for run in made.runs
    ]
    rows = read(made.write(tmp_path / "rich"))
    return rows, [analyze(rows, task) for task in rows.tasks]
