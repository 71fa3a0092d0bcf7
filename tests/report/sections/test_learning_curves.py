from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lmcompare.core.records import Convergence
from lmcompare.report.results import Results, read
from lmcompare.report.sections import budget as parity
from lmcompare.report.sections import learning_curves as curves
from tests.report.sections.test_task_figure import size


@pytest.fixture
def rows(finished: Path) -> Results:
    return read(finished)


@pytest.fixture
def searched(rows: Results) -> Results:
    """Five learning rates of two masking rates and of causal: fifteen models, a margin of their own each."""
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
    drawn = (curves.learning(rows), curves.below_unigram(rows), curves.below_unigram(searched))
    for figure in (*drawn, curves.sensitivity(searched)):
        assert size(figure or b"")[0] == 1536


def test_trials_that_differ_in_their_learning_rate_alone_are_one_line(searched: Results) -> None:
    frame = curves.trials(searched)
    assert frame.groupby(["objective", "series"]).size().to_dict() == {
        ("causal", ""): 5,
        ("masked", "mask_rate 0.15"): 5,
        ("masked", "mask_rate 0.3"): 5,
    }


def test_the_best_trial_of_each_objective_is_named_with_how_many_there_were(
    searched: Results, rows: Results
) -> None:
    assert curves.best(searched) == (
        "Furthest below unigram, within each objective: masked `masked 1 lr 0.004` (0.600, of 10 trials); "
        "causal `causal 2 lr 0.004` (0.700, of 5 trials)."
    )
    assert curves.best(rows) == ""


def test_models_of_a_claim_and_matched_ones_are_no_trials_of_a_search(searched: Results) -> None:
    models = searched.models
    said = {"H1": {"claim": "c", "task": "t", "model": models[0], "reference": models[1]}}
    match = {"by": ["flops"], "solved": {models[2]: {"by": ["flops"], "reference": models[0]}}}
    given = Results(
        {**searched.settings, "hypotheses": said, "match": match}, searched.runs, searched.records
    )
    assert list(curves.trials(given)["model"]) == models[3:]


def test_the_best_of_n_trials(searched: Results, rows: Results) -> None:
    table = curves.expected(searched)
    assert table is not None and curves.expected(rows) is None
    assert table.headings == [
        "objective",
        "trials made",
        "best of 1",
        "best of 2",
        "best of 4",
        "best of 8",
    ]
    # Of 0.6, 0.6, 0.65, 0.65, 0.7 the best of 2 is (4 x 0.6 + 12 x 0.65 + 9 x 0.7) / 25.
    causal = next(row for row in table.rows if row[0] == "`causal`")
    assert causal == ["`causal`", "5", "0.640", "0.660", "0.678", "–"]


def test_no_learning_rates_no_figure(rows: Results) -> None:
    assert curves.sensitivity(rows) is None


def test_many_models_have_no_panels_and_a_narrow_budget(searched: Results) -> None:
    assert curves.learning(searched) is None
    table = parity.budget(searched)
    assert table is not None
    assert table.headings == ["cost (mean over seeds)", "smallest", "largest", "largest / smallest"]
    assert ["parameters", "1.31 M", "1.31 M", "equal"] in table.rows
    targets = next(row for row in table.rows if row[0].startswith("targets"))
    assert targets[1:] == [
        "300 k (`masked 0 lr 0.001`)",
        "999 k (`causal 2 lr 0.001`)",
        "**differs: 3.33 ×**",
    ]


def test_curves_hold_every_point_and_its_distance_from_unigram(rows: Results) -> None:
    frame = curves.points(rows)
    points = sum(len(run.curve) for model in rows.models for run in rows.pretraining(model))
    assert len(frame) == points > 0
    assert (frame["minus_unigram"] == frame["text_loss"] - frame["unigram"]).all()
    spans = frame[(frame["model"] == "seq2seq") & (frame["split"] == "validation")]
    assert (spans["text_loss"] == spans["loss"] + 1).all(), (
        "sentinels are easy, and the unigram model is not asked for them"
    )


def test_no_curves_no_figure(rows: Results) -> None:
    bare = Results(rows.settings, [run for run in rows.runs if not run.curve], rows.records)
    assert curves.learning(bare) is None and curves.below_unigram(bare) is None


def test_a_network_above_the_unigram_loss_is_still_seen() -> None:
    low, high = curves._window(pd.Series([1.0, 0.9, 0.8, 0.7]))
    assert low < -curves.CONVERGENCE_MARGIN and high > 1.0
    low, high = curves._window(pd.Series([2.5, 0.0, -0.5, -0.7, -0.8]))
    assert low < -0.8 and 0 < high < 0.5, "the first steps do not flatten the rest"
