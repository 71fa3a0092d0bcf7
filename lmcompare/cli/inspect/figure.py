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

# Okabe and Ito's colours, which colour-blind people tell apart.
INK = {
    "seen": "#56B4E9",
    "asked": "#E69F00",
    "put": "#CC79A7",
    "stack": "#DDE7EF",
    "line": "#4D4D4D",
    "pale": "#F2F2F2",
}

SHOWING_CHINESE = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "PingFang SC", "Heiti SC",
    "Microsoft YaHei", "SimHei", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Noto Sans CJK JP", "Droid Sans Fallback",
    "Arial Unicode MS",
)  # fmt: skip
"""Fonts asked first for what the default font does not have; then all the others."""

_UNIT = 0.44  # inches a token; all that is drawn is placed in tokens, from the upper left corner
_TOP, _ASKED, _STACK, _READ, _CELLS = 2.6, 2.9, 5.7, 7.6, 10.3  # where each layer begins
_BOX = 2.2  # how tall a token is
_LINE = 0.52  # between lines of notes


def draw(panels: Sequence[Panel], text: str, path: Path) -> None:
    """Write the figure of the panels; the kind of file follows the name (png, svg, pdf).

    Raises:
        InputError: the folder is not there, or the kind of file is not known.
    """
    if not path.absolute().parent.is_dir():
        raise InputError(f"{path}: no such folder, {path.absolute().parent}")
    letters = FontMetrics([text, *(word for panel in panels for word in _words(panel))])
    plans = [_Layout(panel, letters) for panel in panels]
    width = max(sum(plan.width for plan in plans), 30.0)
    depth = _CELLS + max(plan.depth for plan in plans) + 2.4
    figure = Figure(figsize=(width * _UNIT, depth * _UNIT), dpi=150)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0), xlim=(0, width), ylim=(depth, 0))
    axes.axis("off")
    axes.text(
        width / 2,
        0.85,
        letters.spell(text),
        ha="center",
        va="center",
        fontsize=20,
        family=letters.family,
    )
    left = (width - sum(plan.width for plan in plans)) / 2
    for plan in plans:
        _panel(axes, plan, left)
        left += plan.width
        if plan is not plans[-1]:
            axes.plot([left, left], [1.8, depth - 2.2], color="#BBBBBB", linewidth=0.8)
    _legend(axes, panels, letters, width / 2, depth)
    try:
        figure.savefig(path)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error


class FontMetrics:
    """Fonts that show some texts; what none of them has is spelt by code point."""

    def __init__(self, texts: Iterable[str]) -> None:
        wanted = {character for text in texts for character in text if not character.isspace()}
        self.family = ["DejaVu Sans"]
        self.missing = wanted - _covered(font_manager.findfont("DejaVu Sans"))
        # A 'last resort' font has a box for every character.
        listed = font_manager.fontManager.ttflist
        known = {
            font.name: font.fname
            for font in listed
            if "lastresort" not in font.name.replace(" ", "").lower()
        }
        first = [name for name in SHOWING_CHINESE if name in known]
        for name in dict.fromkeys([*first, *sorted(known)]):
            if not self.missing:
                break
            has = self.missing & _covered(known[name])
            if has:
                self.family.append(name)
                self.missing -= has

    def spell(self, text: str) -> str:
        """Return the text, with the code point ('4ECA') of each character that no font has; math signs as they are."""
        spelt = "".join(
            f"‹{ord(character):04X}›" if character in self.missing else character
            for character in text
        )
        return spelt.replace("$", r"\$")


def _covered(path: str) -> set[str]:
    try:
        return {chr(code) for code in FT2Font(path).get_charmap()}
    except (RuntimeError, OSError):
        return set()


def _words(panel: Panel) -> list[str]:
    rows = [*panel.rows, *(panel.encoder or [])]
    return [word for row in rows for word in (row.reads, row.asked or "")]


