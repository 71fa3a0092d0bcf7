"""The figure of a task and the figure of all tasks: points with intervals."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from lmcompare.report import plots
from lmcompare.report.analysis import Comparison, MeasuredModel, TaskAnalysis, decimals_of
from lmcompare.report.formatting import CEILINGS, control_title, plain, signed
from lmcompare.report.plots import GRAY, Look
from lmcompare.report.results import CONTROL, PRETRAINED, SCRATCH

MAX_PANELS = 16
"""Tasks of the figure of all tasks."""
_LONG_NAME = 18
_INSIGNIFICANT = Look("#9A9A9A")


def overview(analyses: Sequence[TaskAnalysis], models: Sequence[str]) -> bytes | None:
    """Draw one panel a task: each model with its interval, and whether it differs from the best."""
    drawn = [one for one in analyses if one.of(PRETRAINED)][:MAX_PANELS]
    if not drawn:
        return None
    looks = plots.looks(models)
    most = max(len(analysis.of(PRETRAINED)) for analysis in drawn)
    line = 0.38 if max(map(len, models)) > _LONG_NAME else 0.26  # long names have two lines
    height = 0.95 + line * most
    with plots.page(len(drawn), columns=3, height=height, foot=0.5, measured=True) as page:
        for axes, analysis in zip(page.panels, drawn, strict=True):
            _panel(axes, analysis, looks)
        return page.png(
            plots.key("significantly different from the best (or the best)", marker="o"),
            plots.key("not significantly different from the best", marker="o", markerfacecolor="w"),
            plots.key("best control", linestyle=":"),
        )


def _panel(axes: Axes, analysis: TaskAnalysis, looks: dict[str, Look]) -> None:
    measured = [one for one in analysis.of(PRETRAINED) if one.comparable]
    pick = max if analysis.task.better == "higher" else min
    best = pick(measured, key=lambda one: one.estimate.value, default=None)
    significant = {
        other
        for one in analysis.comparisons
        if best and one.significant and best.model in (one.first, one.second)
        for other in (one.first, one.second)
    }
    for y, one in enumerate(reversed(measured)):
        filled = one is best or one.model in significant
        _interval(axes, analysis, one, y, looks[one.model], filled)
    axes.set_yticks(range(len(measured)), [_wrapped(one.model) for one in reversed(measured)])
    _best_control(axes, analysis)
    _bare(axes, len(measured))
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.set_xlabel(analysis.metric.heading)
    axes.set_title(analysis.task.name)


def draw(analysis: TaskAnalysis, models: Sequence[str]) -> bytes:
    """Draw each model and control with its interval and seeds, and the paired differences."""
    everyone = [one for one in _ordered(analysis, models) if one.comparable]
    comparisons = [*analysis.comparisons, *analysis.gains]
    lines = max(len(everyone), len(comparisons) + 1, 4)
    panels = 2 if comparisons else 1
    with plots.page(
        panels,
        columns=panels,
        height=1.35 + 0.36 * lines,
        width=11.2 if _crowded(models) else 9.6,
        width_ratios=[1.25, 1][:panels],
        measured=True,
    ) as page:
        looks = plots.looks(models)
        _values(page.panels[0], analysis, everyone, looks)
        if comparisons:
            _differences(page.panels[1], analysis, looks, crowded=_crowded(models))
        keys = [plots.key("pretrained, 95% interval", marker="o")]
        if analysis.of(SCRATCH):
            keys.append(plots.scratch_key("same network from scratch", linestyle="-"))
        if analysis.of(CONTROL):
            keys.append(plots.key("control (dotted: the best)", marker="D", markersize=5))
        if any(len(one.seeds) > 1 for one in everyone):
            keys.append(plots.seed_key())
        return page.png(*keys)


def _ordered(analysis: TaskAnalysis, models: Sequence[str]) -> list[MeasuredModel]:
    order = {PRETRAINED: 0, SCRATCH: 1}
    networks = [one for one in analysis.measured.values() if one.condition != CONTROL]
    networks.sort(key=lambda one: (models.index(one.model), order.get(one.condition, 2)))
    return [*networks, *analysis.of(CONTROL)]


def _values(
    axes: Axes, analysis: TaskAnalysis, everyone: list[MeasuredModel], looks: dict[str, Look]
) -> None:
    scale = analysis.metric.scale
    decimals = decimals_of(analysis.metric, [one.estimate for one in everyone])
    places = range(len(everyone) - 1, -1, -1)
    labels = []
    for y, one in zip(places, everyone, strict=True):
        if one.condition == CONTROL:
            _interval(axes, analysis, one, y, Look(GRAY, "D"), True)
            labels.append(_wrapped(control_title(one.model)))
        else:
            _interval(axes, analysis, one, y, looks[one.model], one.condition == PRETRAINED)
            chain = " (chain)" if one.exactness == "chain" else ""
            chain += "\nnot controlled" if one.model in analysis.checkpoints else ""
            labels.append(f"{one.model}{chain}" if one.condition == PRETRAINED else one.condition)
            if len(one.seeds) > 1:
                by_seed = np.array(one.per_seed) * scale
                plots.seed_points(axes, looks[one.model], by_seed, [y + 0.3] * len(by_seed))
        _beside(axes, y, plain(one.estimate.value * scale, decimals))
    _best_control(axes, analysis)
    axes.set_yticks(list(places), labels)
    for tick, one in zip(axes.get_yticklabels(), everyone, strict=True):
        tick.set_fontweight("bold" if one.condition == PRETRAINED else "normal")
    _bare(axes, len(everyone))
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.set_xlabel(f"{analysis.metric.measure} ({analysis.task.better} is better)")
    axes.set_title(analysis.task.name)


def _differences(
    axes: Axes, analysis: TaskAnalysis, looks: dict[str, Look], *, crowded: bool
) -> None:
    scale = analysis.metric.scale
    comparisons = [*analysis.comparisons, *analysis.gains]
    decimals = decimals_of(analysis.metric, [one.difference for one in comparisons])
    labels: list[str] = []
    places: list[float] = []
    y = 0.0
    for number, one in enumerate(comparisons):
        gain = number >= len(analysis.comparisons)
        y -= 0 if number == 0 else 1
        if number and number == len(analysis.comparisons):  # a line between pairs and gains
            axes.axhline(y + 0.25, color="#BBBBBB", linewidth=0.8)
            y -= 0.5
        look = looks[one.first] if one.significant else _INSIGNIFICANT
        marked = Look(look.color, looks[one.first].marker)
        d = one.difference
        axes.hlines(y, d.low * scale, d.high * scale, color=look.color, linewidth=2)
        plots.points(axes, marked, [d.value * scale], [y])
        _beside(axes, y, signed(d.value * scale, decimals))
        labels.append(_pair(one, gain=gain))
        places.append(y)
    axes.axvline(0, color="#000000", linewidth=1, zorder=1)
    axes.set_yticks(places, labels)
    _bare(axes, 0)
    axes.set_ylim(min(places) - 0.6, max(places) + 0.6)
    axes.xaxis.set_major_locator(MaxNLocator(3 if crowded else 5))
    if max(map(abs, axes.get_xlim())) < 1e-9:  # all are 0, but for rounding
        axes.set_xlim(-scale / 1000, scale / 1000)
    unit = f", {analysis.metric.points}" if analysis.metric.points else ""
    axes.set_xlabel(f"difference{unit}{chr(10) if crowded else ' '}(gray: not significant)")
    axes.set_title("paired differences")


def _pair(one: Comparison, *, gain: bool) -> str:
    return f"{one.first}\nover scratch" if gain else f"{one.first}\nover {one.second}"


def _interval(
    axes: Axes, analysis: TaskAnalysis, one: MeasuredModel, y: float, look: Look, filled: bool
) -> None:
    scale, e = analysis.metric.scale, one.estimate
    if np.isfinite(e.low):
        axes.hlines(y, e.low * scale, e.high * scale, color=look.color, linewidth=2)
    plots.points(
        axes,
        look,
        [e.value * scale],
        [y],
        markerfacecolor=look.color if filled else "white",
        markersize=5.0 if one.condition == CONTROL else 7.5,
        markeredgewidth=1.8,
    )


def _best_control(axes: Axes, analysis: TaskAnalysis) -> None:
    controls = [
        one.estimate.value * analysis.metric.scale
        for one in analysis.of(CONTROL)
        if one.comparable and one.model not in CEILINGS
    ]
    if controls:
        best = max(controls) if analysis.task.better == "higher" else min(controls)
        axes.axvline(best, color=GRAY, linestyle=":", linewidth=1.2, zorder=1)


def _wrapped(text: str) -> str:
    """Break a name into at most two lines."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) > 18:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines[:2]) + (" …" if len(lines) > 2 else "")


def _crowded(models: Sequence[str]) -> bool:
    """Return whether the names of models leave little room beside them."""
    return max(map(len, models)) > 18


def _beside(axes: Axes, y: float, text: str) -> None:
    axes.annotate(
        text,
        (1, y),
        xycoords=("axes fraction", "data"),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        ha="left",
        fontsize=9,
        color="#333333",
        annotation_clip=False,
    )


def _bare(axes: Axes, lines: int) -> None:
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    if lines:
        axes.set_ylim(-0.6, lines - 0.4)
