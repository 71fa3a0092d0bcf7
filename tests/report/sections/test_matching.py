from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lmcompare.report import rendering
from lmcompare.report.results import Results, read
from lmcompare.report.sections import matching

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
    (section,) = matching.sections(rows, [])
    text = rendering.section(section)
    for line in (
        "| `masked` | corpus tokens read | `causal` | 999 k | 999 k | 1.000 × |",
        "| `masked` | training FLOPs | `causal` | 7.05 T | 7.10 T | 0.993 × |",
        "| `seq2seq` | training FLOPs per corpus token | `causal` | 8.30 M | 7.10 M |",
    ):
        assert line in text
    assert "**missed: 1.169 ×**" in text and text.count("missed") == 1
    numbers = section.facts["table"].numbers
    assert numbers["reference_value"].tolist() == [999_424.0, 7.1e12, 7.1e12 / 999_424]
    assert matching.matched_costs(rows) == [
        "corpus tokens read",
        "training FLOPs",
        "training FLOPs per corpus token",
    ]


def test_a_model_that_has_not_finished_has_no_number(rows: Results) -> None:
    runs = [run for run in rows.runs if run.model != "masked"]
    (section,) = matching.sections(replace(rows, runs=runs), [])
    assert "| `masked` | corpus tokens read | `causal` | – |" in rendering.section(section)
    assert len(section.facts["table"].numbers) == 1


def test_without_matching_there_is_no_section(unmatched: Results) -> None:
    none = replace(unmatched, settings={**unmatched.settings, "match": None})
    assert matching.sections(unmatched, []) == matching.sections(none, []) == []
    assert matching.matched_costs(unmatched) == []
