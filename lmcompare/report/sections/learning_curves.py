"""Learning curves: losses against tokens and FLOPs, and against the learning rate."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from lmcompare import statistics
from lmcompare.core.settings import CONVERGENCE_MARGIN
from lmcompare.report import plots
from lmcompare.report.analysis import TaskAnalysis
from lmcompare.report.results import Results
from lmcompare.report.sections import scaling_laws
from lmcompare.report.sections.base import Figure, Section
from lmcompare.report.tables import Table, name

_CONVERGENCE_KEY = plots.key(
    f"convergence check: {CONVERGENCE_MARGIN} nats below", linestyle=":", linewidth=1.2
)


def sections(results: Results, analyses: Sequence[TaskAnalysis]) -> list[Section]:
    """Return the curves, one figure on the first page of an experiment without tasks."""
    frame = points(results)
    searched = trials(results)
    drawings = {
        "below_unigram": ("pretraining-below-unigram", below_unigram(results, frame)),
        "losses": ("pretraining-loss", losses(results, frame)),
        "learning_rates": ("learning-rates", learning_rates(searched)),
    }
    figures = {
        key: Figure(file_name, png) if png else None for key, (file_name, png) in drawings.items()
    }
    facts = {
        "best": best_trials(searched),
        "expected": expected_margins(searched),
        "curves": None if frame.empty else Table("learning", frame),
        **figures,
    }
    if not any(facts.values()):
        return []
    if results.tasks:
        return [Section("learning_curves", facts)]
    first = {"below_unigram": figures["below_unigram"]}
    return [
        *(
            [Section("learning_curves_summary", first, first_page=True)]
            if first["below_unigram"]
            else []
        ),
        Section("learning_curves", facts | {"below_unigram": None}),
    ]


def points(results: Results) -> pd.DataFrame:
    """Return every point of every learning curve.

    Columns: model, seed, split, tokens, flops, loss, text_loss, unigram, minus_unigram, ...
    ``loss`` is over all targets; ``text_loss`` leaves out sentinels, which the unigram model cannot
    score; ``minus_unigram`` is ``text_loss`` minus the unigram loss on the same targets.
    """
    rows = []
    for model in results.models:
        for run in results.pretraining(model):
            convergence = run.notes.convergence
            unigram = convergence.unigram_loss if convergence else np.nan
            for point in run.curve:
                row = {"text_loss": point["loss"], "unigram": unigram, **point}
                row["minus_unigram"] = row["text_loss"] - row["unigram"]
                rows.append({"model": model, "seed": run.seed, **row})
    return pd.DataFrame(rows)


def losses(results: Results, frame: pd.DataFrame) -> bytes | None:
    """Draw the losses of each model in a panel of its own, since they are not comparable.

    None without curves, or for more than ``MAX_MODELS`` models.
    """
    models = [
        model for model in results.models if not frame.empty and (frame["model"] == model).any()
    ]
    if not 0 < len(models) <= plots.MAX_MODELS:
        return None
    with plots.page(len(models), columns=3, height=2.75, foot=0.55) as page:
        for axes, model in zip(page.panels, models, strict=True):
            look = plots.looks(results.models)[model]
            _losses(axes, look, frame[frame["model"] == model])
            axes.set_title(model, color=look.color)
        for axes in page.first_column:
            axes.set_ylabel("loss, nats per target")
        return page.png(
            plots.key("validation, text targets", marker="o", markersize=4),
            plots.key("training, all targets", linewidth=1, alpha=0.45),
            plots.key("unigram model, text targets", linestyle="--"),
            _CONVERGENCE_KEY,
        )


def _losses(axes: Axes, look: plots.Look, frame: pd.DataFrame) -> None:
    train, validation = (frame[frame["split"] == split] for split in ("train", "validation"))
    for _, seed in train.sort_values("tokens").groupby("seed"):
        plots.seed_line(axes, look, seed["tokens"], seed["loss"])
    for _, seed in validation.sort_values("tokens").groupby("seed"):
        plots.loss_line(axes, look, seed["tokens"], seed["text_loss"])
    unigram = float(frame["unigram"].mean())
    if np.isfinite(unigram):
        plots.level(axes, unigram, "--")
        plots.level(axes, unigram - CONVERGENCE_MARGIN)
    if len(validation):
        text_loss = validation["text_loss"]
        base = unigram if np.isfinite(unigram) else float(text_loss.max())
        low, high = _window(text_loss - base)
        # The training loss counts sentinels, which are easy to predict: it may lie far below.
        lowest = float(train["loss"].min()) - base
        low = min(low, lowest - 0.05 * (high - lowest)) if np.isfinite(lowest) else low
        axes.set_ylim(base + low, base + high)
    axes.set_xlim(0, 1.06 * float(frame["tokens"].max()))
    plots.large_numbers(axes)
    axes.set_xlabel("corpus tokens read")


def _window(margin: pd.Series) -> tuple[float, float]:
    """Return the lowest and highest distance from the unigram loss to show.

    All from the lower half of the points down, the unigram loss and the convergence check; of the
    first steps, whose loss is that of a uniform guess and would flatten the rest, only what fits.
    """
    low = min(float(margin.min()), -CONVERGENCE_MARGIN)
    high = max(-0.4 * low, float(margin.median()), 0.0)
    if float(margin.max()) < high + 0.25 * (high - low):
        high = max(high, float(margin.max()))
    room = 0.08 * (high - low)
    return low - room, high + room


def below_unigram(results: Results, frame: pd.DataFrame) -> bytes | None:
    """Draw validation minus unigram loss against tokens, FLOPs and targets; None without curves."""
    if frame.empty or not frame["minus_unigram"].notna().any():
        return None
    frame = frame[frame["split"] == "validation"]
    many = len(results.models) > plots.MAX_MODELS
    names = {model: _objective(results, model) if many else model for model in results.fresh}
    looks = plots.looks(list(dict.fromkeys(names.values())) if many else results.models)
    titles = {
        "tokens": "corpus tokens read",
        "flops": "training FLOPs",
        "targets": "targets (tokens that bear loss)",
    }
    columns = [x for x in titles if x in frame.columns and frame[x].notna().any()]
    height = 3.5 + 0.22 * max(0, len(looks) // 4 - 1)
    with plots.page(len(columns), columns=3, height=height, share="y") as page:
        for axes, x in zip(page.panels, columns, strict=True):
            for model, name in names.items():
                part = frame[frame["model"] == model].sort_values(x)
                label = name if many else ""
                for _, seed in part.groupby("seed"):
                    solid = {"linewidth": 1, "alpha": 0.6, "label": label}
                    plots.seed_line(axes, looks[name], seed[x], seed["minus_unigram"], **solid)
                if not many and len(part):
                    mean = part.groupby("step")[[x, "minus_unigram"]].mean().sort_values(x)
                    plots.line(axes, looks[name], mean[x], mean["minus_unigram"], model)
            plots.level(axes, 0, "-", "#000000")
            plots.level(axes, -CONVERGENCE_MARGIN)
            plots.large_numbers(axes)
            axes.set_xlabel(titles[x])
            axes.set_xlim(0, 1.05 * float(frame[x].max()))
        page.panels[0].set_ylim(*_window(frame["minus_unigram"].dropna()))
        page.panels[0].set_ylabel("validation loss − unigram loss,\nnats per target")
        thin = plots.key("one model" if many else "one seed", linewidth=1, alpha=0.5)
        return page.png(_CONVERGENCE_KEY, thin)


def _objective(results: Results, model: str) -> str:
    return str(results.settings["models"][model]["objective"]["kind"])


def trials(results: Results) -> pd.DataFrame:
    """Return a row for each finished model of a search: model, objective, series, rate, margin.

    ``series`` names the settings that vary within the objective, but for the learning rate;
    ``margin`` is how far the validation loss is below the unigram loss, nats per text target, mean
    over seeds. Models of a hypothesis, matched models and those of several sizes are no search.
    """
    claims = (results.settings.get("hypotheses") or {}).values()
    excluded = {claim.get(key) for claim in claims for key in ("model", "reference")}
    excluded |= set((results.settings.get("match") or {}).get("solved") or ())
    excluded |= set(scaling_laws.points(results)["model"])
    rows, settings = [], []
    for model in results.models:
        runs = [] if model in excluded else results.pretraining(model)
        checks = [run.notes.convergence for run in runs]
        margins = [check.margin for check in checks if check]
        rate = runs[0].config.get("training", {}).get("learning_rate") if margins else None
        if rate is None:
            continue
        settings.append(_search_settings(runs[0].config))
        rows.append((model, _objective(results, model), "", rate, float(np.mean(margins))))
    frame = pd.DataFrame(rows, columns=["model", "objective", "series", "rate", "margin"])
    for _, part in frame.groupby("objective"):
        own = [settings[place] for place in part.index]
        varied = [key for key in own[0] if len({json.dumps(s.get(key)) for s in own}) > 1]
        titles = [", ".join(f"{key} {_short(s.get(key))}" for key in varied) for s in own]
        frame.loc[part.index, "series"] = titles
    return frame


def _search_settings(config: dict[str, Any]) -> dict[str, Any]:
    return {
        f"{'network ' if section == 'network' else ''}{key.replace('_', ' ')}": value
        for section in ("objective", "network", "training")
        for key, value in (config.get(section) or {}).items()
        if key not in ("learning_rate", "kind")
    }


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def best_trials(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the best model of each objective; empty where no objective has several."""
    if frame.empty or frame["objective"].value_counts().max() < 2:
        return []
    return [
        {"objective": objective, **part.loc[part["margin"].idxmax()], "trials": len(part)}
        for objective, part in frame.groupby("objective", sort=False)
    ]


