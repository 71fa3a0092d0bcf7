"""A table of the report: a frame with a format for each column, written in every form alike."""

import html
import io
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from lmcompare.report.formatting import NONE, MetricFormat, control_title, interval, plain, signed
from lmcompare.report.markdown import code, escape
from lmcompare.report.results import CONTROL

Style = Literal["plain", "code", "strong"]


@dataclass(frozen=True)
class Piece:
    """A part of a cell: plain text, safe in no form yet, and how it is set."""

    text: str
    style: Style = "plain"
    url: str = ""


def name(text: object) -> Piece:
    """Set the name of a model, a task or a file as code."""
    return Piece(str(text), "code")


def strong(text: object) -> Piece:
    """Set a text in bold."""
    return Piece(str(text), "strong")


def model_or_control(model: object, condition: str) -> Piece:
    """Set the name of a model as code; write the title of a control."""
    return Piece(control_title(str(model))) if condition == CONTROL else name(model)


def listed(names: list[Any] | tuple[Any, ...]) -> list[Any]:
    """Return names set as code with commas between them, as one cell."""
    pieces: list[Any] = []
    for text in names:
        pieces += [", "] * bool(pieces) + [name(text)]
    return pieces


@dataclass(frozen=True)
class Column:
    """How the values of a column are written.

    A value may be a number, a text, a ``Piece``, something with ``value``, ``low`` and ``high``
    (an estimate or a difference with its interval), or a list of these; None and NaN are a dash.
    """

    heading: Any = ""
    """A text, a ``Piece`` or a list of them."""
    metric: MetricFormat | None = None
    """Multiplies the values by its scale; gives the heading its unit and arrow if it has none."""
    decimals: int = 3
    signed: bool = False
    """Write '+0.13', for differences."""
    format: Callable[[Any], Any] | None = None
    """Makes a text or a ``Piece`` of a value, where the rest does not say enough."""
    align: Literal["left", "right", ""] = ""
    """'' is right for a column of numbers."""

    def pieces(self, value: Any) -> list[Piece]:
        """Write one value."""
        if isinstance(value, list | tuple):
            return [piece for part in value for piece in self.pieces(part)]
        if isinstance(value, Piece):
            return [value]
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return [Piece(NONE)]
        if self.format is not None and not isinstance(value, str):
            return Column().pieces(self.format(value))
        return [Piece(self._text(value))]

    def _text(self, value: Any) -> str:
        scale = self.metric.scale if self.metric else 1.0
        if hasattr(value, "low"):
            bounds = (value.value * scale, value.low * scale, value.high * scale)
            return interval(*bounds, self.decimals, sign=self.signed)
        if isinstance(value, str | bool):
            return str(value)
        if isinstance(value, int | np.integer) and scale == 1:
            return f"{value:,}"
        return (signed if self.signed else plain)(float(value) * scale, self.decimals)


_NUMERIC = re.compile(r"(≤ |< |[−+])?[\d–]")

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "−": "$-$",
    "×": r"$\times$", "≥": r"$\geq$", "≤": r"$\leq$", "±": r"$\pm$", "–": "--", "—": "---",
    "·": r"$\cdot$", "↑": r"$\uparrow$", "↓": r"$\downarrow$",
}  # fmt: skip


def _markdown(piece: Piece) -> str:
    if piece.style == "code":
        text = code(piece.text)
    else:
        text = escape(piece.text).replace("&lt; ", "< ")
        if "](" not in piece.text:  # no link: an interval reads better without backslashes
            text = text.replace(r"\[", "[").replace(r"\]", "]")
        text = f"**{text}**" if piece.style == "strong" else text
    return f"[{text}]({piece.url})" if piece.url else text


def _html(piece: Piece) -> str:
    tag = {"plain": "", "code": "code", "strong": "strong"}[piece.style]
    text = html.escape(piece.text)
    text = f"<{tag}>{text}</{tag}>" if tag else text
    return f'<a href="{html.escape(piece.url)}">{text}</a>' if piece.url else text


def _latex(piece: Piece) -> str:
    text = "".join(_LATEX.get(character, character) for character in piece.text)
    command = {"plain": "", "code": r"\texttt", "strong": r"\textbf"}[piece.style]
    return f"{command}{{{text}}}" if command else text


