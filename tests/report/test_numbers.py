"""Each number of a report can be traced: from what is printed to a CSV file, from there to the rows
of the run.
"""

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lmcompare.core.records import read_records
from lmcompare.report import write
from lmcompare.report.analysis import analyze
from lmcompare.report.page import Page
from lmcompare.report.results import Results, read
from tests.report.tracing import cells, printed, untraced

COMMITTED = Path(__file__).parents[2] / "results" / "sentiment"
TEXTS = {"environment", "fingerprints"}
"""Tables of words, not of numbers."""


def test_what_is_printed_is_read_as_it_is_meant() -> None:
    assert [
        one.value for one in printed("6.68 TFLOPs · −0.3 [1,024, 2e-05]; 999 k; 79.2 s")
    ] == pytest.approx([6.68e12, -0.3, 1024, 2e-5, 999e3, 79.2])
    assert [one.slack for one in printed("0.30, 12 k")] == pytest.approx([0.005, 500], rel=1e-3)


def check(folder: Path, page: Page) -> int:
    """Trace every table of a report to its CSV file, and return how many numbers there were."""
    text = "\n\n".join(
        (folder / name).read_text(encoding="utf-8") for name in ("report.md", "details.md")
    )
    blocks = {block.strip() for block in re.split(r"\n\n+", text) if block.startswith("| ")}
    known = {table.markdown: name for name, table in page.tables.items()}
    strangers = [
        block
        for block in blocks
        if block not in known and not block.startswith("| model | generation |")
    ]
    assert not strangers, "each table but the samples has a CSV file"
    lost, seen = [], 0
    for markdown in sorted(blocks & known.keys()):
        name = known[markdown]
        frame = pd.read_csv(folder / "tables" / f"{name}.csv")
        if name not in TEXTS:
            more, count = untraced(name, markdown, frame)
            lost, seen = lost + more, seen + count
    assert not lost
    return seen


def test_every_number_of_every_table_is_in_its_csv_file(finished: Path) -> None:
    rows = read(finished)
    assert check(finished, Page(rows, [analyze(rows, task) for task in rows.tasks])) > 300


def test_a_number_that_is_not_in_the_csv_file_is_found(finished: Path) -> None:
    rows = read(finished)
    page = Page(rows, [analyze(rows, task) for task in rows.tasks])
    for name, column in (
        ("results-sentiment", 2),
        ("differences-continuation", 1),
        ("metrics-sentiment", 3),
    ):
        markdown = page.tables[name].markdown
        frame = pd.read_csv(finished / "tables" / f"{name}.csv")
        assert untraced(name, markdown, frame)[0] == []
        cell = cells(markdown)[1][column]
        first = next(printed(cell)).text
        changed = cell.replace(first, first[:-1] + str((int(first[-1]) + 3) % 10), 1)
        assert len(untraced(name, markdown.replace(cell, changed, 1), frame)[0]) == 1, name


def test_the_first_page_says_what_the_tables_say(finished: Path) -> None:
    report, details = (
        (finished / name).read_text(encoding="utf-8") for name in ("report.md", "details.md")
    )
    sections = report[report.index("## sentiment") : report.index("## What was compared")]
    rows = [
        cell for line in details.splitlines() if line.startswith("| ") for cell in line.split(" | ")
    ]
    tables = [number for cell in rows for number in printed(cell)]
    numbers = [
        number
        for line in sections.splitlines()
        if line.startswith(("- ", "**"))
        for number in printed(line)
        if "." in number.text
    ]
    assert len(numbers) > 20
    for number in numbers:
        assert any(
            abs(abs(number.value) - abs(other.value)) <= max(number.slack, other.slack)
            for other in tables
        ), number.text


def by_hand(
    rows: Results, folder: Path, task: str, metric: str, seeds: bool = True
) -> pd.DataFrame:
    """Return the primary metric by condition, model (or control) and seed (or of all seeds
    together), by plain pandas.
    """
    above, below = rows.records_of(task, metric)
    frame = read_records(folder / "records.parquet")
    frame = frame[(frame["task"] == task) & (frame["item"] != "") & (frame["split"] == "test")]
    by = ["condition", "model", "seed"] if seeds else ["condition", "model"]
    wide = frame.pivot_table(index=by, columns="metric", values="value", aggfunc="sum")
    counts = frame[frame["metric"] == above].groupby(by).size()
    return wide[above] / (wide[below] if below else counts)


