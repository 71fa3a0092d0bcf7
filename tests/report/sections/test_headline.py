from dataclasses import replace
from pathlib import Path

import pytest

from lmcompare.core.records import Convergence
from lmcompare.report.analysis import Comparison, TaskAnalysis, analyze
from lmcompare.report.results import Results, read
from lmcompare.report.sections.budget import budget, matched
from lmcompare.report.sections.headline import answer
from lmcompare.report.sections.setup import gates, objective, seeds_warning, stamp


@pytest.fixture
def rows(finished: Path) -> Results:
    return read(finished)


@pytest.fixture
def found(rows: Results) -> TaskAnalysis:
    return analyze(rows, rows.tasks[0])


def moved(lead: Comparison, value: float, width: float = 0.01, holm: float = 0.001) -> Comparison:
    there = replace(lead.difference, value=value, low=value - width, high=value + width)
    return replace(lead, difference=there, holm=holm)


def control_lines(found: TaskAnalysis, values: list[float], holm: float = 0.001) -> list[str]:
    leads = [lead for lead in found.control_comparisons if lead.second.startswith("tf-idf")]
    controls = [moved(lead, value, holm=holm) for lead, value in zip(leads, values, strict=True)]
    said = answer(replace(found, controls=controls))
    return [line for line in said.lines if "TF-IDF" in line]


def test_a_control_that_wins_is_said_to_win(found: TaskAnalysis) -> None:
    title = (
        "TF-IDF + logistic regression ("
        + f"{100 * found.measured['tf-idf + logistic regression', 'control'].estimate.value:.1f}%)"
    )
    assert control_lines(found, [-0.1, -0.2, -0.3]) == [f"**{title} beats all three networks.**"]
    assert control_lines(found, [0.1, 0.2, 0.3]) == [f"{title} is beaten by all three networks."]
    assert control_lines(found, [-0.1, 0.0, 0.3]) == [
        f"**{title}** beats `causal`; it cannot be told apart from `masked`; it is beaten by `seq2seq`."
    ]
    assert control_lines(found, [-0.1, 0.0, -0.3]) == [
        f"**{title} is beaten by no network**: it beats `causal` and `seq2seq`; it cannot be told apart from `masked`."
    ]


def test_what_holm_takes_back_is_not_claimed(found: TaskAnalysis) -> None:
    (line,) = control_lines(found, [-0.1, -0.2, -0.3], holm=0.11)
    assert (
        "is beaten by no network**: it is ahead of `causal`, `masked` and `seq2seq` by an interval without 0"
        in line
    )
    assert line.endswith("yet not after Holm's correction.")
    gains = [moved(lead, 0.05, holm=0.11) for lead in found.gains]
    (line,) = (x for x in answer(replace(found, gains=gains)).lines if x.startswith("Pretraining"))
    assert line.startswith(
        "Pretraining did **not clearly beat the same network from scratch** for `causal`"
    )


def test_pretraining_that_did_not_help_is_said_not_to(found: TaskAnalysis) -> None:
    gains = [
        moved(lead, value) for lead, value in zip(found.gains, (0.053, 0.003, -0.04), strict=True)
    ]
    line = next(
        line for line in answer(replace(found, gains=gains)).lines if line.startswith("Pretraining")
    )
    assert "**beat the same network from scratch** for `causal` (+5.3 points [4.3, 6.3])" in line
    assert (
        "did **not clearly beat the same network from scratch** for `masked` (+0.3 points [−0.7, 1.3])"
        in line
    )
    assert (
        "was **worse than the same network from scratch** for `seq2seq` (−4.0 points [−5.0, −3.0])"
        in line
    )


def test_the_headline(found: TaskAnalysis) -> None:
    def headline(*verdicts: str) -> str:
        best = max(found.of("pretrained"), key=lambda one: one.estimate.value).model
        others = [model for model in ("causal", "masked", "seq2seq") if model != best]
        leads = [
            replace(found.comparisons[0], first=best, second=other, verdict=verdict)
            for other, verdict in zip(others, verdicts, strict=True)
        ]
        return answer(replace(found, leads=leads)).headline.replace(f"`{best}`", "BEST")

    assert "BEST (75" in headline("WEAKLY SUPPORTED", "WEAKLY SUPPORTED")
    assert "is ahead of `causal` and `seq2seq`**: WEAKLY SUPPORTED." in headline(
        "WEAKLY SUPPORTED", "WEAKLY SUPPORTED"
    )
    assert headline("INCONCLUSIVE", "INCONCLUSIVE").startswith(
        "**INCONCLUSIVE: no objective is clearly ahead.**"
    )
    assert headline("WEAKLY SUPPORTED", "EQUIVALENT").endswith(
        "EQUIVALENT to `seq2seq` and ahead of `causal`."
    )


def test_scale_and_seeds(rows: Results) -> None:
    assert stamp(rows) == "1.3 M to 2.4 M parameters, 1.0 M tokens, 2 seeds: do not extrapolate"
    assert "cannot give p below 0.5" in seeds_warning(rows)
    many = replace(
        rows, runs=[replace(run, seed=10 * n + run.seed) for n in range(3) for run in rows.runs]
    )
    assert seeds_warning(many) == ""


def test_gates(rows: Results) -> None:
    assert gates(rows).startswith("Every network passed the gate")
    failed = Convergence(6.7, 6.8, 0.3)
    runs = [
        replace(run, notes=replace(run.notes, convergence=failed))
        if run.cell == "pretrain/masked/2"
        else run
        for run in rows.runs
    ]
    plateau = replace(rows, runs=runs)
    assert gates(plateau).startswith("**Gate not passed** by `masked`:")
    verdicts = {
        (lead.first, lead.second): lead.verdict
        for lead in analyze(plateau, plateau.tasks[1]).comparisons
    }
    assert verdicts == {
        ("causal", "masked"): "INCONCLUSIVE",
        ("seq2seq", "masked"): "INCONCLUSIVE",
        ("causal", "seq2seq"): "WEAKLY SUPPORTED",
    }


def test_an_model_names_only_what_it_changes(rows: Results) -> None:
    assert objective(rows, "causal") == "decoder, objective `causal`"
    rows.settings["models"]["masked"]["training"] = {"learning_rate": 0.002, "tokens": 1_000_000}
    assert objective(rows, "masked").endswith(
        "with its own training settings (`learning_rate 0.002`)"
    )
    rows.settings["models"]["masked"]["tasks"] = []
    assert objective(rows, "masked").endswith(", given no task")
    rows.settings["models"]["masked"]["tasks"] = ["sentiment"]
    assert objective(rows, "masked").endswith(", given `sentiment` alone")


def test_an_model_names_what_its_objective_is_made_of(rows: Results) -> None:
    stages = [
        {"objective": "causal", "share": 0.3},
        {"objective": {"kind": "masked", "mask_rate": 0.3}, "share": None},
    ]
    rows.settings["models"]["causal"]["objective"] = {"kind": "schedule", "stages": stages}
    assert (
        objective(rows, "causal")
        == "decoder, objective `schedule` of 30% `causal` and `masked` (`mask_rate 0.3`)"
    )


def test_the_budget_flags_what_differs_by_more_than_5_percent(rows: Results) -> None:
    table = budget(rows)
    assert table is not None
    flags = {row[0]: row[-1] for row in table.rows}
    assert flags["parameters"] == "**differs: 1.80 ×**" and flags["corpus tokens read"] == "equal"
    agree, apart = matched(rows)
    assert "corpus tokens read" in agree and "training FLOPs (1.18 ×)" in apart
