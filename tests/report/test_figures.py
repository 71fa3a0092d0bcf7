import struct
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from lmcompare.report import figures
from lmcompare.report.findings import find
from lmcompare.report.rows import Rows, read


@pytest.fixture
def rows(finished: Path) -> Rows:
    return read(finished)


def size(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def test_differences_that_are_all_nothing_have_an_axis_of_plain_numbers(rows: Rows) -> None:
    found = find(rows, rows.tasks[0])
    dust = replace(found.leads[0].difference, value=0.0, low=-5e-17, high=0.0)
    leads = [replace(lead, difference=dust) for lead in found.leads]
    axes = Figure().subplots()
    figures._differences(axes, replace(found, leads=leads, gains=[]), rows.arms)
    assert axes.get_xlim()[1] > 1e-4


def test_figures_are_as_wide_as_a_page_and_always_the_same(rows: Rows) -> None:
    for task in rows.tasks:
        drawn = figures.task(find(rows, task), rows.arms)
        assert size(drawn)[0] == 1536 and size(drawn)[1] < 1600
        assert drawn == figures.task(find(rows, task), rows.arms)


def test_a_bound_is_not_the_best_control(rows: Rows) -> None:
    found = find(rows, rows.tasks[0])
    controls = [one for one in found.measured.values() if one.condition == "control"]
    perfect = replace(controls[0], arm="oracle", estimate=replace(controls[0].estimate, value=1.0))
    axes = Figure().subplots()
    figures._values(axes, found, [*controls, perfect], rows.arms)
    dotted = [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == ":"]
    assert dotted == [100 * max(one.estimate.value for one in controls)]
