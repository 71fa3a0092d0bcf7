import pytest

from lmcompare.report import rendering
from lmcompare.report.analysis import TaskAnalysis
from lmcompare.report.results import Results
from lmcompare.report.sections import overfitting


def test_curves_are_drawn_where_a_text_was_read_twice(
    rich: tuple[Results, list[TaskAnalysis]], plain: tuple[Results, list[TaskAnalysis]]
) -> None:
    (section,) = overfitting.sections(*rich)
    assert section.facts["figure"] is not None
    frame = overfitting.paired(rich[0])
    assert frame["epochs"].max() == pytest.approx(3 * 0.998, abs=0.05)
    last = frame[(frame["model"] == "causal") & (frame["seed"] == 1)].tail(3)
    assert section.facts["table"].frame["gap"][0] == pytest.approx(last["gap"].mean())
    (once,) = overfitting.sections(*plain)
    assert once.facts["figure"] is None
    assert "No text was read twice (0.14 epochs at most)" in rendering.section(once)


def test_no_curves_no_section(plain: tuple[Results, list[TaskAnalysis]]) -> None:
    results, analyses = plain
    runs = [run for run in results.runs if not run.curve]
    bare = Results(results.settings, runs, results.records)
    assert overfitting.sections(bare, analyses) == []
