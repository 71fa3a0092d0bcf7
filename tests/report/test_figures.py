import struct
from pathlib import Path

import pandas as pd
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
    assert size(figures.learning(rows) or b"")[0] == size(figures.below_unigram(rows) or b"")[0] == 1536


def test_curves_hold_every_point_and_its_distance_from_unigram(rows: Rows) -> None:
    frame = figures.curves(rows)
    points = sum(len(run.curve) for arm in rows.arms for run in rows.pretraining(arm))
    assert len(frame) == points > 0
    assert (frame["minus_unigram"] == frame["text_loss"] - frame["unigram"]).all()
    spans = frame[(frame["arm"] == "seq2seq") & (frame["split"] == "validation")]
    assert (spans["text_loss"] == spans["loss"] + 1).all(), (
        "sentinels are easy, and the unigram model is not asked for them"
    )


def test_no_curves_no_figure(rows: Rows) -> None:
    bare = Rows(rows.settings, [run for run in rows.runs if not run.curve], rows.records)
    assert figures.learning(bare) is None and figures.below_unigram(bare) is None


def test_a_network_above_the_unigram_loss_is_still_seen() -> None:
    low, high = figures._window(pd.Series([1.0, 0.9, 0.8, 0.7]))
    assert low < -figures.GATE and high > 1.0
    low, high = figures._window(pd.Series([2.5, 0.0, -0.5, -0.7, -0.8]))
    assert low < -0.8 and 0 < high < 0.5, "the first steps do not flatten the rest"
