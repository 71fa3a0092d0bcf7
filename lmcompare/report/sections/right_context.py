"""What the right side of a gap is worth to a network that may read it."""

import pandas as pd

from lmcompare import statistics
from lmcompare.report.analysis import TaskAnalysis, decimals_of, format_interval
from lmcompare.report.formatting import metric_format, plain
from lmcompare.report.markdown import Table, code, slug
from lmcompare.report.outcomes import item_outcomes, paired
from lmcompare.report.results import PRETRAINED, Results
from lmcompare.report.sections._former_section import Section

BOTH, LEFT = "bits_per_byte", "bits_per_byte_left"

_DECIMALS = 4
"""Most decimals of bits per byte: what is nothing at so many is nothing."""


def worth(rows: Results, task: str, model: str) -> statistics.Difference | None:
    """Return bits per byte given the left side alone less those given both sides, paired on item and seed.

    Positive where the right side helps. None of a model that was not asked both ways.
    """
    alone, both = (item_outcomes(rows, task, model, PRETRAINED, metric) for metric in (LEFT, BOTH))
    return None if alone is None or both is None or alone.items == ("",) else paired(alone, both)


def said(rows: Results, task: str, model: str) -> str:
    """Say in half a sentence what the right side is worth to ``model``; '' where that was not asked."""
    value = worth(rows, task, model)
    if value is None:
        return ""
    metric = metric_format(BOTH, "lower")
    known = format_interval(metric, value, min(_DECIMALS, decimals_of(metric, [value])), sign=True)
    return f"what stands to the right of a gap is worth {known} bits per byte to it"


def block(rows: Results, found: TaskAnalysis) -> Section | None:
    """The worth of the right side to each model; None where no model was asked with it and without."""
    task, metric = found.task.name, metric_format(BOTH, "lower")
    of = {model: value for model in rows.models if (value := worth(rows, task, model)) is not None}
    if not of:
        return None
    decimals = min(_DECIMALS, decimals_of(metric, of.values()))
    lines, numbers = [], []
    for model, value in of.items():
        pair = [item_outcomes(rows, task, model, PRETRAINED, name) for name in (LEFT, BOTH)]
        means = [sum(one.per_seed) / len(one.per_seed) for one in pair if one is not None]
        lines.append(
            [
                code(model),
                *(plain(mean, decimals) for mean in means),
                format_interval(metric, value, decimals, True),
            ]
        )
        numbers.append(
            {
                "model": model,
                LEFT: means[0],
                BOTH: means[1],
                "worth": value.value,
                "low": value.low,
                "high": value.high,
            }
        )
    name = f"sides-{slug(task)}"
    text = (
        "Bits per byte of what stood in the gap, given the left side alone, less those given both sides. A network to "
        "which the right side is worth nothing has not learnt to use it: what the table above says of that network is "
        "then said of its training, and not of what its objective lets it see."
    )
    headings = ["model", "left alone ↓", "both sides ↓", "the right side is worth [95%]"]
    return Section(
        name,
        "What the right side is worth",
        text,
        table=Table(name, headings, lines, pd.DataFrame(numbers)),
    )
