"""Seed variance: interquartile means, and the probability of improvement between models."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lmcompare import statistics
from lmcompare.report.analysis import MeasuredModel, TaskAnalysis
from lmcompare.report.markdown import slug
from lmcompare.report.outcomes import PROPER
from lmcompare.report.results import PRETRAINED, Results
from lmcompare.report.sections.base import Section
from lmcompare.report.tables import Column, Table, name

FEWEST = 4
"""Seeds from which there is an interquartile mean."""


def sections(results: Results, analyses: Sequence[TaskAnalysis]) -> list[Section]:
    """Return the table of each task on which two models or more have four seeds.

    Agarwal et al. 2021, sections 4.2 and 4.3.
    """
    built = []
    for analysis in analyses:
        models = [
            measured
            for measured in analysis.of(PRETRAINED)
            if len(measured.seeds) >= FEWEST and measured.exactness in PROPER
        ]
        if len(models) > 1:
            seeds = min(len(measured.seeds) for measured in models)
            facts = {"seeds": seeds, "table": _table(analysis, models)}
            built.append(Section("seed_variance", facts, analysis.task.name))
    return built


def _table(analysis: TaskAnalysis, models: list[MeasuredModel]) -> Table:
    metric = analysis.metric
    sign = 1 if analysis.task.better == "higher" else -1
    lines, numbers = [], []
    for measured in models:
        values = np.array(measured.per_seed)
        spread = {
            "iqm": statistics.interquartile_mean(values),
            "low": values.min(),
            "high": values.max(),
        }
        line = {"model": name(measured.model), **spread}
        for other in models:
            better = statistics.probability_of_improvement(
                sign * values, sign * np.array(other.per_seed)
            )
            line[f"better {other.model}"] = None if other is measured else better
            if other is not measured:
                row = {"model": measured.model, "seeds": len(values), **spread}
                row |= {"other": other.model, "probability_of_improvement": better}
                numbers.append(row)
        lines.append(line)
    formats = {
        "iqm": Column(f"interquartile mean, {metric.heading}", metric, metric.decimals),
        "low": Column("lowest", metric, metric.decimals),
        "high": Column("highest", metric, metric.decimals),
    }
    for other in models:
        formats[f"better {other.model}"] = Column(["better than ", name(other.model)], decimals=2)
    file_name = f"seed-variance-{slug(analysis.task.name)}"
    return Table(file_name, pd.DataFrame(lines), formats, pd.DataFrame(numbers))
