from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lmcompare.core.records import Convergence, Record, to_frame
from lmcompare.report import rendering
from lmcompare.report.results import Results, read
from lmcompare.report.sections import learning_curves, scaling_laws
from tests.report.test_plots import size

LAWS = {"causal": (8.0, -0.10), "masked": (30.0, -0.15)}
"""Level and exponent, of FLOPs in units of 1e10, of bits per byte: they cross at 1e10 x 3.75^20."""

UNCONVERGED = Convergence(loss=5.9, unigram_loss=6.0, required_margin=0.3)


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
                    convergence = Convergence(2 * y, 2 * y + 1, required_margin=0.3)
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
    sections = scaling_laws.sections(rows, [])
    return {table.name: table for section in sections for table in section.tables}


def test_planted_exponents_come_back(rows: Results) -> None:
    found = tables(grown(rows))["scaling"].numbers.set_index(["of", "objective", "axis"])
    for kind, (_, exponent) in LAWS.items():
        for of in ("continuation", scaling_laws.LOSS):
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
    assert "| extrapolated |" in tables(grown(rows))["crossings"].markdown


def test_the_variance_adds_up(rows: Results) -> None:
    (found,) = tables(grown(rows))["variance"].numbers.to_dict("records")
    parts = [found[part] for part in ("scale", "objective", "scale x objective", "seed")]
    assert (
        sum(parts) == pytest.approx(1)
        and found["objective"] > 0.5 > found["scale"] > 0.1 > found["seed"]
    )


def test_fewer_than_three_scales_make_no_section(rows: Results) -> None:
    few = grown(rows, widths=(32, 64))
    assert scaling_laws.sections(few, []) == scaling_laws.sections(rows, []) == []


def test_laws_are_on_the_first_page_and_comparisons_in_the_details(rows: Results) -> None:
    laws, comparison = scaling_laws.sections(grown(rows), [])
    assert laws.first_page and not comparison.first_page
    assert "| loss or error of | objective | scales | networks |" in rendering.section(laws)
    (figure,) = laws.figures
    assert figure.name == "scale" and size(figure.png)[0] == 1536
    assert [table.name for table in comparison.tables] == ["crossings", "variance"]


def test_sizes_are_no_trials_of_a_search(rows: Results) -> None:
    assert learning_curves.trials(grown(rows)).empty
    assert len(learning_curves.trials(grown(rows, widths=(32, 64)))) == 2 * len(LAWS)


def test_a_network_that_has_not_converged_is_named_beside_the_laws(rows: Results) -> None:
    results = grown(rows)
    assert "Convergence check" not in rendering.section(scaling_laws.sections(results, [])[0])
    model = results.models[0]
    runs = [
        replace(run, notes=replace(run.notes, convergence=UNCONVERGED))
        if run.model == model
        else run
        for run in results.runs
    ]
    (laws, _) = scaling_laws.sections(replace(results, runs=runs), [])
    assert f"**Convergence check not passed** by `{model}`:" in rendering.section(laws)