@dataclass(frozen=True)
class Table:
    r"""A table and its numbers.

    >>> frame = pd.DataFrame({"model": [name("my_model")], "accuracy": [0.731]})
    >>> share = MetricFormat("accuracy", "%", 100, "higher")
    >>> table = Table("x", frame, {"accuracy": Column(metric=share, decimals=1)})
    >>> print(table.markdown)
    | model | accuracy, % ↑ |
    | --- | ---: |
    | `my_model` | 73.1 |
    >>> print(table.latex)
    \begin{tabular}{lr}
    \toprule
    model & accuracy, \% $\uparrow$ \\
    \midrule
    \texttt{my\_model} & 73.1 \\
    \bottomrule
    \end{tabular}
    """

    name: str
    """Of its file under tables/, without the ending; '' for a table that has none."""
    frame: pd.DataFrame
    """One row a line of the table, in the order of its columns."""
    columns: Mapping[str, Column] = field(default_factory=dict)
    """Formats of columns; a column without one is written as it is, headed by its name."""
    numbers: pd.DataFrame | None = None
    """What the csv file holds at full precision; None: ``frame``."""

    def _lines(self, write: Callable[[Piece], str]) -> tuple[list[str], list[list[str]]]:
        headings, columns = [], []
        for key, values in self.frame.items():
            column = self.columns.get(str(key), Column())
            heading = column.heading or (column.metric.heading if column.metric else str(key))
            headings.append("".join(map(write, Column().pieces(heading))))
            columns.append(["".join(map(write, column.pieces(value))) for value in values])
        return headings, [list(line) for line in zip(*columns, strict=True)]

    @property
    def _right(self) -> list[bool]:
        """Whether a column stands at the right."""
        _, lines = self._lines(lambda piece: piece.text)
        cells = list(zip(*lines, strict=True)) or [()] * len(self.frame.columns)
        aligned = [self.columns.get(str(key), Column()).align for key in self.frame.columns]
        return [
            align == "right"
            if align
            else bool(column) and all(_NUMERIC.match(cell) for cell in column)
            for align, column in zip(aligned, cells, strict=True)
        ]

    @property
    def markdown(self) -> str:
        """The table in GitHub markdown, without blank lines around it."""
        headings, lines = self._lines(_markdown)
        rule = ["---:" if right else "---" for right in self._right]
        return "\n".join(f"| {' | '.join(line)} |" for line in [headings, rule, *lines])

    @property
    def html(self) -> str:
        """The table as an element of HTML on one line."""
        headings, lines = self._lines(_html)
        styles = [' style="text-align:right"' if right else "" for right in self._right]

        def row(cells: list[str], tag: str) -> str:
            filled = zip(cells, styles, strict=True)
            return "<tr>" + "".join(f"<{tag}{s}>{cell}</{tag}>" for cell, s in filled) + "</tr>"

        body = "".join(row(line, "td") for line in lines)
        return f"<table><thead>{row(headings, 'th')}</thead><tbody>{body}</tbody></table>"

    @property
    def latex(self) -> str:
        """The table for LaTeX, with the rules of the package booktabs."""
        headings, lines = self._lines(_latex)
        places = "".join("r" if right else "l" for right in self._right)
        rows = [" & ".join(line) + r" \\" for line in [headings, *lines]]
        return "\n".join(
            [rf"\begin{{tabular}}{{{places}}}", r"\toprule", rows[0], r"\midrule", *rows[1:]]
            + [r"\bottomrule", r"\end{tabular}"]
        )

    @property
    def csv(self) -> bytes:
        """The numbers at full precision."""
        text: str = (self.frame if self.numbers is None else self.numbers).to_csv(index=False)
        return text.encode()

    @property
    def parquet(self) -> bytes:
        """The numbers with their types; a column of several types is written as text."""
        numbers = self.frame if self.numbers is None else self.numbers
        text = {
            str(key): values.map(str, na_action="ignore")
            for key, values in numbers.items()
            if values.dtype == object and values.dropna().map(type).nunique() > 1
        }
        content = io.BytesIO()
        numbers.assign(**text).to_parquet(content, index=False)
        return content.getvalue()
