from dataclasses import replace
from pathlib import Path

import pytest

from lmcompare.core.records import Convergence
from lmcompare.report.results import Results, read
from lmcompare.report.sections.costs import (
    convergence,
    counts,
    differs,
    environment,
    fingerprints,
    flattened,
    ratio,
)
from lmcompare.report.sections.task_tables import trials


@pytest.fixture
def rows(finished: Path) -> Results:
    return read(finished)


def test_five_percent() -> None:
    assert (
        not differs([100.0, 104.9]) and differs([100.0, 106.0]) and not differs([float("nan"), 1.0])
    )
    assert ratio([2.0, 3.0]) == 1.5


def test_counts_are_listed_whatever_their_nesting(rows: Results) -> None:
    assert flattened({"train": {"documents": 3}, "empty": 0}) == {"train: documents": 3, "empty": 0}
    table = counts(rows)
    assert table is not None
    assert ["corpus", "documents: duplicates removed", "96"] in table.frame.values.tolist()
    assert ["sentiment", "truncated (masked)", "3"] in table.frame.values.tolist()


def test_cells_of_different_machines_are_both_named(rows: Results) -> None:
    runs = [
        replace(run, machine={"device": "cuda"}) if run.cell == "pretrain/masked/2" else run
        for run in rows.runs
    ]
    table = environment(replace(rows, runs=runs))
    assert table is not None and sorted(
        dict(table.frame.values.tolist())["device"].split("; ")
    ) == ["cpu", "cuda"]


def test_fingerprints_come_in_the_order_of_the_pipeline(rows: Results) -> None:
    table = fingerprints(rows)
    assert table is not None and table.frame["step"].tolist() == [
        "source",
        "corpus",
        "vocabulary",
        "blocks",
    ]


def test_every_pretraining_has_its_convergence_check(rows: Results) -> None:
    table = convergence(rows)
    assert table is not None and table.frame["passed"].tolist() == [True] * 6
    failed = Convergence(6.7, 6.8, 0.3)
    runs = [
        replace(run, notes=replace(run.notes, convergence=failed)) if run.notes.convergence else run
        for run in rows.runs
    ]
    table = convergence(replace(rows, runs=runs))
    assert table is not None and table.markdown.splitlines()[2] == (
        "| `causal` | 1 | 6.700 | 6.800 | 0.100 | **failed** |"
    )


def test_the_chosen_trial_is_marked(rows: Results) -> None:
    table = trials(rows, "sentiment")
    assert table is not None and len(table.frame) == 3 * 2 * 2 * 2
    marks = [line.split(" | ")[-1].strip(" |") for line in table.markdown.splitlines()[2:]]
    assert marks == ["", "**chosen**"] * 12
    assert trials(rows, "continuation") is None
