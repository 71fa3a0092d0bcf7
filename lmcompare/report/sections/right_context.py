"""Right context: what the text after a masked span is worth to a model."""

from collections.abc import Sequence

import pandas as pd

from lmcompare import statistics
from lmcompare.report.analysis import TaskAnalysis, decimals_of
from lmcompare.report.formatting import metric_format
from lmcompare.report.markdown import slug
from lmcompare.report.outcomes import item_outcomes, paired
from lmcompare.report.results import PRETRAINED, Results
from lmcompare.report.sections.base import Section
from lmcompare.report.tables import Column, Table, name

BOTH, LEFT = "bits_per_byte", "bits_per_byte_left"
_DECIMALS = 4
"""Most decimals of bits per byte: a worth that is 0 at so many is 0."""


def sections(results: Results, analyses: Sequence[TaskAnalysis]) -> list[Section]:
    """Return the worth of the right context, of tasks that were scored with it and without."""
    tables = {analysis.task.name: _table(results, analysis.task.name) for analysis in analyses}
    return [Section("right_context", {"table": t}, task) for task, t in tables.items() if t]


def worth(results: Results, task: str, model: str) -> statistics.Difference | None:
    """Return bits per byte given the left context minus those given both, paired on item and seed.

    Positive where the right context helps; None if the model was not scored both ways.
    """
    left, both = (item_outcomes(results, task, model, PRETRAINED, m) for m in (LEFT, BOTH))
    return None if left is None or both is None or left.items == ("",) else paired(left, both)


def decimals(values: Sequence[statistics.Difference]) -> int:
    """Return the decimals at which worths are written."""
    return min(_DECIMALS, decimals_of(metric_format(BOTH, "lower"), values))


def _table(results: Results, task: str) -> Table | None:
    rows = []
    for model in results.models:
        difference = worth(results, task, model)
        if difference is None:
            continue
        outcomes = [item_outcomes(results, task, model, PRETRAINED, m) for m in (LEFT, BOTH)]
        left, both = (sum(o.per_seed) / len(o.per_seed) for o in outcomes if o is not None)
        rows.append({"model": model, LEFT: left, BOTH: both, "worth": difference})
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    places = decimals(frame["worth"].tolist())
    columns = {
        LEFT: Column("left context alone ↓", decimals=places),
        BOTH: Column("both contexts ↓", decimals=places),
        "worth": Column("worth of the right context [95%]", decimals=places, signed=True),
    }
    numbers = frame.assign(
        **{"worth": [d.value for d in frame["worth"]]},
        low=[d.low for d in frame["worth"]],
        high=[d.high for d in frame["worth"]],
    )
    frame["model"] = frame["model"].map(name)
    return Table(f"right-context-{slug(task)}", frame, columns, numbers)
