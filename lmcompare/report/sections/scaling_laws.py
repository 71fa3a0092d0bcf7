"""Scale crossed with objective: power laws of losses and errors, where they cross, and what the variance is made of."""

import json
import math
from itertools import combinations
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

from lmcompare import statistics
from lmcompare.core.errors import InputError
from lmcompare.report.formatting import NONE, engineering, interval, joined
from lmcompare.report.markdown import Table, code, escape
from lmcompare.report.results import PRETRAINED, Results
from lmcompare.report.sections.task_figure import STYLE, look, png

FEWEST = 3
"""Different scales of one objective from which a law is fitted."""
SIZES = ("hidden_size", "num_layers", "num_heads", "ffn_multiplier")
AXES = {"parameters": "parameters", "tokens": "corpus tokens read", "flops": "training FLOPs"}
LOSS = "validation loss, nats per text target"


def points(rows: Results) -> pd.DataFrame:
    """Return a row for each network and what was measured of it.

    Columns: model, objective, seed, scale (what was set of it), parameters, tokens, flops, of (``LOSS`` or a task), y:
    the loss or the error, lower is better. The error of a task whose metric is better higher is 1 less the metric.
    Only objectives of ``FEWEST`` scales or more, and values from which powers can be taken.
    """
    found: list[dict[str, Any]] = []
    for model in rows.fresh:
        for run in rows.pretraining(model):
            network, training = ({**(run.config.get(key) or {})} for key in ("network", "training"))
            if "training_flops" not in run.costs or not network:
                continue
            scale = {key: network.pop(key, None) for key in SIZES} | {
                "tokens": training.pop("tokens", None)
            }
            said = {
                "objective": run.config.get("objective"),
                "network": network,
                "training": training,
            }
            about = {
                "model": model,
                "series": json.dumps(said, sort_keys=True),
                "seed": run.seed,
                "scale": json.dumps(scale),
                "parameters": run.costs["parameters"],
                "tokens": run.costs["corpus_tokens"],
                "flops": run.costs["training_flops"],
            }
            if run.notes.convergence:
                found.append({**about, "of": LOSS, "y": run.notes.convergence.loss})
            for task in rows.tasks:
                values = rows.values(task.name, model, PRETRAINED, task.primary)
                values = values.loc[(values["seed"] == run.seed) & (values["item"] == ""), "value"]
                y = [
                    float(value) if task.better == "lower" else 1 - float(value)
                    for value in values[:1]
                ]
                found += [{**about, "of": task.name, "y": value} for value in y]
    frame = pd.DataFrame(found, columns=["model", "series", "seed", "scale", *AXES, "of", "y"])
    frame = frame.astype(dict.fromkeys((*AXES, "y"), float))
    frame = frame[(frame["y"] > 0) & np.isfinite(frame["y"])]
    frame = frame[frame.groupby("series")["scale"].transform("nunique") >= FEWEST].copy()
    frame.insert(1, "objective", frame["series"].map(_names(frame["series"].unique().tolist())))
    return frame.drop(columns="series")


def laws(frame: pd.DataFrame) -> dict[tuple[str, str], tuple[list[str], statistics.PowerLaw]]:
    """Return, of each (of, objective), the axes that vary of parameters and tokens, and the law of these."""
    return _fitted(frame, ["parameters", "tokens"])


def _fitted(
    frame: pd.DataFrame, axes: list[str]
) -> dict[tuple[str, str], tuple[list[str], statistics.PowerLaw]]:
    made = {}
    for (of, objective), part in frame.groupby(["of", "objective"], sort=False):
        vary = [axis for axis in axes if part[axis].nunique() > 1]
        try:
            law = statistics.power_law([part[axis] for axis in vary], part["y"])
        except InputError:  # too few points: nothing to say
            continue
        made[str(of), str(objective)] = (vary, law)
    return made


def scale_tables(rows: Results) -> list[Table]:
    """Return the laws, the crossings and the shares of the variance, those that there are."""
    frame = points(rows)
    return (
        [table for table in (_laws(frame), _crossings(frame), _variance(frame)) if table]
        if len(frame)
        else []
    )


def _laws(frame: pd.DataFrame) -> Table | None:
    both, alone = laws(frame), _fitted(frame, ["flops"])
    rendered, numbers = [], []
    for (of, objective), (_, of_flops) in alone.items():
        part = frame[(frame["of"] == of) & (frame["objective"] == objective)]
        vary, law = both.get((of, objective), ([], of_flops))
        found = {axis: law.exponent(place) for place, axis in enumerate(vary)} | {
            "flops": of_flops.exponent()
        }
        cells = [interval(*found[axis], 3) if axis in found else NONE for axis in AXES]
        rendered.append(
            [escape(of), code(objective), str(part["scale"].nunique()), str(len(part)), *cells]
        )
        numbers += [
            {
                "of": of,
                "objective": objective,
                "axis": axis,
                "exponent": e,
                "low": low,
                "high": high,
            }
            for axis, (e, low, high) in found.items()
        ]
    headings = ["loss or error of", "objective", "scales", "networks"]
    headings += [f"exponent of {said}" for said in AXES.values()]
    return Table("scaling", headings, rendered, pd.DataFrame(numbers)) if rendered else None


