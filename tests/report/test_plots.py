import struct

import pytest
from matplotlib.lines import Line2D

from lmcompare.report import plots


def size(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


LONG = "a name that is as long as this line of text, and longer than half a page of letters"
MATCHED = ["causal", "masked (chain)", "seq2seq at equal parameters", "seq2seq at equal flops"]
WIDTHS = [f"{kind} width {n}" for kind in ("causal", "masked (chain)") for n in (32, 64, 128)]


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        (["causal", "masked", "seq2seq", "one seed"], 4),
        ([*MATCHED, "mixed"], 5),
        ([*WIDTHS, *(f"seq2seq width {n}" for n in (32, 64, 128))], 4),
        ([LONG] * 3, 1),
    ],
)
def test_a_legend_is_no_wider_than_the_page(names: list[str], columns: int) -> None:
    keys = [Line2D([], [], label=name) for name in names]
    assert plots.legend_columns(keys) == columns
    with plots.page() as page:
        page.png(*keys)
        (legend,) = page.figure.legends
        assert legend.get_window_extent().x1 <= page.figure.bbox.x1


def draw() -> bytes:
    with plots.page(4, columns=3, height=2.75, share="y") as page:
        for axes, (name, look) in zip(page.panels, plots.looks("abcd").items(), strict=True):
            plots.line(axes, look, [1, 2], [3, 4], name)
            plots.seed_points(axes, look, [1, 2], [3, 5])
            plots.intervals(axes, look, [1, 2], [2, 3], [4, 5])
        return page.png(plots.seed_key())


def test_the_same_data_give_the_same_bytes_as_wide_as_a_page() -> None:
    assert draw() == draw() and size(draw()) == (1536, 880)


def test_a_model_has_one_look_in_all_figures() -> None:
    models = [f"model {n}" for n in range(plots.MAX_MODELS)]
    looks = plots.looks(models)
    assert len({(look.color, look.marker) for look in looks.values()}) == plots.MAX_MODELS


def test_a_label_that_several_panels_share_stands_once_in_the_legend() -> None:
    with plots.page(2, columns=2) as page:
        for axes in page.panels:
            plots.points(axes, plots.Look(), [1], [1], "causal")
        page.png(plots.key("unigram"))
        (legend,) = page.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["causal", "unigram"]
