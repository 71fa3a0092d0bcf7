from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmcompare.core.errors import InputError
from lmcompare.core.records import Notes, TaskInfo
from lmcompare.report.analysis import analyze, measure
from lmcompare.report.outcomes import (
    ItemOutcomes,
    item_outcomes,
    linearized,
    paired,
    pretraining_gain,
)
from lmcompare.report.page import Page
from lmcompare.report.results import Results, read

Maker = Callable[..., Any]
WER = TaskInfo(
    kind="nbest_rescoring",
    family="understanding",
    primary_metric="wer",
    better="lower",
    conditions=("pretrained",),
    smallest_effect=0.0,
    per_item={"wer": ("errors", "words")},
    description="rescoring",
)


def heard(synthetic: Maker, folder: Path, words: list[float], *, parts: bool = False) -> Results:
    """Two models and a control make errors in some utterances, of which some have no words."""
    rows = synthetic(items=8)
    rows.settings["tasks"] = {"hearing": {"kind": "nbest_rescoring"}}
    rows.runs = [run for run in rows.runs if not run.task or run.task == "pretraining"]
    rows.records = []
    for place, model in enumerate(("causal", "masked", "seq2seq")):
        for seed in rows.seeds:
            errors = [float(n % 3 + place) for n in range(len(words))]
            rows.record(model, seed, "hearing", "pretrained", "errors", errors)
            rows.record(model, seed, "hearing", "pretrained", "words", words)
            rows.record(model, seed, "hearing", "pretrained", "wer", 0.5 + place)
            if parts:
                for part in ("speaker/少年", "speaker/a|b"):
                    rows.record(
                        model, seed, "hearing", "pretrained", "wer", 0.25 + place, part=part
                    )
            procedure = "guesses ranked by | likelihood" if model != "masked" else "by PLL"
            notes = Notes(task=WER, procedure=procedure)
            rows.run(
                f"hearing/{model}/{seed}/pretrained",
                model,
                seed,
                "hearing",
                "pretrained",
                notes=notes,
            )
    return read(rows.write(folder))


def test_an_item_whose_denominator_is_0_stays(synthetic: Maker, tmp_path: Path) -> None:
    rows = heard(synthetic, tmp_path, [4, 0, 5, 0, 6, 3])
    found = item_outcomes(rows, "hearing", "causal", "pretrained", "wer")
    assert found is not None and len(found.items) == 6
    assert found.per_seed == [(0 + 1 + 2 + 0 + 1 + 2) / 18] * 2
    dropped = (0 + 2 + 1 + 2) / 18
    assert found.per_seed[0] > dropped  # leaving them out would flatter
    assert measure(rows, "hearing", "causal", "pretrained", "wer").estimate.value == pytest.approx(
        6 / 18
    )  # type: ignore[union-attr]
    gap = paired(item_outcomes(rows, "hearing", "masked", "pretrained", "wer"), found)
    assert gap is not None and gap.value == pytest.approx(6 / 18) and gap.items == 6


def test_where_nothing_is_counted_below_the_value_of_the_cell_stands_in(
    synthetic: Maker, tmp_path: Path
) -> None:
    rows = heard(synthetic, tmp_path, [0, 0, 0])
    found = item_outcomes(rows, "hearing", "masked", "pretrained", "wer")
    assert found is not None and found.items == ("",) and found.per_seed == [1.5, 1.5]


def test_a_metric_that_the_task_does_not_name_is_its_own_mean(
    synthetic: Maker, tmp_path: Path
) -> None:
    rows = heard(synthetic, tmp_path, [4, 0, 5])
    found = item_outcomes(rows, "hearing", "seq2seq", "pretrained", "errors")
    assert found is not None and found.denominators is None and found.per_seed == [3.0, 3.0]


def test_rows_that_do_not_say_how_metrics_come_from_items_are_refused(
    synthetic: Maker, tmp_path: Path
) -> None:
    path = synthetic(items=4).write(tmp_path) / "runs.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace('"per_item"', '"items"'), "utf-8")
    with pytest.raises(InputError, match="(?s)not a run of this version.*notes.task.per_item"):
        read(path.parent)


def test_parts_and_routes_are_shown(synthetic: Maker, tmp_path: Path) -> None:
    rows = heard(synthetic, tmp_path, [4, 2, 5], parts=True)
    found = analyze(rows, rows.tasks[0])
    assert set(found.parts) == {"speaker/少年", "speaker/a|b"} and "wer" not in found.secondary
    page = Page(rows, [found])
    text = page.details()
    assert "How each model is scored or answers:" in text
    assert "- `causal` and `seq2seq`: guesses ranked by &#124; likelihood.\n" in text
    assert "- `masked`: by PLL." in text
    assert "**By part of the items: speaker**" in text
    assert "| speaker: 少年 | 25.0 ± 0.0 | 125.0 ± 0.0 |" in text
    assert "tables/parts-hearing.csv" in page.files()


def made(above: list[list[float]], below: list[list[float]] | None) -> ItemOutcomes:
    top = np.array(above)
    items = tuple(map(str, range(top.shape[1])))
    return ItemOutcomes(
        "a", "pretrained", "", (1,), items, top, None if below is None else np.array(below)
    )


def test_an_outcome_without_denominators_is_linear_already() -> None:
    assert linearized(made([[1.0, 2.0]], None)).tolist() == [[1.0, 2.0]]


def test_a_gain_of_ratios_with_other_denominators_is_their_difference() -> None:
    one, other = (
        made([[4.0, 0.0, 2.0]], [[5.0, 0.0, 3.0]]),
        made([[2.0, 1.0, 0.0]], [[4.0, 4.0, 2.0]]),
    )
    gain = pretraining_gain(one, other)
    assert gain is not None and gain.per_seed == pytest.approx([6 / 8 - 3 / 10], abs=1e-12)
    same = pretraining_gain(one, made([[1.0, 0.0, 1.0]], [[5.0, 0.0, 3.0]]))
    assert same is not None and same.denominators is not None and same.per_seed == [4 / 8]
