"""What was to be equal, set beside what was counted."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lmcompare.report.page import Page
from lmcompare.report.results import Results, read
from lmcompare.report.sections import matching as matchings

MATCH: dict[str, Any] = {
    "by": ["tokens", "flops", "flops_per_token"],
    "reference": "causal",
    "solved": {
        "masked": {"by": ["tokens", "flops"], "reference": "causal"},
        "seq2seq": {"by": ["flops_per_token"], "reference": "causal"},
    },
}


@pytest.fixture
def unmatched(synthetic: Any, tmp_path: Path) -> Results:
    return read(synthetic(items=4).write(tmp_path / "sentiment"))


@pytest.fixture
def rows(unmatched: Results) -> Results:
    return replace(unmatched, settings={**unmatched.settings, "match": MATCH})


def test_each_matched_model_stands_beside_its_reference(rows: Results) -> None:
    table = matchings.table(rows)
    assert table is not None
    assert [[row[0], row[1], row[-1]] for row in table.rows] == [
        ["`masked`", "corpus tokens read", "1.000 ×"],
        ["`masked`", "training FLOPs", "0.993 ×"],
        ["`seq2seq`", "training FLOPs per corpus token", "**missed: 1.169 ×**"],
    ]
    assert table.numbers["wanted"].tolist() == [999_424.0, 7.1e12, 7.1e12 / 999_424]


def test_an_model_that_has_not_finished_has_no_number(rows: Results) -> None:
    table = matchings.table(replace(rows, runs=[run for run in rows.runs if run.model != "masked"]))
    assert table is not None and table.rows[0][3:] == ["–", "–", "–"] and len(table.numbers) == 1


def test_without_a_matching_the_report_says_what_it_said(unmatched: Results) -> None:
    assert (
        matchings.table(unmatched) is None
        and matchings.rule(unmatched) == "gives each model the same corpus tokens"
    )
    assert (
        matchings.table(replace(unmatched, settings={**unmatched.settings, "match": None})) is None
    )


def test_the_report_says_what_was_to_be_equal(rows: Results, unmatched: Results) -> None:
    page = Page(rows, [])
    text = page.markdown()
    assert (
        "What was to be equal, as counted while training:\n\n| model | was matched in | to |"
        in text
    )
    said = "makes models equal in corpus tokens read, training FLOPs and training FLOPs per corpus token"
    assert f"This run {said}; the models differ in " in text
    assert "tables/matching.csv" in page.files()
    assert "What was to be equal" not in Page(unmatched, []).markdown()
