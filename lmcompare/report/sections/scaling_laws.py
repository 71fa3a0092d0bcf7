"""Scaling laws of losses and errors, where they cross, and a decomposition of variance."""

import json
import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

from lmcompare import statistics
from lmcompare.core.errors import InputError
from lmcompare.report import plots
from lmcompare.report.analysis import TaskAnalysis
from lmcompare.report.formatting import engineering, interval
from lmcompare.report.results import PRETRAINED, Results
from lmcompare.report.sections.base import Figure, Section
from lmcompare.report.tables import Column, Table, name

MIN_SCALES = 3
"""Different scales of one objective from which a law is fitted."""
SIZES = ("hidden_size", "num_layers", "num_heads", "ffn_multiplier")
AXES = {"parameters": "parameters", "tokens": "corpus tokens read", "flops": "training FLOPs"}
LOSS = "validation loss, nats per text target"

Laws = dict[tuple[str, str], tuple[list[str], statistics.PowerLaw]]
"""Of each measure and objective: the axes that vary, and the law of these."""


def sections(results: Results, analyses: Sequence[TaskAnalysis]) -> list[Section]:
    """Return the laws, where an objective has three scales or more."""
    frame = points(results)
    if frame.empty:
        return []
    joint, flops_alone = fit(frame, ["parameters", "tokens"]), fit(frame, ["flops"])
    models = frame["model"].unique()
    facts = {
        "unconverged": [model for model in models if results.converged(model) is False],
        "exponents": _exponents(frame, joint, flops_alone),
        "figure": Figure("scale", _draw(frame, joint, flops_alone)),
    }
    more = {"crossings": _crossings(frame), "variance": _variance(frame)}
    return [
        Section("scaling_laws", facts, first_page=True),
        *([Section("scaling_comparison", more)] if any(more.values()) else []),
    ]


def points(results: Results) -> pd.DataFrame:
    """Return a row for each network and measure, of objectives with ``MIN_SCALES`` scales.

    Columns: model, objective, seed, scale (its settings of size), parameters, tokens, flops, of
    (``LOSS`` or a task), y: the loss or the error, lower is better. The error of a task whose
    metric is better higher is 1 - metric.
    """
    columns = ["model", "series", "seed", "scale", *AXES, "loss"]
    networks = pd.DataFrame(_networks(results), columns=columns)
    scales = networks.groupby("series")["scale"].transform("nunique")
    networks = networks[scales >= MIN_SCALES]
    if networks.empty:
        return pd.DataFrame(columns=["model", "objective", "seed", "scale", *AXES, "of", "y"])

    keys = ["model", "seed"]
    measures = [networks.rename(columns={"loss": "y"}).assign(of=LOSS)]
    for task in results.tasks:
        values = [
            results.values(task.name, model, PRETRAINED, task.primary).assign(model=model)
            for model in networks["model"].unique()
        ]
        frame = pd.concat(values)
        frame = frame[frame["item"] == ""]
        frame["y"] = frame["value"] if task.better == "lower" else 1 - frame["value"]
        measures.append(networks.merge(frame[[*keys, "y"]], on=keys).assign(of=task.name))
    frame = pd.concat(measures, ignore_index=True)
    frame = frame.astype(dict.fromkeys((*AXES, "y"), float))
    frame = frame[(frame["y"] > 0) & np.isfinite(frame["y"])]
    frame = frame[frame.groupby("series")["scale"].transform("nunique") >= MIN_SCALES].copy()
    titles = _titles(frame["series"].unique().tolist())
    frame.insert(1, "objective", frame["series"].map(titles))
    order = {model: place for place, model in enumerate(results.fresh)}
    frame = frame.sort_values(
        keys, key=lambda c: c.map(order) if c.name == "model" else c, kind="stable"
    )
    return frame[["model", "objective", "seed", "scale", *AXES, "of", "y"]]


def _networks(results: Results) -> list[dict[str, Any]]:
    networks = []
    for model in results.fresh:
        for run in results.pretraining(model):
            network, training = ({**(run.config.get(key) or {})} for key in ("network", "training"))
            if "training_flops" not in run.costs or not network:
                continue
            scale = {key: network.pop(key, None) for key in SIZES}
            scale |= {"tokens": training.pop("tokens", None)}
            rest = {
                "objective": run.config.get("objective"),
                "network": network,
                "training": training,
            }
            networks.append(
                {
                    "model": model,
                    "series": json.dumps(rest, sort_keys=True),
                    "seed": run.seed,
                    "scale": json.dumps(scale),
                    "parameters": run.costs["parameters"],
                    "tokens": run.costs["corpus_tokens"],
                    "flops": run.costs["training_flops"],
                    "loss": run.notes.convergence.loss if run.notes.convergence else np.nan,
                }
            )
    return networks


def _titles(series: list[str]) -> dict[str, str]:
    """Return the objective of each series, numbered where several share it."""
    kinds = {s: str(json.loads(s)["objective"]["kind"]) for s in series}
    titles = {}
    for s, kind in kinds.items():
        alike = [other for other in series if kinds[other] == kind]
        titles[s] = kind if len(alike) == 1 else f"{kind} {alike.index(s) + 1}"
    return titles


