"""In what the models were made equal, and how near they came, as counted while they were trained."""

from typing import Any

import pandas as pd

from lmcompare.report.formatting import NONE, engineering, joined
from lmcompare.report.markdown import Table, code
from lmcompare.report.results import Results
from lmcompare.report.sections.budget import COSTS, TOLERANCE, means

_COUNTED = {"tokens": "corpus_tokens", "flops": "training_flops"}
"""What a run calls a cost that the setting ``match`` calls otherwise."""


def solved(rows: Results) -> dict[str, dict[str, Any]]:
    """Return, of each model that was matched, in what (``by``) and to which model (``reference``)."""
    found: dict[str, dict[str, Any]] = (rows.settings.get("match") or {}).get("solved") or {}
    return found


def rule(rows: Results) -> str:
    """Say what a run gives its models in equal amount."""
    words = dict.fromkeys(_title(word) for one in solved(rows).values() for word in one["by"])
    return (
        f"makes models equal in {joined(list(words))}"
        if words
        else "gives each model the same corpus tokens"
    )


def table(rows: Results) -> Table | None:
    """Set each matched model against its reference, in what it was matched; None if nothing was matched."""
    frame = means(rows)
    rendered, numbers = [], []
    for model, one in solved(rows).items():
        for word in one["by"]:
            mine, other = _counted(frame, model, word), _counted(frame, one["reference"], word)
            if mine is None or other is None:
                rendered.append(
                    [code(model), _title(word), code(one["reference"]), NONE, NONE, NONE]
                )
                continue
            off = mine / other
            flag = f"{off:.3f} ×" if abs(off - 1) <= TOLERANCE else f"**missed: {off:.3f} ×**"
            rendered.append(
                [
                    code(model),
                    _title(word),
                    code(one["reference"]),
                    engineering(mine),
                    engineering(other),
                    flag,
                ]
            )
            numbers.append(
                {
                    "model": model,
                    "cost": word,
                    "reference": one["reference"],
                    "has": mine,
                    "wanted": other,
                }
            )
    headings = ["model", "was matched in", "to", "has", "the other has", "ratio"]
    return Table("matching", headings, rendered, pd.DataFrame(numbers)) if rendered else None


def _title(word: str) -> str:
    if word == "flops_per_token":
        return "training FLOPs per corpus token"
    return COSTS.get(_COUNTED.get(word, word), (word,))[0]


def _counted(frame: pd.DataFrame, model: str, word: str) -> float | None:
    """Return how much of a cost a model took, the mean over seeds; None if it has not finished."""
    above, below = (
        ("training_flops", "corpus_tokens")
        if word == "flops_per_token"
        else (_COUNTED.get(word, word), "")
    )
    if model not in frame.columns or above not in frame.index:
        return None
    return float(frame.loc[above, model] / (frame.loc[below, model] if below else 1))
