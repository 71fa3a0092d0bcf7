from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lmcompare.core.records import Convergence
from lmcompare.report import rendering
from lmcompare.report.results import Results, read
from lmcompare.report.sections import costs, learning_curves
from tests.report.test_plots import size


@pytest.fixture
def rows(finished: Path) -> Results:
    return read(finished)


@pytest.fixture
def searched(rows: Results) -> Results:
    """Five learning rates of two masking rates and of causal: fifteen models."""
    runs, models = [], {}
    objectives: list[dict[str, Any]] = [
        {"kind": "masked", "mask_rate": 0.15},
        {"kind": "masked", "mask_rate": 0.3},
    ]
    for place, objective in enumerate([*objectives, {"kind": "causal"}]):
        for number, rate in enumerate((1e-3, 2e-3, 4e-3, 8e-3, 16e-3)):
            model = f"{objective['kind']} {place} lr {rate:g}"
            models[model] = {"objective": objective}
            for run in rows.pretraining(objective["kind"]):
                margin = 0.5 + 0.1 * place - 0.05 * abs(number - 2)
                notes = replace(run.notes, convergence=Convergence(7.0 - margin, 7.0, 0.3))
                config = {
                    "objective": objective,
                    "network": {"hidden_size": 64},
                    "training": {"learning_rate": rate},
                }
                runs.append(
                    replace(
                        run,
                        model=model,
                        cell=f"pretrain/{model}/{run.seed}",
                        notes=notes,
                        config=config,
                    )
                )
    return Results({**rows.settings, "models": models, "tasks": {}}, runs, rows.records)


def test_figures_are_as_wide_as_a_page(rows: Results, searched: Results) -> None:
    figures = [
        figure
        for results in (rows, searched)
        for section in learning_curves.sections(results, [])
        for figure in section.figures
    ]
    assert sorted(figure.name for figure in figures) == [
        "learning-rates",
        "pretraining-below-unigram",
        "pretraining-below-unigram",
        "pretraining-loss",
    ]
    assert {size(figure.png)[0] for figure in figures} == {1536}


def test_an_experiment_without_tasks_has_its_curves_on_the_first_page(searched: Results) -> None:
    first, details = learning_curves.sections(searched, [])
    assert first.first_page and not details.first_page
    assert [figure.name for figure in first.figures] == ["pretraining-below-unigram"]


def test_trials_that_differ_in_their_learning_rate_alone_are_one_line(searched: Results) -> None:
    frame = learning_curves.trials(searched)
    assert frame.groupby(["objective", "series"]).size().to_dict() == {
        ("causal", ""): 5,
        ("masked", "mask rate 0.15"): 5,
        ("masked", "mask rate 0.3"): 5,
    }


def test_the_best_trial_of_each_objective_is_named_with_how_many_there_were(
    searched: Results, rows: Results
) -> None:
    text = rendering.section(learning_curves.sections(searched, [])[-1])
    assert "- masked: `masked 1 lr 0.004` (0.600 nats, best of 10 trials)" in text
    assert "- causal: `causal 2 lr 0.004` (0.700 nats, best of 5 trials)" in text
    assert learning_curves.best_trials(learning_curves.trials(rows)) == []


def test_models_of_a_claim_and_matched_ones_are_no_trials_of_a_search(searched: Results) -> None:
    models = searched.models
    claims = {"H1": {"claim": "c", "task": "t", "model": models[0], "reference": models[1]}}
    match = {"by": ["flops"], "solved": {models[2]: {"by": ["flops"], "reference": models[0]}}}
    settings = {**searched.settings, "hypotheses": claims, "match": match}
    results = Results(settings, searched.runs, searched.records)
    assert list(learning_curves.trials(results)["model"]) == models[3:]


def test_the_best_of_n_trials(searched: Results, rows: Results) -> None:
    table = learning_curves.expected_margins(learning_curves.trials(searched))
    assert table is not None
    assert learning_curves.expected_margins(learning_curves.trials(rows)) is None
    heading, _, *lines = table.markdown.splitlines()
    assert heading == "| objective | trials run | best of 1 | best of 2 | best of 4 | best of 8 |"
    # Of 0.6, 0.6, 0.65, 0.65, 0.7 the best of 2 is (4 x 0.6 + 12 x 0.65 + 9 x 0.7) / 25.
    assert "| `causal` | 5 | 0.640 | 0.660 | 0.678 | – |" in lines


def test_no_learning_rates_no_figure(rows: Results) -> None:
    assert learning_curves.learning_rates(learning_curves.trials(rows)) is None


def test_many_models_have_no_panels(searched: Results) -> None:
    assert learning_curves.losses(searched, learning_curves.points(searched)) is None


def test_many_models_have_a_narrow_budget(searched: Results) -> None:
    table = costs.budget(searched)
    assert table is not None
    heading, _, *lines = table.markdown.splitlines()
    assert heading == "| cost (mean over seeds) | smallest | largest | largest / smallest |"
    assert "| parameters | 1.31 M | 1.31 M | equal |" in lines
    targets = next(line for line in lines if line.startswith("| targets"))
    assert "| 300 k (`masked 0 lr 0.001`) | 999 k (`causal 2 lr 0.001`) |" in targets
    assert "**differs: 3.33 ×**" in targets


def test_curves_hold_every_point_and_its_distance_from_unigram(rows: Results) -> None:
    frame = learning_curves.points(rows)
    points = sum(len(run.curve) for model in rows.models for run in rows.pretraining(model))
    assert len(frame) == points > 0
    assert (frame["minus_unigram"] == frame["text_loss"] - frame["unigram"]).all()
    spans = frame[(frame["model"] == "seq2seq") & (frame["split"] == "validation")]
    assert (spans["text_loss"] == spans["loss"] + 1).all(), (
        "sentinels are easy, and the unigram model does not score them"
    )


def test_no_curves_no_section(rows: Results) -> None:
    runs = [run for run in rows.runs if not run.curve]
    assert learning_curves.sections(Results(rows.settings, runs, rows.records), []) == []


def test_a_network_above_the_unigram_loss_is_still_seen() -> None:
    low, high = learning_curves._window(pd.Series([1.0, 0.9, 0.8, 0.7]))
    assert low < -learning_curves.CONVERGENCE_MARGIN and high > 1.0
    low, high = learning_curves._window(pd.Series([2.5, 0.0, -0.5, -0.7, -0.8]))
    assert low < -0.8 and 0 < high < 0.5, "the first steps do not flatten the rest"
