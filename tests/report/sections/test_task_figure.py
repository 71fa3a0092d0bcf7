import struct
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

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


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["causal", "masked", "seq2seq", "one seed"], 4),
        (
            [
                "causal",
                "masked (chain)",
                "seq2seq at equal parameters",
                "seq2seq at equal flops",
                "mixed",
            ],
            5,
        ),
        (
            [
                f"{kind} width {n}"
                for kind in ("causal", "masked (chain)", "seq2seq")
                for n in (32, 64, 128)
            ],
            4,
        ),
        (
            ["a name that is as long as this line of text, and longer than half a page of letters"]
            * 3,
            1,
        ),
    ],
)
def test_a_legend_is_no_wider_than_the_page(names: list[str], wanted: int) -> None:
    keys = [Line2D([], [], label=name) for name in names]
    assert figures.legend_columns(keys) == wanted
    figure = Figure(figsize=(9.6, 3.6), layout="constrained")
    figure.subplots()
    with mpl.rc_context(figures.STYLE):
        legend = figure.legend(
            keys, names, loc="outside lower left", ncols=wanted, handlelength=3, columnspacing=1.8
        )
    figure.draw_without_rendering()
    assert legend.get_window_extent().x1 <= figure.bbox.x1


def test_differences_that_are_all_nothing_have_an_axis_of_plain_numbers(rows: Results) -> None:
    found = analyze(rows, rows.tasks[0])
    dust = replace(found.comparisons[0].difference, value=0.0, low=-5e-17, high=0.0)
    leads = [replace(lead, difference=dust) for lead in found.comparisons]
    axes = Figure().subplots()
    figures._differences(axes, replace(found, leads=leads, gains=[]), rows.models)
    assert axes.get_xlim()[1] > 1e-4


def test_figures_are_as_wide_as_a_page_and_always_the_same(rows: Results) -> None:
    for task in rows.tasks:
        drawn = figures.task(analyze(rows, task), rows.models)
        assert size(drawn)[0] == 1536 and size(drawn)[1] < 1600
        assert drawn == figures.task(analyze(rows, task), rows.models)


def test_a_bound_is_not_the_best_control(rows: Results) -> None:
    found = analyze(rows, rows.tasks[0])
    controls = [one for one in found.measured.values() if one.condition == "control"]
    perfect = replace(
        controls[0], model="oracle", estimate=replace(controls[0].estimate, value=1.0)
    )
    axes = Figure().subplots()
    figures._values(axes, found, [*controls, perfect], rows.models)
    dotted = [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == ":"]
    assert dotted == [100 * max(one.estimate.value for one in controls)]
