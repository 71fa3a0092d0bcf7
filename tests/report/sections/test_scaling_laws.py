"""Planted power laws in the rows of a grid come back in the report."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lmcompare.core.records import Convergence, Record, to_frame
from lmcompare.report.page import Page
from lmcompare.report.results import Results, read
from lmcompare.report.sections import learning_curves as curves
from lmcompare.report.sections import scaling_laws as scale
from tests.report.sections.test_task_figure import size

LAWS = {"causal": (8.0, -0.10), "masked": (30.0, -0.15)}
"""Level and exponent, of FLOPs in units of 1e10, of bits per byte: they cross at 1e10 x 3.75^20."""


def grown(
    rows: Results,
    *,
    tokens: tuple[int, ...] = (1_000_000,),
    widths: tuple[int, ...] = (32, 64, 128, 256),
) -> Results:
    """Two objectives at each width and number of tokens, with two seeds."""
    rng = np.random.default_rng(0)
    runs, records, models = [], [], {}
    for kind, (level, exponent) in LAWS.items():
        for width in widths:
            for read_tokens in tokens:
                model = f"{kind} width {width} tokens {read_tokens}"
                models[model] = {"objective": {"kind": kind}}
                config = {
                    "objective": {"kind": kind},
                    "network": {
                        "hidden_size": width,
                        "num_layers": 4,
                        "num_heads": 4,
                        "dropout": 0.0,
                    },
                    "training": {"tokens": read_tokens, "learning_rate": 1e-3},
                }
                sizes = 100.0 * width**2
                flops = 6 * sizes * read_tokens
                for run in rows.pretraining(kind):
                    y = level * (flops / 1e10) ** exponent * np.exp(0.01 * rng.standard_normal())
                    spent = {
                        "parameters": sizes,
                        "corpus_tokens": float(read_tokens),
                        "training_flops": flops,
                    }
                    convergence = Convergence(2 * y, 2 * y + 1, 0.3)
                    notes = replace(run.notes, convergence=convergence)
                    cell = f"pretrain/{model}/{run.seed}"
                    more: dict[str, Any] = {
                        "notes": notes,
                        "config": config,
                        "costs": {**run.costs, **spent},
                    }
                    runs.append(replace(run, model=model, cell=cell, curve=[], **more))
                    metric = ("continuation", "pretrained", "test", "", "bits_per_byte", float(y))
                    records.append(Record("sentiment", model, run.seed, *metric))
    runs += [run for run in rows.runs if run.task == "continuation" and run.condition == "control"]
    tasks = {"continuation": {"kind": "continuation"}}
    frame: pd.DataFrame = to_frame(records)
    return Results({**rows.settings, "models": models, "tasks": tasks}, runs, frame)


@pytest.fixture
def rows(synthetic: Any, tmp_path: Path) -> Results:
    return read(synthetic(items=4).write(tmp_path / "sentiment"))


def tables(rows: Results) -> dict[str, Any]:
    return {table.name: table for table in scale.scale_tables(rows)}


def test_planted_exponents_come_back(rows: Results) -> None:
    found = tables(grown(rows))["scaling"].numbers.set_index(["of", "objective", "axis"])
    for kind, (_, exponent) in LAWS.items():
        for of in ("continuation", scale.LOSS):
            for axis in ("parameters", "flops"):
                law = found.loc[(of, kind, axis)]
                assert law["exponent"] == pytest.approx(exponent, abs=0.01)
                assert law["low"] < law["exponent"] < law["high"]
    assert "tokens" not in found.index.get_level_values("axis")


def test_parameters_and_tokens_that_both_vary_have_an_exponent_each(rows: Results) -> None:
    found = tables(grown(rows, tokens=(100_000, 1_000_000, 10_000_000)))["scaling"].numbers
    causal = found[(found["of"] == "continuation") & (found["objective"] == "causal")].set_index(
        "axis"
    )["exponent"]
    assert causal["parameters"] == pytest.approx(-0.1, abs=0.01) and causal[
        "tokens"
    ] == pytest.approx(-0.1, abs=0.01)


def test_tasks_cross_where_that_was_planted_and_losses_are_not_compared(rows: Results) -> None:
    (crossing,) = tables(grown(rows))["crossings"].numbers.to_dict("records")
    assert (crossing["of"], crossing["first"], crossing["second"]) == (
        "continuation",
        "causal",
        "masked",
    )
    assert crossing["low"] < 1e10 * 3.75**20 < crossing["high"]
    assert "extrapolated" in tables(grown(rows))["crossings"].rows[0][-1]


def test_the_variance_adds_up(rows: Results) -> None:
    (found,) = tables(grown(rows))["variance"].numbers.to_dict("records")
    parts = [found[part] for part in ("scale", "objective", "scale x objective", "seed")]
    assert (
        sum(parts) == pytest.approx(1)
        and found["objective"] > 0.5 > found["scale"] > 0.1 > found["seed"]
    )


def test_fewer_than_three_scales_say_nothing(rows: Results) -> None:
    few = grown(rows, widths=(32, 64))
    assert scale.scale_tables(few) == [] and scale.scale_figure(few) is None
    assert scale.scale_tables(rows) == [] and scale.scale_figure(rows) is None


def test_the_report_shows_it(rows: Results) -> None:
    page = Page(grown(rows), [])
    text = page.markdown()
    assert "## Scale and objective" in text and "(figures/scale.png)" in text
    assert "| loss or error of | objective | scales | networks |" in text
    assert size(page.files()["figures/scale.png"])[0] == 1536
    assert {f"tables/{name}.csv" for name in ("scaling", "crossings", "variance")} <= set(
        page.files()
    )
    assert "Scale and objective" not in Page(rows, []).markdown()


def test_sizes_are_no_trials_of_a_search(rows: Results) -> None:
    large = grown(rows)
    assert (
        curves.trials(large).empty and curves.best(large) == "" and curves.expected(large) is None
    )
    assert len(curves.trials(grown(rows, widths=(32, 64)))) == 2 * len(LAWS)


def test_a_network_that_learnt_nothing_is_named_beside_the_laws(rows: Results) -> None:
    page = Page(grown(rows), [])
    assert (
        scale.unlearnt(page.rows) == ""
        and "Gate not passed" not in page.markdown().partition("## Scale")[2]
    )
    model = page.rows.models[0]
    runs = [
        replace(run, notes=replace(run.notes, convergence=Convergence(6.7, 6.8, 0.3)))
        if run.model == model
        else run
        for run in page.rows.runs
    ]
    said = f"**Gate not passed** by `{model}`: a law, a crossing or a share of the variance that rests on it"
    assert said in Page(replace(page.rows, runs=runs), []).markdown().partition("## Scale")[2]