class _Layout:
    """Where the parts of a panel go, in tokens."""

    def __init__(self, panel: Panel, letters: FontMetrics) -> None:
        self.panel, self.letters = panel, letters
        self.cells, self.rows = _cells(panel)
        self.outputs, self.inputs = self.cells.shape
        reads = max(len(letters.spell(row.reads)) for row in self.rows if row is not None)
        asked = max(len(letters.spell(row.asked or "")) for row in self.rows if row is not None)
        self.before, after = 0.9 + 0.21 * min(reads, 9), 0.9 + 0.21 * min(asked, 9)
        self.width = max(self.before + self.inputs + after, 11.0)
        self.before += (self.width - self.before - self.inputs - after) / 2
        self.notes = _wrapped(panel.notes, int(self.width * 4.7))
        self.depth = self.outputs + 0.9 + _LINE * len(self.notes)


def _panel(axes: Axes, plan: _Layout, left: float) -> None:
    panel, letters, first = plan.panel, plan.letters, left + plan.before
    middle = left + plan.width / 2
    axes.text(
        middle, _TOP - 0.75, panel.title, ha="center", va="center", fontsize=16, weight="bold"
    )
    axes.text(
        middle, _TOP - 0.1, panel.settings, ha="center", va="center", fontsize=11, color=INK["line"]
    )
    stacks = [(panel.role, panel.rows, first)]
    if panel.encoder is not None:
        second = first + len(panel.encoder) + 1
        stacks = [("encoder", panel.encoder, first), ("decoder", panel.rows, second)]
        _arrow(axes, (second - 0.98, _STACK + 0.5), (second - 0.03, _STACK + 0.5), 2.2)
    for name, rows, start in stacks:
        _box(axes, start + 0.08, _STACK, len(rows) - 0.16, 1.0, INK["stack"])
        label = name if len(rows) > 2 else f"{name[:3]}."
        axes.text(start + len(rows) / 2, _STACK + 0.5, label, ha="center", va="center", fontsize=13)
        for i, row in enumerate(rows):
            _arrow(axes, (start + i + 0.5, _READ - 0.1), (start + i + 0.5, _STACK + 1.12))
            _token(axes, start + i, _READ, row.reads, "white" if row.text else INK["put"], letters)
            if row.asked is not None:
                _arrow(
                    axes, (start + i + 0.5, _STACK - 0.1), (start + i + 0.5, _ASKED + _BOX + 0.1)
                )
                _token(axes, start + i, _ASKED, row.asked, INK["asked"], letters)
    _matrix(axes, plan, first)
    if panel.encoder is not None:
        at = _CELLS + len(panel.encoder) + 0.5
        for x, said in (
            (first + len(panel.encoder) / 2, "what the decoder sees of the encoder"),
            (first + len(panel.encoder) + 1 + len(panel.rows) / 2, "and of itself"),
        ):
            axes.text(
                x,
                at,
                said,
                ha="center",
                va="center",
                fontsize=10,
                color=INK["line"],
                style="italic",
            )
    for place, note in enumerate(plan.notes):
        axes.text(
            middle,
            _CELLS + plan.outputs + 0.75 + place * _LINE,
            note,
            ha="center",
            va="center",
            fontsize=11,
        )


def _box(axes: Axes, x: float, y: float, width: float, height: float, colour: str) -> None:
    axes.add_patch(
        FancyBboxPatch(
            (x, y), width, height, boxstyle="round,pad=0.0,rounding_size=0.16", facecolor=colour,
            edgecolor=INK["line"], linewidth=0.9,
        )
    )  # fmt: skip


def _token(axes: Axes, x: float, y: float, word: str, colour: str, letters: FontMetrics) -> None:
    """Draw a word in a tall box: upright if it is short, else lying."""
    _box(axes, x + 0.1, y, 0.8, _BOX, colour)
    said = letters.spell(word)
    size = 14 if len(said) <= 1 else 11 if len(said) <= 9 else 99 / len(said)
    axes.text(
        x + 0.5, y + _BOX / 2, said, ha="center", va="center", fontsize=size, family=letters.family,
        rotation=0 if len(said) <= 1 else 90,
    )  # fmt: skip


