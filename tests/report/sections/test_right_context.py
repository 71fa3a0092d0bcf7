from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lmcompare.report import rendering
from lmcompare.report.analysis import analyze
from lmcompare.report.results import read
from lmcompare.report.sections import hypothesis_cards, right_context


def test_the_worth_of_the_right_context(synthetic: Callable[..., Any], tmp_path: Path) -> None:
    made = synthetic(items=40)
    for run in made.runs:
        if run.task == "continuation":
            run.notes.task.per_item["bits_per_byte_left"] = ("bits_left", "bytes")
    size = {r.item: r.value for r in made.records if r.metric == "bytes"}
    for record in [
        r
        for r in made.records
        if r.metric == "bits" and r.model in ("masked", "seq2seq") and r.seed
    ]:
        more = 0.25 * size[record.item] if record.model == "masked" else 0.0
        made.records.append(replace(record, metric="bits_left", value=record.value + more))
    claim = {"claim": "It helps.", "task": "continuation", "reference": "causal"}
    models = ("masked", "causal")
    made.settings["hypotheses"] = {model: {**claim, "model": model} for model in models}
    results = read(made.write(tmp_path / "spans"))
    analyses = [analyze(results, task) for task in results.tasks]

    (section,) = right_context.sections(results, analyses)
    assert section.task == "continuation"
    worth = section.facts["table"].numbers.set_index("model")["worth"]
    assert worth.to_dict() == pytest.approx({"masked": 0.25, "seq2seq": 0.0})
    _, cards = hypothesis_cards.sections(results, analyses)
    assert rendering.section(cards).count("**Right context:** worth +0.250") == 1
