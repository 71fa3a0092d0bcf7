"""Lines, points and intervals in one look for every figure; PNG bytes depend on the data alone."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator
from numpy.typing import ArrayLike

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
"""Okabe and Ito (2008), 'Color Universal Design', without the yellow that a white page swallows."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
DASHES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (6, 2, 1.5, 2)), (0, (2, 1.5)))
GRAY, PALE = "#595959", "#D9D9D9"
MAX_MODELS = 9
"""More models than this have no panel and no color of their own."""

_WIDTH, _DPI = 9.6, 160  # inches, dots per inch
_LEGEND_LETTERS = 130  # letters of a legend that fit on a line as wide as the page
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GRAY,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E5E5E5",
    "grid.linewidth": 0.8,
    "xtick.color": "#333333",
    "ytick.color": "#333333",
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "path.simplify": False,
}


@dataclass(frozen=True)
class Look:
    """How one model is drawn, in every figure."""

    color: str = GRAY
    marker: str = "o"
    dashes: Any = "-"


def looks(names: Sequence[str]) -> dict[str, Look]:
    """Return the look of each model (or objective, or series), by its place among ``names``."""
    return {
        name: Look(COLORS[i % len(COLORS)], MARKERS[i % len(MARKERS)], DASHES[i % len(DASHES)])
        for i, name in enumerate(names)
    }