def _arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], width: float = 0.9
) -> None:
    axes.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=9 * max(1.0, width / 1.2), linewidth=width,
            color=INK["line"], shrinkA=0, shrinkB=0,
        )
    )  # fmt: skip


def _matrix(axes: Axes, plan: _Layout, first: float) -> None:
    """Draw who sees whom: a line an output; its columns stand below the inputs."""
    for i, row in enumerate(plan.rows):
        if row is None:
            continue
        y = _CELLS + i
        for j in range(plan.inputs):
            if plan.cells[i, j] < 0:
                continue
            colour = INK["seen"] if plan.cells[i, j] else INK["pale"]
            if (
                plan.cells[i, j]
                and i == j
                and plan.panel.role == "encoder"
                and row.asked is not None
                and not row.text
            ):
                colour = INK["put"]
            axes.add_patch(
                Rectangle(
                    (first + j + 0.05, y + 0.05), 0.9, 0.9, facecolor=colour, edgecolor="none"
                )
            )
        _label(
            axes,
            first - 0.3,
            y + 0.5,
            row.reads,
            plan.letters,
            "right",
            None if row.text else INK["put"],
        )
        if row.asked is not None:
            _label(
                axes,
                first + plan.inputs + 0.3,
                y + 0.5,
                row.asked,
                plan.letters,
                "left",
                INK["asked"],
            )


def _cells(panel: Panel) -> tuple[NDArray[np.int64], list[PanelRow | None]]:
    """Return 1 seen, 0 not seen, -1 nothing there; and the rows, None between two stacks."""
    if panel.encoder is None or panel.seen.decoder is None or panel.seen.cross is None:
        return panel.seen.own.astype(np.int64), list(panel.rows)
    n, m = len(panel.encoder), len(panel.rows)
    cells = np.full((n + 1 + m, n + 1 + m), -1, dtype=np.int64)
    cells[:n, :n] = panel.seen.own
    cells[n + 1 :, :n] = panel.seen.cross
    cells[n + 1 :, n + 1 :] = panel.seen.decoder
    return cells, [*panel.encoder, None, *panel.rows]


def _label(
    axes: Axes, x: float, y: float, word: str, letters: FontMetrics, side: str, colour: str | None
) -> None:
    said = letters.spell(word)
    box = (
        {"boxstyle": "round,pad=0.18", "facecolor": colour, "edgecolor": "none"} if colour else None
    )
    size = 11 if len(said) <= 9 else 99 / len(said)
    axes.text(x, y, said, fontsize=size, family=letters.family, bbox=box, ha=side, va="center")


def _wrapped(notes: Sequence[str], width: int) -> list[str]:
    return [line for note in notes for line in textwrap.wrap(note, max(width, 20))]


def _legend(
    axes: Axes, panels: Sequence[Panel], letters: FontMetrics, middle: float, depth: float
) -> None:
    marks = [
        Patch(facecolor=INK["asked"], label="asked: the loss falls here"),
        Patch(
            facecolor=INK["put"],
            label="put there, not in the text (in the grid: a mask sees itself)",
        ),
        Patch(facecolor=INK["seen"], label="this output (line) sees this input (column)"),
        Patch(facecolor=INK["pale"], label="it does not"),
    ]
    where: dict[str, Any] = {
        "loc": "center",
        "bbox_to_anchor": (middle, depth - 1.5),
        "bbox_transform": axes.transData,
    }
    narrow = middle * 2 * _UNIT < 18
    axes.legend(handles=marks, ncols=2 if narrow else 4, frameon=False, fontsize=11, **where)
    said = ["Measured: one input is changed, and the outputs that move have seen it."]
    if not all(panel.trained for panel in panels):
        said.append("Fresh networks: tiny, with random weights.")
    if letters.missing:
        said.append(
            "‹4ECA›: a character that no font here has, by its code point (Noto Sans CJK has Chinese)."
        )
    step = "\n" if narrow and len(said) > 2 else " "
    axes.text(
        middle,
        depth - 0.6,
        step.join(said),
        ha="center",
        va="center",
        fontsize=10.5,
        color=INK["line"],
    )
