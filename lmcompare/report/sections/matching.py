"""Matching: in which costs models were to be equal, and how close the counted costs are."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from lmcompare.report.analysis import TaskAnalysis
from lmcompare.report.formatting import engineering
from lmcompare.report.results import Results
from lmcompare.report.sections.base import Section
from lmcompare.report.sections.costs import COSTS, TOLERANCE, means
from lmcompare.report.tables import Column, Table, name, strong

_COUNTED_AS = {"tokens": "corpus_tokens", "flops": "training_flops"}
"""Costs that the setting ``match`` names otherwise than a run does."""


def sections(results: Results, analyses: Sequence[TaskAnalysis]) -> list[Section]:
    """Return each matched model beside its reference, in what it was matched."""
    table = _table(results)
    return [Section("matching", {"table": table})] if table else []


def solved(results: Results) -> dict[str, dict[str, Any]]:
    """Return, of each matched model, its costs (``by``) and its ``reference``."""
    return (results.settings.get("match") or {}).get("solved") or {}


def matched_costs(results: Results) -> list[str]:
    """Return the titles of the costs in which models were made equal; empty without matching."""
    costs = dict.fromkeys(cost for match in solved(results).values() for cost in match["by"])
    return [_title(cost) for cost in costs]


def _table(results: Results) -> Table | None:
    costs = means(results)
    rows = [
        {
            "model": model,
            "cost": cost,
            "reference": match["reference"],
            "value": _counted(costs, model, cost),
            "reference_value": _counted(costs, match["reference"], cost),
        }
        for model, match in solved(results).items()
        for cost in match["by"]
    ]
    if not rows:
        return None
    numbers = pd.DataFrame(rows)
    frame = numbers.assign(
        model=numbers["model"].map(name),
        cost=numbers["cost"].map(_title),
        reference=numbers["reference"].map(name),
        ratio=numbers["value"] / numbers["reference_value"],
    )
    columns = {
        "cost": Column("matched in"),
        "reference": Column("to"),
        "value": Column(format=engineering),
        "reference_value": Column("value of the reference", format=engineering),
        "ratio": Column(format=_ratio),
    }
    return Table("matching", frame, columns, numbers.dropna())


def _ratio(ratio: float) -> object:
    text = f"{ratio:.3f} ×"
    return text if abs(ratio - 1) <= TOLERANCE else strong(f"missed: {text}")


def _title(cost: str) -> str:
    if cost == "flops_per_token":
        return "training FLOPs per corpus token"
    return COSTS.get(_COUNTED_AS.get(cost, cost), (cost,))[0]


def _counted(costs: pd.DataFrame, model: str, cost: str) -> float:
    """Return how much of a cost a model took, the mean over seeds; NaN if it has not finished."""
    if cost == "flops_per_token":
        return _counted(costs, model, "flops") / _counted(costs, model, "tokens")
    key = _COUNTED_AS.get(cost, cost)
    known = model in costs.columns and key in costs.index
    return float(costs.loc[key, model]) if known else float("nan")