def _crossings(frame: pd.DataFrame) -> Table | None:
    """Where the laws of FLOPs of two objectives cross, of tasks alone: losses of two objectives are not comparable."""
    fitted = _fitted(frame[frame["of"] != LOSS], ["flops"])
    least, most = frame["flops"].min(), frame["flops"].max()
    rendered, numbers = [], []
    for (of, one), (other, two) in combinations(fitted, 2):
        if of != other:
            continue
        at, low, high = statistics.crossing(fitted[of, one][1], fitted[of, two][1])
        ends = f"[{engineering(low)}, {engineering(high)}]" if math.isfinite(low + high) else ""
        where = (
            "within what was run" if least <= at <= most else "beyond what was run: extrapolated"
        )
        said = (
            f"{engineering(at, 'FLOPs')} {ends}" if ends else "not told: the exponents may be equal"
        )
        rendered.append([escape(of), code(one), code(two), said, where if ends else NONE])
        numbers.append(
            {"of": of, "first": one, "second": two, "flops": at, "low": low, "high": high}
        )
    headings = ["error of", "first", "second", "predicted to cross at", "which is"]
    return Table("crossings", headings, rendered, pd.DataFrame(numbers)) if rendered else None


def _variance(frame: pd.DataFrame) -> Table | None:
    """What the variance of each task's log error goes with, at the scales that every objective has."""
    rendered, numbers = [], []
    for of, part in frame[frame["of"] != LOSS].groupby("of", sort=False):
        kinds = part["objective"].nunique()
        part = part[part.groupby("scale")["objective"].transform("nunique") == kinds]
        if kinds < 2 or part["scale"].nunique() < 2:
            continue
        found = statistics.shares(
            np.log(part["y"]), part["scale"].tolist(), part["objective"].tolist()
        )
        cells = [
            f"{100 * share:.0f}%" if math.isfinite(share) else NONE for share in found.values()
        ]
        cells[-1] = cells[-1] if part["seed"].nunique() > 1 else NONE
        rendered.append([escape(str(of)), str(part["scale"].nunique()), str(len(part)), *cells])
        numbers.append({"of": of, **found})
    headings = [
        "log error of",
        "scales",
        "networks",
        "scale",
        "objective",
        "scale × objective",
        "seed",
    ]
    return Table("variance", headings, rendered, pd.DataFrame(numbers)) if rendered else None


def unlearnt(rows: Results) -> str:
    """Name the networks of a law that have not passed the gate, and say what that means; '' if all have."""
    failed = [
        code(model)
        for model in points(rows)["model"].unique()
        if rows.converged(str(model)) is False
    ]
    if not failed:
        return ""
    what = "a law, a crossing or a share of the variance that rests on it"
    return f"**Gate not passed** by {joined(failed)}: {what} says when learning begins, not what size is worth."


def scale_figure(rows: Results) -> bytes | None:
    """Draw losses and errors against parameters, tokens and FLOPs, log-log, with each law that has one axis alone.

    None where no objective has ``FEWEST`` scales.
    """
    frame = points(rows)
    if frame.empty:
        return None
    axes = [axis for axis in AXES if frame[axis].nunique() > 1]
    of = list(frame["of"].unique())
    objectives = list(frame["objective"].unique())
    both, alone = laws(frame), _fitted(frame, ["flops"])
    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(9.6, 0.6 + 2.7 * len(of)), layout="constrained")
        panels = drawn.subplots(len(of), len(axes), squeeze=False, sharey="row", sharex="col")
        for row, what in zip(panels, of, strict=True):
            for panel, axis in zip(row, axes, strict=True):
                for objective in objectives:
                    part = frame[(frame["of"] == what) & (frame["objective"] == objective)]
                    colour, marker = look(objectives, objective)
                    panel.plot(
                        part[axis],
                        part["y"],
                        color=colour,
                        marker=marker,
                        markersize=5,
                        linestyle="",
                    )
                    vary, law = (alone if axis == "flops" else both).get(
                        (what, objective), ([], None)
                    )
                    if law is not None and vary == [axis]:
                        ends = np.array([part[axis].min(), part[axis].max()])
                        panel.plot(ends, law.at(ends), color=colour, linewidth=1.6)
                panel.set_xscale("log")
                panel.set_yscale("log")
                panel.yaxis.set_minor_locator(NullLocator())
                low, high = frame.loc[frame["of"] == what, "y"].agg(["min", "max"])
                ticks = np.geomspace(low, high, 4)
                panel.set_yticks(ticks, [f"{tick:.3g}" for tick in ticks])
                panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                panel.xaxis.set_minor_locator(NullLocator())
                panel.xaxis.set_major_formatter(EngFormatter(sep=" "))
            row[0].set_ylabel(what if what == LOSS else f"error: {what}")
        for panel, axis in zip(panels[-1], axes, strict=True):
            panel.set_xlabel(AXES[axis])
        keys = [
            Line2D(
                [], [], color=look(objectives, one)[0], marker=look(objectives, one)[1], label=one
            )
            for one in objectives
        ]
        drawn.legend(handles=keys, loc="outside lower left", ncols=4)
        return png(drawn)


def _names(series: list[str]) -> dict[str, str]:
    """Return what each series is called: the objective's word, and what of it is set where others share the word."""
    kinds = {one: str(json.loads(one)["objective"]["kind"]) for one in series}
    names = {}
    for one, kind in kinds.items():
        alike = [other for other in series if kinds[other] == kind]
        names[one] = kind if len(alike) == 1 else f"{kind} {alike.index(one) + 1}"
    return names
