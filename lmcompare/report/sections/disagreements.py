"""Paired disagreements: which items one model gets right and another wrong."""

from itertools import combinations

import numpy as np
import pandas as pd

from lmcompare import statistics
from lmcompare.report.analysis import MeasuredModel, TaskAnalysis
from lmcompare.report.formatting import NONE, plain, probability
from lmcompare.report.markdown import Table, code, slug
from lmcompare.report.outcomes import ItemOutcomes
from lmcompare.report.results import CONTROL, PRETRAINED
from lmcompare.report.sections._former_section import Section
from lmcompare.report.sections.overview import best
from lmcompare.report.sections.task_tables import who


def counts(first: ItemOutcomes, second: ItemOutcomes, seeds: list[tuple[int, int]]) -> pd.DataFrame:
    """Return the 2 x 2 table of each pair of seeds, items that both answered: a row each.

    Columns: seed, other_seed, items, both_right, first_alone, second_alone, both_wrong, p (McNemar's, exact).
    """
    items = sorted({*first.items} & {*second.items})
    found = []
    for seed, other in seeds:
        a, b = (
            first.at([seed], items).numerators[0] > 0.5,
            second.at([other], items).numerators[0] > 0.5,
        )
        alone, alone_second = int((a & ~b).sum()), int((b & ~a).sum())
        found.append(
            {"seed": seed, "other_seed": other, "items": len(items), "both_right": int((a & b).sum()),
             "first_alone": alone, "second_alone": alone_second, "both_wrong": int((~a & ~b).sum()),
             "p": statistics.mcnemar(alone, alone_second)}
        )  # fmt: skip
    return pd.DataFrame(found)


def block(found: TaskAnalysis) -> Section | None:
    """The table of a task whose items are right or wrong; None of other tasks, or where nothing can be paired.

    Models against each other on the same seed, each against the best control, and, to know what is chance, each against
    itself on another seed.
    """
    models = [one for one in found.of(PRETRAINED) if _binary(one)]
    control = best(found, CONTROL)
    pairs = [(a, b, sorted({*a.seeds} & {*b.seeds})) for a, b in combinations(models, 2)]
    frames = [
        _named(a, b, counts(a.outcome, b.outcome, [(s, s) for s in seeds]))
        for a, b, seeds in pairs
        if seeds
    ]
    if not frames:
        return None
    if control and _binary(control):
        frames += [
            _named(a, control, counts(a.outcome, control.outcome, [(s, 0) for s in a.seeds]))
            for a in models
        ]
    frames += [
        _named(a, a, counts(a.outcome, a.outcome, list(combinations(a.seeds, 2))))
        for a in models
        if a.seeds[1:]
    ]
    numbers = pd.concat(
        [frame for frame in frames if len(frame) and frame["items"].min() > 0], ignore_index=True
    )
    name = f"disagreements-{slug(found.task.name)}"
    text = (
        "Share of the items, mean over seeds. *Right by either*: what one would have who knew which of the two to ask. "
        "The last rows set two seeds of one model against each other: two models that disagree no more than that differ by "
        "the luck of a seed. *p*: McNemar's, exact, of each seed, smallest to largest; it knows items alone, not seeds."
    )
    return Section(name, "Paired disagreements: who is right where the other is wrong", text,
                 table=_table(numbers, found, name), folded="all")  # fmt: skip


def _binary(one: MeasuredModel) -> bool:
    outcome = one.outcome
    return (
        outcome.denominators is None
        and outcome.items != ("",)
        and bool(np.isin(outcome.numerators, (0, 1)).all())
    )


def _named(a: MeasuredModel, b: MeasuredModel, frame: pd.DataFrame) -> pd.DataFrame:
    frame.insert(0, "first", a.model)
    frame.insert(1, "second", b.model)
    return frame


def _table(numbers: pd.DataFrame, found: TaskAnalysis, name: str) -> Table:
    lines = []
    for (first, second), part in numbers.groupby(["first", "second"], sort=False):
        columns = ["both_right", "first_alone", "second_alone", "both_wrong"]
        share = part[columns].div(part["items"], axis=0).mean()
        itself = first == second
        control = (
            not itself
            and (second, CONTROL) in found.measured
            and (second, PRETRAINED) not in found.measured
        )
        other = "itself, another seed" if itself else who(str(second), CONTROL if control else "")
        ps = sorted(part["p"])
        ends = [probability(p) for p in (ps[0], ps[-1])]
        either = 1 - share["both_wrong"]
        cells = [plain(100 * value, 1) for value in (*share, either)]
        lines.append(
            [
                f"{code(first)} and {other}",
                *cells,
                NONE if itself else " to ".join(dict.fromkeys(ends)),
            ]
        )
    headings = ["pair", "both right, %", "first alone, %", "second alone, %", "both wrong, %"]
    headings += ["right by either, %", "p"]
    return Table(name, headings, lines, numbers)
