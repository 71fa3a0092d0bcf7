"""Panels as a figure, as in a textbook."""

import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch, Rectangle
from numpy.typing import NDArray

from lmcompare.cli.inspect.panels import Panel, PanelRow
from lmcompare.core.errors import InputError

# The palette of Okabe and Ito, which color-blind people can distinguish.
COLORS = {
    "attended": "#56B4E9",
    "target": "#E69F00",
    "inserted": "#CC79A7",
    "stack": "#DDE7EF",
    "line": "#4D4D4D",
    "hidden": "#F2F2F2",
}

CHINESE_FONTS = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "PingFang SC",
    "Heiti SC", "Microsoft YaHei", "SimHei", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei",
    "Noto Sans CJK JP", "Droid Sans Fallback", "Arial Unicode MS",
)  # fmt: skip
"""Tried first for characters that the default font lacks; then all other fonts."""

# All is placed in units of a token, from the upper left corner.
_INCHES = 0.44  # a token
_TOP, _TARGETS, _STACK, _INPUTS, _MATRIX = 2.6, 2.9, 5.7, 7.6, 10.3  # where each layer begins
_TOKEN_HEIGHT = 2.2
_NOTE_HEIGHT = 0.52


def draw(panels: Sequence[Panel], text: str, path: Path) -> None:
    """Write the figure of the panels; its format follows the name (png, svg, pdf).

    Raises:
        InputError: the folder does not exist, or the format is unknown.
    """
    if not path.absolute().parent.is_dir():
        raise InputError(f"{path}: no such folder, {path.absolute().parent}")
    fonts = FontMetrics([text, *(word for panel in panels for word in _words(panel))])
    layouts = [_Layout(panel, fonts) for panel in panels]
    total = sum(layout.width for layout in layouts)
    width = max(total, 30.0)
    depth = _MATRIX + max(layout.depth for layout in layouts) + 2.4
    figure = Figure(figsize=(width * _INCHES, depth * _INCHES), dpi=150)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0), xlim=(0, width), ylim=(depth, 0))
    axes.axis("off")
    _write(axes, width / 2, 0.85, fonts.spell(text), fontsize=20, family=fonts.family)
    left = (width - total) / 2
    for layout in layouts:
        _panel(axes, layout, left)
        left += layout.width
        if layout is not layouts[-1]:
            axes.plot([left, left], [1.8, depth - 2.2], color="#BBBBBB", linewidth=0.8)
    _legend(axes, panels, fonts, width / 2, depth)
    try:
        figure.savefig(path)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error


class FontMetrics:
    """Fonts that have the characters of some texts; what none has is written as its code point."""

    def __init__(self, texts: Iterable[str]) -> None:
        characters = {character for text in texts for character in text if not character.isspace()}
        self.family = ["DejaVu Sans"]
        self.missing = characters - _covered(font_manager.findfont("DejaVu Sans"))
        fonts = {
            font.name: font.fname
            for font in font_manager.fontManager.ttflist
            # A 'last resort' font has a box for every character.
            if "lastresort" not in font.name.replace(" ", "").lower()
        }
        chinese = [name for name in CHINESE_FONTS if name in fonts]
        for name in dict.fromkeys([*chinese, *sorted(fonts)]):
            if not self.missing:
                break
            covered = self.missing & _covered(fonts[name])
            if covered:
                self.family.append(name)
                self.missing -= covered

    def spell(self, text: str) -> str:
        """Return the text with '‹4ECA›' for characters without a font, and '$' escaped."""
        characters = (f"‹{ord(c):04X}›" if c in self.missing else c for c in text)
        return "".join(characters).replace("$", r"\$")


def _covered(path: str) -> set[str]:
    try:
        return {chr(code) for code in FT2Font(path).get_charmap()}
    except (RuntimeError, OSError):
        return set()


def _words(panel: Panel) -> list[str]:
    rows = [*panel.rows, *(panel.encoder or [])]
    return [word for row in rows for word in (row.token, row.target or "")]