def expected_margins(frame: pd.DataFrame) -> Table | None:
    """Return the expected margin of the best of n trials (Dodge et al. 2019), or None.

    A search that is longer for one objective than for another favors it; this shows by how much.
    """
    trials_run = frame["objective"].value_counts()
    if frame.empty or trials_run.max() < 2:
        return None
    budgets = [n for n in (1, 2, 4, 8, 16, 32, 64) if n <= trials_run.max()]
    lines, numbers = [], []
    for objective, part in frame.groupby("objective", sort=False):
        line: dict[str, object] = {"objective": name(objective), "trials run": len(part)}
        for n in budgets:
            known = n <= len(part)
            margin = statistics.expected_maximum(part["margin"], n) if known else None
            line[f"best of {n}"] = margin
            if known:
                row = {"objective": objective, "trials": n, "expected_margin": margin}
                numbers.append(row)
        lines.append(line)
    return Table("trials", pd.DataFrame(lines), numbers=pd.DataFrame(numbers))


def learning_rates(frame: pd.DataFrame) -> bytes | None:
    """Draw the margin below unigram against the learning rate, a panel for each objective.

    None where no two models differ in their learning rate alone.
    """
    frame = frame[frame.groupby(["objective", "series"])["rate"].transform("nunique") > 1]
    if frame.empty:
        return None
    objectives = list(dict.fromkeys(frame["objective"]))
    with plots.page(len(objectives), columns=len(objectives), height=3.4) as page:
        for axes, objective in zip(page.panels, objectives, strict=True):
            part = frame[frame["objective"] == objective]
            for series, look in plots.looks(list(dict.fromkeys(part["series"]))).items():
                curve = part[part["series"] == series].sort_values("rate")
                plots.line(axes, look, curve["rate"], curve["margin"], series)
            plots.level(axes, CONVERGENCE_MARGIN)
            axes.set_xscale("log")
            rates = sorted(part["rate"].unique())
            plots.ticks(axes, rates, [f"{1000 * rate:g}" for rate in rates])
            margins = part["margin"]
            axes.set_ylim(
                min(0.0, 1.1 * margins.min()), 1.45 * max(CONVERGENCE_MARGIN, margins.max())
            )
            axes.set(title=objective, xlabel="peak learning rate × 1000")
            if part["series"].any():
                axes.legend(loc="upper center")
        page.panels[0].set_ylabel("nats below unigram")
        return page.png(_CONVERGENCE_KEY, collect=False)