@dataclass(frozen=True)
class Page:
    """A figure that is being drawn."""

    figure: Figure
    panels: list[Axes]
    """Those that are seen, row by row."""
    first_column: list[Axes]
    shape: tuple[int, int]
    """Rows and columns of panels."""
    share: str
    """The axes that panels share, as in ``page``."""

    def png(self, *keys: Artist, collect: bool = True) -> bytes:
        """Return the figure with one legend below it, without a date or a version in the bytes.

        The legend holds what is labeled in the panels (``collect``), each label once, and ``keys``.
        """
        handles: dict[str, Artist] = {}
        for axes in self.panels if collect else ():
            handles |= {str(h.get_label()): h for h in axes.get_legend_handles_labels()[0]}
        shown = [*handles.values(), *keys]
        columns = legend_columns(shown) if shown else 1
        engine = self.figure.get_layout_engine()
        if shown:
            self.figure.legend(
                handles=shown,
                loc="outside lower left" if engine else "lower left",
                ncols=columns,
                handlelength=3,
                columnspacing=1.8,
                borderaxespad=0.2,
            )
        canvas = FigureCanvasAgg(self.figure)
        if engine:
            engine.execute(self.figure)
            self.figure.set_layout_engine("none")
        else:
            self._set_margins(legend_lines=-(-len(shown) // columns))
        content = io.BytesIO()
        canvas.print_png(content, metadata={"Software": None})  # type: ignore[no-untyped-call]
        return content.getvalue()

    def _set_margins(self, legend_lines: int) -> None:
        """Make room around the panels, in inches, for titles, ticks and labels of the usual size.

        Measuring every label, as a layout engine does, takes longer than drawing.
        """
        width, height = self.figure.get_size_inches()
        rows, columns = self.shape
        title = 0.28 if any(axes.get_title("left") for axes in self.panels) else 0.1
        ylabel_lines = max(axes.get_ylabel().count("\n") + 1 for axes in self.first_column)
        inner_labels = any(a.get_ylabel() for a in self.panels if a not in self.first_column)
        left, right = 0.62 + 0.2 * ylabel_lines, 0.12
        bottom = 0.5 + 0.19 * legend_lines
        gap_x = 0.15 if self.share in ("y", "both") else 0.5 + 0.22 * inner_labels
        gap_y = title + (0.1 if self.share in ("x", "both") else 0.48)
        panel_width = (width - left - right - gap_x * (columns - 1)) / columns
        panel_height = (height - title - bottom - gap_y * (rows - 1)) / rows
        self.figure.subplots_adjust(
            left=left / width,
            right=1 - right / width,
            bottom=bottom / height,
            top=1 - title / height,
            wspace=gap_x / panel_width,
            hspace=gap_y / panel_height,
        )


@contextmanager
def page(
    number: int = 1,
    *,
    columns: int = 1,
    height: float = 3.6,
    foot: float = 0.0,
    width: float = _WIDTH,
    share: Literal["", "x", "y", "both"] = "",
    width_ratios: Sequence[float] | None = None,
    measured: bool = False,
) -> Iterator[Page]:
    """Open a figure of ``number`` panels, ``columns`` in a row; draw and call ``png`` within.

    ``height`` of a row and ``foot``, for the legend, are in inches. Panels share the axis of their
    column ("x") or of their row ("y"). ``measured``: fit the margins to labels of any length.
    """
    with mpl.rc_context(_STYLE):
        columns = min(number, columns)
        rows = -(-number // columns)
        layout: Any = "constrained" if measured else None
        figure = Figure(figsize=(width, foot + height * rows), dpi=_DPI, layout=layout)
        grid = figure.subplots(
            rows,
            columns,
            squeeze=False,
            sharex="col" if share in ("x", "both") else False,
            sharey="row" if share in ("y", "both") else False,
            width_ratios=width_ratios,
        )
        for spare in grid.flat[number:]:
            spare.set_visible(False)
        panels, first_column = list(grid.flat[:number]), list(grid[:, 0])
        yield Page(figure, panels, first_column, (rows, columns), share)


def legend_columns(keys: Sequence[Artist], most: int = 6) -> int:
    """Return how many columns, at most ``most``, a legend of ``keys`` has room for on the page."""
    names = np.array([str(key.get_label()) for key in keys], dtype=object)
    for columns in range(min(most, len(names)), 1, -1):
        widths = [max(map(len, column)) for column in np.array_split(names, columns)]
        if (
            sum(widths) + 9 * columns <= _LEGEND_LETTERS
        ):  # 9: the key, and the space before the next
            return columns
    return 1


def line(axes: Axes, look: Look, x: ArrayLike, y: ArrayLike, label: str = "", **style: Any) -> None:
    """Draw the curve of one model, its points marked."""
    given = {
        "color": look.color,
        "marker": look.marker,
        "markersize": 6,
        "linewidth": 2,
        "linestyle": look.dashes,
        "label": label or None,
        "zorder": 3,
    }
    axes.plot(np.asarray(x), np.asarray(y), **given | style)


def seed_line(axes: Axes, look: Look, x: ArrayLike, y: ArrayLike, **style: Any) -> None:
    """Draw the curve of one seed, thin, to stand behind the mean of the seeds."""
    thin: dict[str, Any] = {"marker": "", "linewidth": 0.9, "linestyle": "-", "alpha": 0.5}
    line(axes, look, x, y, **thin | style)


def loss_line(axes: Axes, look: Look, x: ArrayLike, y: ArrayLike) -> None:
    """Draw the validation loss of one seed in a panel of its model."""
    line(axes, look, x, y, markersize=4, linewidth=1.6, linestyle="-")


def control_line(axes: Axes, place: int, x: ArrayLike, y: ArrayLike, label: str) -> None:
    """Draw a control, gray; ``place`` among the controls sets its dashes."""
    dashes = (":", "--")[place % 2]
    line(axes, Look(), x, y, label, marker="", linewidth=1.4, linestyle=dashes)


def seed_points(axes: Axes, look: Look, x: ArrayLike, y: ArrayLike) -> None:
    """Draw the values of single seeds as small dots."""
    axes.plot(
        np.asarray(x),
        np.asarray(y),
        color=look.color,
        marker="o",
        markersize=3.2,
        linestyle="",
        alpha=0.7,
        markeredgewidth=0,
    )


def points(
    axes: Axes, look: Look, x: ArrayLike, y: ArrayLike, label: str = "", **style: Any
) -> None:
    """Draw estimates as large marks, not joined."""
    line(axes, look, x, y, label, **{"linestyle": "", "markersize": 8, "zorder": 4} | style)


def intervals(axes: Axes, look: Look, x: ArrayLike, low: ArrayLike, high: ArrayLike) -> None:
    """Draw 95% intervals as upright bars; ``x``, ``low`` and ``high`` are of one length."""
    axes.vlines(np.asarray(x), np.asarray(low), np.asarray(high), color=look.color, linewidth=1.2)


def level(axes: Axes, y: float, linestyle: str = ":", color: str = GRAY) -> None:
    """Draw a horizontal line at a value to compare with."""
    axes.axhline(y, color=color, linestyle=linestyle, linewidth=1.2)


def key(label: str, **style: Any) -> Line2D:
    """Return a gray entry for the legend."""
    return Line2D([], [], **{"color": GRAY, "label": label} | style)


def seed_key(label: str = "one seed") -> Line2D:
    """Return the entry of the legend for ``seed_points``."""
    return key(label, marker="o", markersize=3.2, linestyle="")


def scratch_key(label: str = "from scratch", linestyle: str = ":") -> Line2D:
    """Return the entry of the legend for a network without pretraining: an open mark."""
    return key(label, marker="o", markerfacecolor="white", linestyle=linestyle)


def large_numbers(axes: Axes) -> None:
    """Write the ticks of the horizontal axis with SI prefixes: '2 M'."""
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(EngFormatter(sep=" "))


def ticks(axes: Axes, values: Sequence[float], labels: Sequence[str]) -> None:
    """Put the ticks of the horizontal axis at ``values`` alone."""
    axes.set_xticks(list(values), list(labels))
    axes.minorticks_off()