class _Layout:
    """Where the parts of a panel go, in tokens."""

    def __init__(self, panel: Panel, fonts: FontMetrics) -> None:
        self.panel, self.fonts = panel, fonts
        self.cells, self.rows = _cells(panel)
        self.outputs, self.inputs = self.cells.shape
        tokens = max(len(fonts.spell(row.token)) for row in self.rows if row)
        targets = max(len(fonts.spell(row.target or "")) for row in self.rows if row)
        self.before, after = 0.9 + 0.21 * min(tokens, 9), 0.9 + 0.21 * min(targets, 9)
        self.width = max(self.before + self.inputs + after, 11.0)
        self.before += (self.width - self.before - self.inputs - after) / 2
        columns = max(int(self.width * 4.7), 20)
        self.notes = [line for note in panel.notes for line in textwrap.wrap(note, columns)]
        self.depth = self.outputs + 0.9 + _NOTE_HEIGHT * len(self.notes)


def _cells(panel: Panel) -> tuple[NDArray[np.int64], list[PanelRow | None]]:
    """Return the matrix, 1 attended, 0 not, -1 no cell, and its rows, None between two stacks."""
    attention = panel.attention
    if panel.encoder is None or attention.decoder is None or attention.cross is None:
        return attention.own.astype(np.int64), list(panel.rows)
    n, m = len(panel.encoder), len(panel.rows)
    cells = np.full((n + 1 + m, n + 1 + m), -1, dtype=np.int64)
    cells[:n, :n] = attention.own
    cells[n + 1 :, :n] = attention.cross
    cells[n + 1 :, n + 1 :] = attention.decoder
    return cells, [*panel.encoder, None, *panel.rows]


def _panel(axes: Axes, layout: _Layout, left: float) -> None:
    panel, first = layout.panel, left + layout.before
    middle, gray = left + layout.width / 2, COLORS["line"]
    _write(axes, middle, _TOP - 0.75, panel.title, fontsize=16, weight="bold")
    _write(axes, middle, _TOP - 0.1, panel.settings, fontsize=11, color=gray)
    if panel.encoder is None:
        _stack(axes, panel.role, panel.rows, first, layout.fonts)
    else:
        n, m = len(panel.encoder), len(panel.rows)
        second = first + n + 1
        _arrow(axes, (second - 0.98, _STACK + 0.5), (second - 0.03, _STACK + 0.5), 2.2)
        _stack(axes, "encoder", panel.encoder, first, layout.fonts)
        _stack(axes, "decoder", panel.rows, second, layout.fonts)
        y, style = _MATRIX + n + 0.5, {"fontsize": 10, "color": gray, "style": "italic"}
        _write(axes, first + n / 2, y, "the decoder's attention to the encoder", **style)
        _write(axes, second + m / 2, y, "and to itself", **style)
    _matrix(axes, layout, first)
    for i, note in enumerate(layout.notes):
        y = _MATRIX + layout.outputs + 0.75 + i * _NOTE_HEIGHT
        _write(axes, middle, y, note, fontsize=11)


def _stack(
    axes: Axes, name: str, rows: Sequence[PanelRow], left: float, fonts: FontMetrics
) -> None:
    """Draw a stack of layers with its inputs below and its targets above."""
    _box(axes, (left + 0.08, _STACK), len(rows) - 0.16, 1.0, COLORS["stack"])
    label = name if len(rows) > 2 else f"{name[:3]}."
    _write(axes, left + len(rows) / 2, _STACK + 0.5, label, fontsize=13)
    for i, row in enumerate(rows):
        x = left + i
        _arrow(axes, (x + 0.5, _INPUTS - 0.1), (x + 0.5, _STACK + 1.12))
        color = "white" if row.is_text else COLORS["inserted"]
        _token(axes, (x, _INPUTS), fonts, row.token, color)
        if row.target is not None:
            top = _TARGETS + _TOKEN_HEIGHT + 0.1
            _arrow(axes, (x + 0.5, _STACK - 0.1), (x + 0.5, top))
            _token(axes, (x, _TARGETS), fonts, row.target, COLORS["target"])


