"""What was compared: the models, what they share, their scale, the convergence check."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from lmcompare import statistics
from lmcompare.core.settings import CONVERGENCE_MARGIN
from lmcompare.report.analysis import TaskAnalysis
from lmcompare.report.results import Results
from lmcompare.report.sections.base import Section
from lmcompare.report.sections.costs import means, sizes

_MANY = 4
"""More values than this are written as a range."""


@dataclass(frozen=True)
class Scale:
    """The scale at which all results hold."""

    parameters: tuple[float, float] | None
    """least and most of any model"""
    tokens: tuple[float, float] | None
    """corpus tokens read in pretraining"""
    seeds: int
    """that every model has finished"""
    few_seeds: bool
    """whether too few for a claim about objectives; never of checkpoints alone"""
    enough_seeds: int = statistics.ENOUGH_SEEDS

    @property
    def smallest_p(self) -> float:
        """The least p-value that a sign-flip test of so many seeds can give."""
        return float(2 / 2**self.seeds)


def scale(results: Results) -> Scale:
    """Return the scale of a run."""
    frames = [means(results), sizes(results)]

    def span(key: str) -> tuple[float, float] | None:
        known = [frame.loc[key] for frame in frames if key in frame.index]
        values = pd.concat(known) if known else pd.Series(dtype=float)
        return (float(values.min()), float(values.max())) if len(values) else None

    seeds = finished_seeds(results)
    few = seeds < statistics.ENOUGH_SEEDS and bool(results.fresh)
    return Scale(span("parameters"), span("corpus_tokens"), seeds, few)


def finished_seeds(results: Results) -> int:
    """Return the number of seeds that every model has finished."""
    return min((results.finished(model) for model in results.models), default=0)


def convergence(results: Results) -> dict[str, Any]:
    """Return which models passed the convergence check, and which failed it."""
    checks = {model: results.converged(model) for model in results.models}
    return {
        "passed": [model for model, check in checks.items() if check],
        "failed": [model for model, check in checks.items() if check is False],
        "margin": CONVERGENCE_MARGIN,
    }


def sections(results: Results, analyses: Sequence[TaskAnalysis]) -> list[Section]:
    """Return the section on the first page."""
    settings = results.settings
    facts = {
        "models": [_model(results, model) for model in results.models],
        "network": (settings.get("network") or {}) if results.fresh else {},
        "corpus": _source(settings.get("corpus") or {}),
        "tokenizer": settings.get("tokenizer") or {},
        "sequence": settings.get("sequence") or {},
        "budget": _budget(results),
        "seeds": results.seeds,
        "checkpoints": results.checkpoints,
        "fresh": results.fresh,
        "convergence": convergence(results),
    }
    return [Section("setup", facts, first_page=True)]


def _model(results: Results, model: str) -> dict[str, Any]:
    """Return what is particular to a model."""
    given = results.settings["models"][model]
    runs = [run for run in results.runs if run.model == model]
    facts: dict[str, Any] = {
        "name": model,
        "role": next((run.notes.role for run in runs if run.notes.role), ""),
        "tasks": given.get("tasks"),
        "checkpoint": given.get("checkpoint"),
    }
    if model in results.checkpoints:
        info = results.checkpoint(model)
        facts["revision"] = given.get("revision") or (info.commit if info else None)
        return facts | {"info": asdict(info) if info else None}
    own = {}
    for part in ("training", "network"):
        shared = results.settings.get(part) or {}
        changed = (given.get(part) or {}).items()
        own[part] = [f"{key} {value}" for key, value in changed if value != shared.get(key)]
    return facts | {"objective": _objective(given["objective"]), "own": own}


def _objective(objective: Any) -> dict[str, Any]:
    """Return an objective's kind, its settings, and the objectives that it mixes."""
    settings = dict(objective) if isinstance(objective, dict) else {"kind": objective}
    kind = str(settings.pop("kind", ""))
    parts = [
        {"share": part.get("share")} | _objective(part["objective"])
        for value in settings.values()
        if isinstance(value, list)
        for part in value
        if isinstance(part, dict) and "objective" in part
    ]
    plain = [f"{k} {v}" for k, v in settings.items() if not isinstance(v, dict | list)]
    return {"kind": kind, "settings": plain, "parts": parts}


def _source(corpus: dict[str, Any]) -> str:
    """Return the word of a source and its settings as far as they were given."""
    source = corpus.get("source", "")
    if not isinstance(source, dict):
        return str(source)
    settings = [
        f"{key}={value}"
        for key, value in source.items()
        if key != "kind" and value not in (None, "", [], {})
    ]
    return " ".join([str(source.get("kind", "")), *settings]).strip()


def _budget(results: Results) -> list[dict[str, Any]]:
    """Return the costs of pretraining that matter most: of each model, or least and most."""
    frame = means(results)
    budget = []
    for key in ("corpus_tokens", "unique_tokens", "parameters", "training_flops"):
        if key in frame.index:
            values = [float(value) for value in frame.loc[key]]
            span = (min(values), max(values))
            each = values if 1 < len(values) <= _MANY and span[0] != span[1] else []
            budget.append({"key": key, "each": each, "span": span})
    return budget
