"""Paired disagreements: which items one model gets right and another wrong."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lmcompare import statistics
from lmcompare.report.analysis import MeasuredModel, TaskAnalysis
from lmcompare.report.formatting import MetricFormat, control_title, probability
from lmcompare.report.markdown import slug
from lmcompare.report.outcomes import ItemOutcomes
from lmcompare.report.results import CONTROL, PRETRAINED, Results
from lmcompare.report.sections.base import Section
from lmcompare.report.sections.overview import best
from lmcompare.report.tables import Column, Table, name

Pair = tuple[MeasuredModel, MeasuredModel, list[tuple[int, int]]]
"""Two models, and the seeds on which each pair of runs is compared."""
CELLS = ["both_right", "first_alone", "second_alone", "both_wrong"]


def sections(results: Results, analyses: Sequence[TaskAnalysis]) -> list[Section]:
    """Return the table of each task whose items are right or wrong, if models can be paired."""
    tables = {analysis.task.name: _table(analysis) for analysis in analyses}
    return [Section("disagreements", {"table": t}, task) for task, t in tables.items() if t]


def counts(
    first: ItemOutcomes, second: ItemOutcomes, seeds: Sequence[tuple[int, int]]
) -> pd.DataFrame:
    """Return the 2 x 2 table of each pair of seeds, over the items that both answered: a row each.

    Columns: seed, other_seed, items, both_right, first_alone, second_alone, both_wrong, p (of
    McNemar's exact test).
    """
    items = sorted({*first.items} & {*second.items})
    if not seeds or not items:
        return pd.DataFrame()
    seed, other_seed = (list(side) for side in zip(*seeds, strict=True))
    right: NDArray[np.bool_] = first.at(seed, items).numerators > 0.5  # (pairs, items)
    other: NDArray[np.bool_] = second.at(other_seed, items).numerators > 0.5
    both, alone, alone_other = (
        matrix.sum(axis=1) for matrix in (right & other, right & ~other, other & ~right)
    )
    return pd.DataFrame(
        {
            "seed": seed,
            "other_seed": other_seed,
            "items": len(items),
            "both_right": both,
            "first_alone": alone,
            "second_alone": alone_other,
            "both_wrong": len(items) - both - alone - alone_other,
            "p": [
                statistics.mcnemar(int(b), int(c)) for b, c in zip(alone, alone_other, strict=True)
            ],
        }
    )


def comparable(analysis: TaskAnalysis) -> list[Pair]:
    """Return the pairs of models whose items are right or wrong, with the seeds that both have."""
    models = [measured for measured in analysis.of(PRETRAINED) if _binary(measured)]
    pairs = [
        (a, b, [(seed, seed) for seed in sorted({*a.seeds} & {*b.seeds})])
        for a, b in combinations(models, 2)
    ]
    return [pair for pair in pairs if pair[2]]


def _table(analysis: TaskAnalysis) -> Table | None:
    """Pair models with each other, with the best control, and with themselves."""
    pairs = comparable(analysis)
    if not pairs:
        return None
    models = [measured for measured in analysis.of(PRETRAINED) if _binary(measured)]
    control = best(analysis, CONTROL)
    if control and _binary(control):
        pairs += [(model, control, [(seed, 0) for seed in model.seeds]) for model in models]
    pairs += [(model, model, list(combinations(model.seeds, 2))) for model in models]

    lines, numbers = [], []
    for a, b, seeds in pairs:
        frame = counts(a.outcome, b.outcome, seeds)
        if frame.empty:
            continue
        numbers.append(frame.assign(first=a.model, second=b.model))
        shares = frame[CELLS].div(frame["items"], axis=0).mean()
        second = control_title(b.model) if b.condition == CONTROL else name(b.model)
        p_range = dict.fromkeys(probability(p) for p in (frame["p"].min(), frame["p"].max()))
        lines.append(
            {
                "pair": [name(a.model), " and ", "itself, another seed" if a is b else second],
                **shares,
                "either_right": 1 - shares["both_wrong"],
                "p": None if a is b else " to ".join(p_range),
            }
        )
    headings = {
        "both_right": "both right, %",
        "first_alone": "first alone, %",
        "second_alone": "second alone, %",
        "both_wrong": "both wrong, %",
        "either_right": "right by either, %",
    }
    percent = MetricFormat("", scale=100)
    formats = {key: Column(heading, percent, decimals=1) for key, heading in headings.items()}
    table = pd.concat(numbers, ignore_index=True)
    table = table[["first", "second", *(key for key in table if key not in ("first", "second"))]]
    return Table(f"disagreements-{slug(analysis.task.name)}", pd.DataFrame(lines), formats, table)


def _binary(measured: MeasuredModel) -> bool:
    outcome = measured.outcome
    return (
        outcome.denominators is None
        and outcome.items != ("",)
        and bool(np.isin(outcome.numerators, (0, 1)).all())
    )
