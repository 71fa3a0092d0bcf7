"""The luck of a seed: the middle half of a model's seeds, and how often a run of one model beats a run of another."""

import numpy as np
import pandas as pd

from lmcompare import statistics
from lmcompare.report.analysis import TaskAnalysis
from lmcompare.report.formatting import NONE, counted, plain
from lmcompare.report.markdown import Table, code, slug
from lmcompare.report.results import PRETRAINED
from lmcompare.report.sections._former_section import Section
from lmcompare.report.sections.task_tables import EXACTNESS

FEWEST = 4
"""Seeds from which there is a middle half."""


def block(found: TaskAnalysis) -> Section | None:
    """The interquartile mean of each model, and by row the share of pairs of runs in which it beats the model of a column.

    None where fewer than two models have four seeds (Agarwal et al. 2021, sections 4.2 and 4.3).
    """
    models = [
        one
        for one in found.of(PRETRAINED)
        if len(one.seeds) >= FEWEST and one.exactness in EXACTNESS
    ]
    if len(models) < 2:
        return None
    sign, scale = (1 if found.task.better == "higher" else -1), found.metric.scale
    lines, numbers = [], []
    for one in models:
        values = np.array(one.per_seed)
        middle = statistics.interquartile_mean(values)
        cells = [
            plain(value * scale, found.metric.decimals)
            for value in (middle, values.min(), values.max())
        ]
        for other in models:
            p = statistics.probability_of_improvement(
                sign * values, sign * np.array(other.per_seed)
            )
            cells.append(NONE if other is one else plain(p, 2))
            if other is not one:
                said = {
                    "seeds": len(values),
                    "iqm": middle,
                    "low": values.min(),
                    "high": values.max(),
                }
                numbers.append(
                    {
                        "model": one.model,
                        **said,
                        "other": other.model,
                        "probability_of_improvement": p,
                    }
                )
        lines.append([code(one.model), *cells])
    name = f"luck-{slug(found.task.name)}"
    headings = ["model", f"interquartile mean, {found.metric.heading}", "lowest", "highest"]
    headings += [f"beats {code(one.model)}" for one in models]
    text = (
        f"{counted(min(len(one.seeds) for one in models), 'seed')} of each model at least. *Beats*: the share of all pairs "
        "of runs in which a run of this model has the better value, ties counting half: 0.5 is luck alone, 1 that no "
        "seed of the other comes near. Items are not drawn again here."
    )
    return Section(
        name,
        "The luck of a seed",
        text,
        table=Table(name, headings, lines, pd.DataFrame(numbers)),
        folded="all",
    )