def _matrix(axes: Axes, layout: _Layout, left: float) -> None:
    """Draw the attention: a line for each output; its columns stand below the inputs."""
    for i, row in enumerate(layout.rows):
        if row is None:
            continue
        y, masked = _MATRIX + i, row.target is not None and not row.is_text
        for j in np.flatnonzero(layout.cells[i] >= 0):
            color = COLORS["attended"] if layout.cells[i, j] else COLORS["hidden"]
            if layout.cells[i, j] and i == j and masked and layout.panel.role == "encoder":
                color = COLORS["inserted"]
            corner = (left + j + 0.05, y + 0.05)
            axes.add_patch(Rectangle(corner, 0.9, 0.9, facecolor=color, edgecolor="none"))
        color = "" if row.is_text else COLORS["inserted"]
        _label(axes, (left - 0.3, y + 0.5), layout.fonts.spell(row.token), color, layout, "right")
        if row.target is not None:
            place = (left + layout.inputs + 0.3, y + 0.5)
            target = layout.fonts.spell(row.target)
            _label(axes, place, target, COLORS["target"], layout, "left")


def _write(axes: Axes, x: float, y: float, text: str, **style: Any) -> None:
    axes.text(x, y, text, **{"ha": "center", "va": "center", **style})


def _label(
    axes: Axes, place: tuple[float, float], text: str, color: str, layout: _Layout, side: str
) -> None:
    box = {"boxstyle": "round,pad=0.18", "facecolor": color, "edgecolor": "none"}
    size = 11 if len(text) <= 9 else 99 / len(text)
    family, bbox = layout.fonts.family, box if color else None
    _write(axes, *place, text, fontsize=size, family=family, bbox=bbox, ha=side)


def _token(
    axes: Axes, corner: tuple[float, float], fonts: FontMetrics, word: str, color: str
) -> None:
    """Draw a word in a tall box: upright if it is one character, else rotated."""
    x, y = corner
    _box(axes, (x + 0.1, y), 0.8, _TOKEN_HEIGHT, color)
    text = fonts.spell(word)
    size = 14 if len(text) <= 1 else 11 if len(text) <= 9 else 99 / len(text)
    rotation = 0 if len(text) <= 1 else 90
    middle = y + _TOKEN_HEIGHT / 2
    _write(axes, x + 0.5, middle, text, fontsize=size, family=fonts.family, rotation=rotation)


def _box(axes: Axes, corner: tuple[float, float], width: float, height: float, color: str) -> None:
    style = {"boxstyle": "round,pad=0.0,rounding_size=0.16", "edgecolor": COLORS["line"]}
    axes.add_patch(
        FancyBboxPatch(corner, width, height, facecolor=color, linewidth=0.9, **style)  # type: ignore[arg-type]
    )


def _arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], width: float = 0.9
) -> None:
    head = 9 * max(1.0, width / 1.2)
    style: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": head, "linewidth": width}
    arrow = FancyArrowPatch(start, end, color=COLORS["line"], shrinkA=0, shrinkB=0, **style)
    axes.add_patch(arrow)


def _legend(
    axes: Axes, panels: Sequence[Panel], fonts: FontMetrics, middle: float, depth: float
) -> None:
    meanings = {
        "target": "a target: the loss is here",
        "inserted": "inserted, not in the text (in the grid: a mask attends to itself)",
        "attended": "this output (line) attends to this input (column)",
        "hidden": "it does not",
    }
    narrow = middle * 2 * _INCHES < 18
    axes.legend(
        handles=[Patch(facecolor=COLORS[key], label=label) for key, label in meanings.items()],
        ncols=2 if narrow else 4,
        frameon=False,
        fontsize=11,
        loc="center",
        bbox_to_anchor=(middle, depth - 1.5),
        bbox_transform=axes.transData,
    )
    notes = ["Measured: one input is changed, and the outputs that change depend on it."]
    if not all(panel.trained for panel in panels):
        notes.append("Fresh networks: tiny, with random weights.")
    if fonts.missing:
        notes.append(
            "‹4ECA›: a character that no font here has, as its code point (Noto Sans CJK has "
            "Chinese)."
        )
    separator = "\n" if narrow and len(notes) > 2 else " "
    text = separator.join(notes)
    _write(axes, middle, depth - 0.6, text, fontsize=10.5, color=COLORS["line"])