def fit(frame: pd.DataFrame, axes: list[str]) -> Laws:
    """Fit the law of each measure and objective to those of ``axes`` that vary."""
    laws = {}
    for (of, objective), part in frame.groupby(["of", "objective"], sort=False):
        varied = [axis for axis in axes if part[axis].nunique() > 1]
        try:
            law = statistics.power_law([part[axis] for axis in varied], part["y"])
        except InputError:  # too few points
            continue
        laws[str(of), str(objective)] = (varied, law)
    return laws


def _exponents(frame: pd.DataFrame, joint: Laws, flops_alone: Laws) -> Table:
    lines, numbers = [], []
    for (of, objective), (_, flops_law) in flops_alone.items():
        part = frame[(frame["of"] == of) & (frame["objective"] == objective)]
        varied, law = joint.get((of, objective), ([], flops_law))
        exponents = {axis: law.exponent(place) for place, axis in enumerate(varied)}
        exponents["flops"] = flops_law.exponent()
        lines.append(
            {
                "loss or error of": of,
                "objective": name(objective),
                "scales": part["scale"].nunique(),
                "networks": len(part),
                **{
                    axis: interval(*exponents[axis], decimals=3) if axis in exponents else None
                    for axis in AXES
                },
            }
        )
        numbers += [
            {
                "of": of,
                "objective": objective,
                "axis": axis,
                "exponent": value,
                "low": low,
                "high": high,
            }
            for axis, (value, low, high) in exponents.items()
        ]
    columns = {axis: Column(f"exponent of {title}") for axis, title in AXES.items()}
    return Table("scaling", pd.DataFrame(lines), columns, pd.DataFrame(numbers))


def _crossings(frame: pd.DataFrame) -> Table | None:
    """Return where the laws of FLOPs of two objectives cross; their losses are not comparable."""
    laws = fit(frame[frame["of"] != LOSS], ["flops"])
    smallest, largest = frame["flops"].min(), frame["flops"].max()
    lines, numbers = [], []
    for (of, first), (other, second) in combinations(laws, 2):
        if of != other:
            continue
        at, low, high = statistics.crossing(laws[of, first][1], laws[of, second][1])
        known = math.isfinite(low + high)
        where = "within the range of the runs" if smallest <= at <= largest else "extrapolated"
        ends = f"[{engineering(low)}, {engineering(high)}]"
        lines.append(
            {
                "error of": of,
                "first": name(first),
                "second": name(second),
                "predicted crossing": f"{engineering(at, 'FLOPs')} {ends}"
                if known
                else "unknown: the exponents may be equal",
                "range": where if known else None,
            }
        )
        numbers.append(
            {"of": of, "first": first, "second": second, "flops": at, "low": low, "high": high}
        )
    return Table("crossings", pd.DataFrame(lines), numbers=pd.DataFrame(numbers)) if lines else None


def _variance(frame: pd.DataFrame) -> Table | None:
    """Decompose the variance of each task's log error, at the scales that every objective has."""
    lines, numbers = [], []
    for of, part in frame[frame["of"] != LOSS].groupby("of", sort=False):
        objectives = part["objective"].nunique()
        part = part[part.groupby("scale")["objective"].transform("nunique") == objectives]
        if objectives < 2 or part["scale"].nunique() < 2:
            continue
        shares = statistics.shares(
            np.log(part["y"]), part["scale"].tolist(), part["objective"].tolist()
        )
        written = {
            f"{key}": f"{100 * s:.0f}%" if math.isfinite(s) else None for key, s in shares.items()
        }
        if part["seed"].nunique() < 2:
            written["seed"] = None
        counts = {"scales": part["scale"].nunique(), "networks": len(part)}
        lines.append({"log error of": of, **counts, **written})
        numbers.append({"of": of, **shares})
    columns = {"scale x objective": Column("scale × objective")}
    if not lines:
        return None
    return Table("variance", pd.DataFrame(lines), columns, pd.DataFrame(numbers))


def _draw(frame: pd.DataFrame, joint: Laws, flops_alone: Laws) -> bytes:
    """Draw losses and errors against scale, log-log, with each law of a single axis."""
    measures, objectives = frame["of"].unique().tolist(), frame["objective"].unique().tolist()
    axes_names = [axis for axis in AXES if frame[axis].nunique() > 1]
    cells = [(of, axis) for of in measures for axis in axes_names]
    looks = plots.looks(objectives)
    with plots.page(
        len(cells), columns=len(axes_names), height=2.7, foot=0.6, share="both"
    ) as page:
        for axes, (of, axis) in zip(page.panels, cells, strict=True):
            part = frame[frame["of"] == of]
            for objective, own in part.groupby("objective", sort=False):
                plots.points(axes, looks[objective], own[axis], own["y"], objective, markersize=5)
                varied, law = (flops_alone if axis == "flops" else joint).get(
                    (of, objective), ([], None)
                )
                if law is not None and varied == [axis]:
                    ends = np.array([own[axis].min(), own[axis].max()])
                    axes.plot(ends, law.at(ends), color=looks[objective].color, linewidth=1.6)
            axes.set(xscale="log", yscale="log")
            axes.yaxis.set_minor_locator(NullLocator())
            marks = np.geomspace(part["y"].min(), part["y"].max(), 4)
            axes.set_yticks(marks, [f"{mark:.3g}" for mark in marks])
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
            if of == measures[-1]:
                axes.set_xlabel(AXES[axis])
        for axes, of in zip(page.first_column, measures, strict=True):
            axes.set_ylabel(of if of == LOSS else f"error: {of}")
        return page.png()
