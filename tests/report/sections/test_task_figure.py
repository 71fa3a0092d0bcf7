import struct
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from lmcompare.report import plots
from lmcompare.report.analysis import analyze
from lmcompare.report.results import Results, read
from lmcompare.report.sections import task_figure as figures


@pytest.fixture
def rows(finished: Path) -> Results:
    return read(finished)


def size(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def test_differences_that_are_all_nothing_have_an_axis_of_plain_numbers(rows: Results) -> None:
    found = analyze(rows, rows.tasks[0])
    dust = replace(found.comparisons[0].difference, value=0.0, low=-5e-17, high=0.0)
    leads = [replace(lead, difference=dust) for lead in found.comparisons]
    axes = Figure().subplots()
    analysis = replace(found, comparisons=leads, gains=[])
    figures._differences(axes, analysis, plots.looks(rows.models), crowded=False)
    assert axes.get_xlim()[1] > 1e-4


def test_figures_are_as_wide_as_a_page_and_always_the_same(rows: Results) -> None:
    for task in rows.tasks:
        drawn = figures.draw(analyze(rows, task), rows.models)
        assert size(drawn)[0] == 1536 and size(drawn)[1] < 1600
        assert drawn == figures.draw(analyze(rows, task), rows.models)


def test_a_bound_is_not_the_best_control(rows: Results) -> None:
    found = analyze(rows, rows.tasks[0])
    controls = [one for one in found.measured.values() if one.condition == "control"]
    perfect = replace(
        controls[0], model="oracle", estimate=replace(controls[0].estimate, value=1.0)
    )
    axes = Figure().subplots()
    measured = found.measured | {("oracle", "control"): perfect}
    analysis = replace(found, measured=measured)
    figures._values(axes, analysis, [*controls, perfect], plots.looks(rows.models))
    dotted = [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == ":"]
    assert dotted == [100 * max(one.estimate.value for one in controls)]


def test_the_figure_of_all_tasks_fills_the_marks_that_differ_significantly(rows: Results) -> None:
    analyses = [analyze(rows, task) for task in rows.tasks]
    drawn = figures.overview(analyses, rows.models)
    assert drawn is not None and size(drawn)[0] == 1536
    assert figures.overview([], rows.models) is None
    axes = Figure().subplots()
    figures._panel(axes, analyses[1], plots.looks(rows.models))
    faces = [line.get_markerfacecolor() for line in axes.lines if line.get_marker() in "os^"]
    filled = [face != "white" for face in faces]
    best = max(analyses[1].of("pretrained"), key=lambda one: -one.estimate.value).model
    significant = {
        m
        for one in analyses[1].comparisons
        if one.significant and best in (one.first, one.second)
        for m in (one.first, one.second)
    }
    assert filled == [model in significant | {best} for model in reversed(rows.models)]
