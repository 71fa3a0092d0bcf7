"""From a number that is printed back to the numbers of a CSV file."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lmcompare.report.formatting import control_title
from lmcompare.report.sections.costs import COSTS

_NUMBER = re.compile(
    r"(?<![\w.])([−+-]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?)"
    r"(?: ([nµmkMGTPEZ])(?=FLOPs|B\b|s\b|$|[ ;,)]))?"
)
_PREFIXES = {
    "n": 1e-9,
    "µ": 1e-6,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
    "E": 1e18,
    "Z": 1e21,
}
_NAMES = (
    "task",
    "model",
    "condition",
    "first",
    "second",
    "objective",
    "name",
    "of",
    "count",
    "cost",
    "part",
)


@dataclass(frozen=True)
class Printed:
    """A number as it is printed, and how far it may be from what was rounded."""

    text: str
    value: float
    slack: float


def printed(text: str) -> Iterator[Printed]:
    """Yield the numbers of a text; '6.68 TFLOPs' is 6.68e12, to 5e9."""
    for found in _NUMBER.finditer(text):
        digits = found[1].replace(",", "").replace("−", "-")
        scale = _PREFIXES.get(found[2] or "", 1.0)
        mantissa, _, exponent = digits.partition("e")
        places = len(mantissa.partition(".")[2])
        unit = scale * 10.0 ** (int(exponent or 0) - places)
        yield Printed(found[0], float(digits) * scale, 0.5001 * unit)


def cells(markdown: str) -> list[list[str]]:
    """Return the rows of a table in markdown, the heading first."""
    lines = [
        line
        for line in markdown.splitlines()
        if line.startswith("| ") and not re.match(r"\|( -+:? \|)+$", line)
    ]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def _named(frame: pd.DataFrame, row: list[str], columns: tuple[str, ...] = _NAMES) -> pd.DataFrame:
    """Return the rows of a CSV file that a row of a table is about, as far as its names tell."""
    text = " ".join(row).replace("`", "").replace("\\", "")
    for column in [name for name in columns if name in frame.columns]:
        names = frame[column].fillna("").astype(str)
        spoken = {name: {name, control_title(name), name.replace("_", " "), COSTS.get(name, (name, ""))[0]}
                  for name in names.unique()}  # fmt: skip
        said = [
            name for name, forms in spoken.items() if name and any(form in text for form in forms)
        ]
        longest = [
            name for name in said if not any(name != other and name in other for other in said)
        ]
        if longest:
            frame = frame[names.isin(longest)]
    return frame


def candidates(table: str, frame: pd.DataFrame) -> NDArray[np.float64]:
    """Return every number that a row may print: of its rows, and their means, spreads and counts
    over seeds.
    """
    numeric = [name for name in frame.columns if frame[name].dtype.kind in "if" and name != "seed"]
    said = (
        [pd.to_numeric(frame["value"], errors="coerce")]
        if "value" in frame and "value" not in numeric
        else []
    )
    groups = frame.groupby(
        [name for name in frame.columns if name not in numeric and name not in ("seed", "value")]
        or (lambda _: 0),
        dropna=False,
    )
    means = groups[numeric].mean() if numeric else pd.DataFrame()
    parts = [
        *(frame[name] for name in numeric),
        *(means[name] for name in means),
        *said,
        groups.size(),
    ]
    parts += [spread for name in numeric if (spread := groups[name].std(ddof=1)) is not None]
    if "seed" in frame:
        parts.append(frame["seed"])
    if table == "budget" and len(means):
        parts.append(means.groupby("cost")["value"].agg(lambda values: values.max() / values.min()))
    if table.startswith("disagreements"):
        of = frame.groupby(["first", "second"])[
            ["both_right", "first_alone", "second_alone", "both_wrong", "items"]
        ]
        share = of.mean().pipe(lambda one: one.div(one["items"], axis=0))
        parts += [share[name] for name in share] + [1 - share["both_wrong"]]
    if table.startswith("reliability"):
        parts += [frame["bin"] / 15, (frame["bin"] - 1) / 15]
    values = np.concatenate([np.asarray(part, dtype=float).ravel() for part in parts])
    scales = (1, 100, 1000) if table.startswith("latency") else (1, 100)
    every: NDArray[np.float64] = np.unique(
        np.concatenate([values[np.isfinite(values)] * scale for scale in scales])
    )
    return every


def untraced(table: str, markdown: str, frame: pd.DataFrame) -> tuple[list[str], int]:
    """Return the numbers of a table that no number of its CSV file rounds to, and how many were
    looked for.
    """
    lost, seen = [], 0
    for row in cells(markdown)[1:]:
        # the overview has a column a model, and names some of them again in its last column
        columns = ("task",) if table == "overview" else _NAMES
        known = candidates(table, _named(frame, row, columns))
        for number in (
            one for cell in row[1:] if not cell.startswith("`") for one in printed(cell)
        ):
            seen += 1
            bound = any("< 0.001" in cell for cell in row) and number.text == "0.001"
            if not bound and not (np.abs(known - number.value) <= number.slack).any():
                lost.append(f"{table}: {' '.join(row[:2])}: {number.text}")
    return lost, seen
