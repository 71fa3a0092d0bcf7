"""What was fixed beforehand, what was chosen on validation, what is exploratory; and what is contested."""

from collections.abc import Mapping, Sequence
from typing import Any

from lmcompare.report.analysis import TaskAnalysis
from lmcompare.report.formatting import joined, metric_format
from lmcompare.report.markdown import Table, code, escape
from lmcompare.report.results import PRETRAINED, Results


def fixed(rows: Results, findings: Sequence[TaskAnalysis]) -> list[str]:
    """Say what the experiment's file fixed."""
    lines = []
    for found in findings:
        if found.task.primary:
            size = sized(found)
            matters = f"; a difference below {size} does not matter" if size else ""
            title = metric_format(found.task.primary).title
            lines.append(
                f"**{escape(found.task.name)}**: {title} decides, {found.task.better} is better{matters}."
            )
    hypotheses = rows.settings.get("hypotheses") or {}
    said = ["models and their settings", "seeds", "training budget", "splits of the data"]
    said += ["hypotheses"] if hypotheses else []
    if not lines:
        return []
    models = rows.settings["models"]
    own = [
        code(model)
        for model in rows.fresh
        if models[model].get("training") or models[model].get("network")
    ]
    if own:
        lines.append(
            f"Settings of {joined(own)} of their own: chosen before this run; how, this run does not know."
        )
    if matched := (rows.settings.get("match") or {}).get("solved"):
        lines.append(
            f"Of {joined([code(model) for model in matched])}, `match` solved the widths or the tokens to be read."
        )
    return [f"{joined(said).capitalize()}.", *lines]


def sized(found: TaskAnalysis) -> str:
    """Write the smallest effect of interest with its unit: '1 point'; '' where any effect counts."""
    if found.smallest_effect < 1e-6:
        return ""
    size = found.smallest_effect * found.metric.scale
    return f"{size:g} {'point' if size == 1 and found.metric.points == 'points' else found.metric.points}".strip()


def chosen(rows: Results) -> list[str]:
    """Say what was chosen by trials on validation items, within which menu."""
    lines = []
    for task in rows.tasks:
        keys: dict[str, None] = {}
        networks = [
            run.notes.trials for run in rows.cells(task.name) if run.model and run.notes.trials
        ]
        for trials in networks:
            keys |= dict.fromkeys(key for key in trials.chosen if _was_free(key, trials.tried))
        if networks and keys:
            most = max(len(trials.tried) for trials in networks)
            what = joined([escape(key.replace("_", " ")) for key in keys])
            count = f"{most} trials at most" if most > 1 else "one trial"
            lines.append(
                f"**{escape(task.name)}**: {what}, for each network by itself, from {count}."
            )
    return lines


def _was_free(key: str, trials: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether a setting was chosen: an epoch always is, of one trial too; others where trials differ in them."""
    values = {trial.get(key) for trial in trials} - {None}
    return not key.startswith("validation") and (key == "epoch" or len(values) > 1)


def explored(
    rows: Results, findings: Sequence[TaskAnalysis], tables: dict[str, Table]
) -> list[str]:
    """Say which numbers nobody asked for beforehand: nothing may be claimed from them."""
    lines = []
    hypotheses = rows.settings.get("hypotheses") or {}
    pairs = sum(len(found.comparisons) + len(found.gain_comparisons) for found in findings)
    if pairs and not hypotheses:
        lines.append(
            f"The file names no hypothesis, so which of the {pairs} comparisons of objectives was to decide is not "
            "said; Holm's correction is within a table, not over all of them."
        )
    elif pairs:
        lines.append(
            f"Of the {pairs} comparisons of objectives, all but those of the hypotheses above."
        )
    others = sorted(
        {
            metric_format(name).title
            for found in findings
            for name in found.secondary
            if name != found.task.primary
        }
    )
    if others:
        lines.append(f"Metrics that do not decide: {escape(joined(others))}.")
    kinds = {
        "parts": "values by part of the items",
        "reliability": "reliability diagrams",
        "disagreements": "paired disagreements",
        "positions": "loss by position",
        "diversity": "quality against diversity",
        "latency": "latency",
        "quality": "quality per FLOP",
        "labels": "label efficiency",
        "masks": "objective by mask",
        "overfitting": "the gap between training and validation loss",
    }
    drawn = [
        title for kind, title in kinds.items() if any(name.split("-")[0] == kind for name in tables)
    ]
    if drawn:
        lines.append(f"Looked at without a claim: {joined(drawn)}.")
    return lines


def contested(rows: Results, findings: Sequence[TaskAnalysis], apart: Sequence[str]) -> list[str]:
    """Say where those who know the field disagree about a choice of this run, and where the other reading is."""
    lines = []
    if any("targets" in one or "FLOPs" in one for one in apart):
        also = ", and quality per FLOP" if findings else ""
        lines.append(
            "**Equal in what?** Nothing makes models equal in everything. Who holds that equal FLOPs or equal targets "
            f"are fair reads the curves against those{also}; the order may be another."
        )
    if any(one.exactness == "chain" for found in findings for one in found.measured.values()):
        lines.append(
            "**May a masked LM be scored left to right?** Its chain is a proper likelihood, but a question that it was "
            "not trained on; a pseudo-likelihood (Salazar et al. 2020) suits it better and is no probability. Here the "
            "chain is compared and a pseudo-likelihood never is."
        )
    masks = {
        (given.get("adaptation") or {}).get("attention")
        for given in rows.settings["tasks"].values()
    }
    if masks - {None} == {"own"} and any(
        found.task.family == "understanding" for found in findings
    ):
        lines.append(
            "**Whose attention mask?** Each network was fine-tuned with its own. A causal one that may look both ways "
            "while it is fine-tuned may do better (`adaptation: {attention: bidirectional}`)."
        )
    if any(found.judge_scores for found in findings):
        lines.append(
            "**Is cheap text good text?** An n-gram judge prefers what is common and repeats itself; without human "
            "readers, quality is read beside diversity and the samples."
        )
    if rows.fresh and any(len(one.seeds) > 1 for found in findings for one in found.of(PRETRAINED)):
        lines.append(
            "**Is a seed a sample?** Intervals take seeds as drawn at random, so that few of them make an interval "
            "wide. Who asks about these networks alone has *se over items*."
        )
    return lines
