import struct
from pathlib import Path

import pytest

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


def test_figures_are_as_wide_as_a_page_and_always_the_same(rows: Rows) -> None:
    for task in rows.tasks:
        drawn = figures.task(find(rows, task), rows.arms)
        assert size(drawn)[0] == 1536 and size(drawn)[1] < 1600
        assert drawn == figures.task(find(rows, task), rows.arms)