@pytest.mark.parametrize("folder", [None, COMMITTED], ids=["drawn", "committed"])
def test_values_differences_gains_and_controls_are_recomputed_from_the_rows(
    folder: Path | None, finished: Path
) -> None:
    folder = folder or finished
    rows = read(folder)
    for task in rows.tasks:
        ratio = by_hand(rows, folder, task.name, task.primary)
        # The ratio of the sums over seeds: of items of one length, their mean.
        mean = by_hand(rows, folder, task.name, task.primary, seeds=False)
        sign = 1 if task.better == "higher" else -1
        table = pd.read_csv(folder / "tables" / f"results-{task.name}.csv")
        for row in table.itertuples():
            seed = row.value_of_seed
            assert seed == pytest.approx(ratio[row.condition, row.model, row.seed], rel=1e-12)
            assert row.value == pytest.approx(mean[row.condition, row.model], rel=1e-9)
            assert row.low <= row.value <= row.high
        models = [model for model in rows.models if ("pretrained", model) in mean.index]
        pairs = pd.read_csv(folder / "tables" / f"differences-{task.name}.csv")
        assert {frozenset(pair) for pair in zip(pairs["first"], pairs["second"], strict=True)} == {
            frozenset(pair) for pair in combinations(models, 2)
        }
        for name, here, there in (
            ("differences", "pretrained", "pretrained"),
            ("controls", "pretrained", "control"),
        ):
            for row in pd.read_csv(folder / "tables" / f"{name}-{task.name}.csv").itertuples():
                apart = sign * (mean[here, row.first] - mean[there, row.second])
                assert row.difference == pytest.approx(apart, abs=1e-9)
        if "scratch" in task.conditions:
            for row in pd.read_csv(folder / "tables" / f"gains-{task.name}.csv").itertuples():
                apart = sign * (mean["pretrained", row.first] - mean["scratch", row.first])
                assert row.difference == pytest.approx(apart, abs=1e-9)


def test_learning_numbers_are_those_of_the_runs(finished: Path) -> None:
    rows = read(finished)
    gate = pd.read_csv(finished / "tables" / "convergence.csv").set_index(["model", "seed"])
    records = rows.records[rows.records["task"] == "pretraining"].set_index(
        ["model", "seed", "metric"]
    )["value"]
    for (model, seed), row in gate.iterrows():
        assert row["loss"] == pytest.approx(records[model, seed, "loss"])
        assert row["margin"] == pytest.approx(
            records[model, seed, "unigram_loss"] - records[model, seed, "loss"]
        )


def test_no_interval_goes_beyond_what_there_can_be(synthetic: type, tmp_path: Path) -> None:
    made = synthetic(items=12)
    rng = np.random.default_rng(3)
    made.records = [r for r in made.records if r.metric != "correct" or r.condition == "control"]
    for model, shares in (("causal", (0.95, 0.2)), ("masked", (0.1, 0.9)), ("seq2seq", (0.5, 0.4))):
        for seed, share in zip((1, 2), shares, strict=True):
            for condition in ("pretrained", "scratch"):
                right = (rng.uniform(size=12) < share).astype(float)
                made.record(model, seed, "sentiment", condition, "correct", right)
    folder = tmp_path / "wild"
    write(made.write(folder))
    cut = 0
    for name, largest_difference in (
        ("differences", 1),
        ("gains", 1),
        ("controls", 1),
        ("gain-differences", 2),
    ):
        frame = pd.read_csv(folder / "tables" / f"{name}-sentiment.csv")
        assert (frame["low"] >= -largest_difference).all() and (
            frame["high"] <= largest_difference
        ).all(), name
        cut += int(
            (frame["low"] == -largest_difference).sum()
            + (frame["high"] == largest_difference).sum()
        )
    assert cut > 2, "two seeds that differ make intervals wider than the scale"
    assert cells((folder / "details.md").read_text(encoding="utf-8"))
