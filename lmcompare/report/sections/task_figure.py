"""The figure of a task: dots with intervals. White ground, Okabe-Ito colours, markers."""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from lmcompare.report.analysis import Comparison, MeasuredModel, TaskAnalysis, decimals_of
from lmcompare.report.formatting import CEILINGS, control_title, plain, signed
from lmcompare.report.results import CONTROL, PRETRAINED, SCRATCH

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
"""Okabe and Ito (2008), 'Color Universal Design', without the yellow that white swallows."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
DASHES = (
    "-",
    (0, (6, 2)),
    (0, (6, 2, 1.5, 2)),
    (0, (2, 1.5)),
    "-",
    (0, (6, 2)),
    (0, (6, 2, 1.5, 2)),
)
GREY = "#595959"

STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
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


def png(figure: Figure) -> bytes:
    """Return the figure as PNG, 160 dots per inch, without a date or a version in it."""
    FigureCanvasAgg(figure)
    held = io.BytesIO()
    figure.savefig(held, format="png", dpi=160, metadata={"Software": None})
    return held.getvalue()


def look(models: Sequence[str], model: str) -> tuple[str, str]:
    """Return the colour and the marker of a model, by its place."""
    place = models.index(model)
    return COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]


def legend_columns(keys: Sequence[Artist], most: int = 6) -> int:
    """Return how many columns, at most ``most``, a legend of ``keys`` has room for on a figure as wide as a page."""
    names = [str(key.get_label()) for key in keys]
    for number in range(min(most, len(names)), 1, -1):
        widest = [
            max(map(len, part)) for part in np.array_split(np.array(names, dtype=object), number)
        ]
        if sum(widest) + 9 * number <= 130:  # letters; 9 for the key and the space before the next
            return number
    return 1


def grid(
    number: int, across: int, foot: float, height: float, *, sharey: bool = False
) -> tuple[Figure, Any]:
    """Return a figure and its panels, (rows, columns), of which ``number`` are seen, at most ``across`` in a row.

    ``foot``, for the legend, and ``height``, of a row, are in inches.
    """
    across = min(number, across)
    down = -(-number // across)
    figure = Figure(figsize=(9.6, foot + height * down), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False, sharey=sharey)
    for spare in panels.flat[number:]:
        spare.set_visible(False)
    return figure, panels


def task(found: TaskAnalysis, models: Sequence[str]) -> bytes:
    """Draw each model and control with its interval and seeds, and beside it the paired differences."""
    with mpl.rc_context(STYLE):
        rows = _ordered(found, models)
        leads = [*found.comparisons, *found.gains]
        lines = max(len(rows), len(leads) + 1, 4)
        figure = Figure(
            figsize=(11.2 if _crowded(models) else 9.6, 1.35 + 0.36 * lines), layout="constrained"
        )
        panels = figure.subplots(
            1, 2 if leads else 1, squeeze=False, width_ratios=[1.25, 1][: 2 if leads else 1]
        )[0]
        _values(panels[0], found, rows, models)
        if leads:
            _differences(panels[1], found, models)
        many = any(len(one.seeds) > 1 for one in rows)
        keys = [
            Line2D(
                [],
                [],
                color=GREY,
                marker="o",
                linestyle="-",
                markersize=7,
                label="estimate and 95% interval",
            )
        ]
        if found.of(SCRATCH):
            keys.append(
                Line2D(
                    [],
                    [],
                    color=GREY,
                    marker="o",
                    markerfacecolor="white",
                    linestyle="-",
                    markersize=7,
                )
            )
            keys[0].set_label("pretrained")
            keys[-1].set_label("same network from scratch")
        if found.of(CONTROL):
            keys.append(
                Line2D(
                    [],
                    [],
                    color=GREY,
                    marker="D",
                    linestyle="-",
                    markersize=5,
                    label="control (dotted: the best)",
                )
            )
        if many:
            keys.append(
                Line2D(
                    [],
                    [],
                    color=GREY,
                    marker="o",
                    linestyle="",
                    markersize=3.2,
                    alpha=0.75,
                    label="one seed",
                )
            )
        figure.legend(
            handles=keys,
            loc="outside lower left",
            ncols=len(keys),
            handletextpad=0.5,
            columnspacing=1.8,
        )
        return png(figure)


def _ordered(found: TaskAnalysis, models: Sequence[str]) -> list[MeasuredModel]:
    order = {PRETRAINED: 0, SCRATCH: 1}
    networks = [one for one in found.measured.values() if one.condition != CONTROL]
    networks.sort(key=lambda one: (models.index(one.model), order.get(one.condition, 2)))
    return [
        one for one in [*networks, *found.of(CONTROL)] if one.exactness in ("", "exact", "chain")
    ]


def _values(
    axes: Axes, found: TaskAnalysis, rows: list[MeasuredModel], models: Sequence[str]
) -> None:
    scale = found.metric.scale
    decimals = decimals_of(found.metric, [one.estimate for one in rows])
    labels = []
    for place, one in enumerate(rows):
        y = len(rows) - 1 - place
        e = one.estimate
        if one.condition == CONTROL:
            colour, marker, face = GREY, "D", GREY
            labels.append(_broken(control_title(one.model)))
        else:
            colour, marker = look(models, one.model)
            face = colour if one.condition == PRETRAINED else "white"
            chain = " (chain)" if one.exactness == "chain" else ""
            chain += "\nnot controlled" if one.model in found.checkpoints else ""
            labels.append(f"{one.model}{chain}" if one.condition == PRETRAINED else one.condition)
        if np.isfinite(e.low):
            axes.plot(
                [e.low * scale, e.high * scale],
                [y, y],
                color=colour,
                linewidth=2,
                solid_capstyle="butt",
            )
        size = 5.0 if one.condition == CONTROL else 7.5
        axes.plot(
            [e.value * scale], [y], marker=marker, color=colour, markerfacecolor=face, markersize=size,
            markeredgewidth=1.8, linestyle="", zorder=4,
        )  # fmt: skip
        if one.condition != CONTROL and len(one.seeds) > 1:
            axes.plot(
                np.array(one.per_seed) * scale, [y + 0.3] * len(one.seeds), marker="o", color=colour,
                markersize=3.2, alpha=0.75, linestyle="", markeredgewidth=0,
            )  # fmt: skip
        _beside(axes, y, plain(e.value * scale, decimals))
    controls = [
        one.estimate.value * scale
        for one in rows
        if one.condition == CONTROL and one.model not in CEILINGS
    ]
    if controls:
        best = max(controls) if found.task.better == "higher" else min(controls)
        axes.axvline(best, color=GREY, linestyle=":", linewidth=1.2, zorder=1)
    axes.set_yticks(range(len(rows) - 1, -1, -1), labels)
    for tick, one in zip(axes.get_yticklabels(), rows, strict=True):
        if one.condition == PRETRAINED:
            tick.set_fontweight("bold")
    _bare(axes)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.set_xlabel(f"{found.metric.measure} ({found.task.better} is better)")
    axes.set_title(found.task.name)


def _beside(axes: Axes, y: float, text: str) -> None:
    axes.annotate(
        text, (1, y), xycoords=("axes fraction", "data"), xytext=(4, 0), textcoords="offset points",
        va="center", ha="left", fontsize=9, color="#333333", annotation_clip=False,
    )  # fmt: skip


def _bare(axes: Axes) -> None:
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    axes.margins(x=0.06)


def _broken(name: str) -> str:
    words, lines = name.split(" "), [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + len(word) > 18:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines[:2]) + (" …" if len(lines) > 2 else "")


def _crowded(models: Sequence[str]) -> bool:
    """Return whether the names of models leave little room beside them."""
    return max(map(len, models)) > 18


def _differences(axes: Axes, found: TaskAnalysis, models: Sequence[str]) -> None:
    scale = found.metric.scale
    leads = [*found.comparisons, *found.gains]
    decimals = decimals_of(found.metric, [lead.difference for lead in leads])
    labels: list[str] = []
    places: list[float] = []
    y = 0.0
    for number, lead in enumerate(leads):
        if number and number == len(found.comparisons):
            y -= 0.25
            axes.axhline(y - 0.5, color="#BBBBBB", linewidth=0.8)
            y -= 1.25
        elif number:
            y -= 1
        labels.append(_pair(lead, gain=number >= len(found.comparisons)))
        places.append(y)
        d = lead.difference
        colour, marker = look(models, lead.first)
        colour = colour if lead.significant else "#9A9A9A"
        axes.plot(
            [d.low * scale, d.high * scale],
            [y, y],
            color=colour,
            linewidth=2,
            solid_capstyle="butt",
        )
        axes.plot(
            [d.value * scale], [y], marker=marker, color=colour, markersize=7.5, linestyle="", zorder=4,
        )  # fmt: skip
        _beside(axes, y, signed(d.value * scale, decimals))
    axes.axvline(0, color="#000000", linewidth=1, zorder=1)
    axes.set_yticks(places, labels)
    _bare(axes)
    axes.set_ylim(min(places) - 0.6, max(places) + 0.6)
    axes.xaxis.set_major_locator(MaxNLocator(3 if _crowded(models) else 5))
    if max(map(abs, axes.get_xlim())) < 1e-9:  # all are 0, but for what floats are not exact in
        axes.set_xlim(-scale / 1000, scale / 1000)
    unit = found.metric.points
    gap = "\n" if _crowded(models) else " "
    axes.set_xlabel(f"ahead by{', ' + unit if unit else ''}{gap}(grey: not told apart)")
    axes.set_title("paired differences")


def _pair(lead: Comparison, *, gain: bool) -> str:
    return f"{lead.first}\nover scratch" if gain else f"{lead.first}\nover {lead.second}"
