"""What was to be equal, set beside what was counted."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lmcompare.report import matchings, write
from lmcompare.report.rows import Rows, read

MATCH: dict[str, Any] = {
    "by": ["tokens", "flops", "flops_per_token"],
    "reference": "causal",
    "solved": {
        "masked": {"by": ["tokens", "flops"], "reference": "causal"},
        "seq2seq": {"by": ["flops_per_token"], "reference": "causal"},
    },
}


@pytest.fixture
def rows(finished: Path) -> Rows:
    found = read(finished)
    return replace(found, settings={**found.settings, "match": MATCH})


def test_each_matched_arm_stands_beside_its_reference(rows: Rows) -> None:
    table = matchings.table(rows)
    assert table is not None
    assert [[row[0], row[1], row[-1]] for row in table.rows] == [
        ["`masked`", "corpus tokens read", "1.000 ×"],
        ["`masked`", "training FLOPs", "0.993 ×"],
        ["`seq2seq`", "training FLOPs per corpus token", "**missed: 1.169 ×**"],
    ]
    assert table.numbers["wanted"].tolist() == [999_424.0, 7.1e12, 7.1e12 / 999_424]


def test_an_arm_that_has_not_finished_has_no_number(rows: Rows) -> None:
    table = matchings.table(replace(rows, runs=[run for run in rows.runs if run.arm != "masked"]))
    assert table is not None and table.rows[0][3:] == ["–", "–", "–"] and len(table.numbers) == 1


def test_without_a_matching_the_report_says_what_it_said(finished: Path) -> None:
    rows = read(finished)
    assert matchings.table(rows) is None and matchings.rule(rows) == "gives each arm the same corpus tokens"
    assert matchings.table(replace(rows, settings={**rows.settings, "match": None})) is None


def test_the_report_says_what_was_to_be_equal(synthetic: Any, tmp_path: Path) -> None:
    made = synthetic()
    made.settings["match"] = MATCH
    text = write(made.write(tmp_path / "sentiment")).read_text()
    assert "What was to be equal, as counted while training:\n\n| arm | was matched in | to |" in text
    assert (
        "This run makes arms equal in corpus tokens read, training FLOPs and training FLOPs per corpus token; they "
        "differ in "
    ) in text
    assert (tmp_path / "sentiment" / "tables" / "matching.csv").is_file()
