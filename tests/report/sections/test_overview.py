from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lmcompare.core.errors import InputError
from lmcompare.core.records import TaskInfo
from lmcompare.report import summary as across_folders
from lmcompare.report import write
from lmcompare.report.analysis import MeasuredModel, TaskAnalysis, analyze
from lmcompare.report.results import CONTROL, PRETRAINED, read
from lmcompare.report.sections.headline import answer
from lmcompare.report.sections.overview import across, best, note, summary, table, verdict


@pytest.fixture
def found(finished: Path) -> list[TaskAnalysis]:
    rows = read(finished)
    return [analyze(rows, task) for task in rows.tasks]


def valued(one: MeasuredModel, value: float, **changed: Any) -> MeasuredModel:
    return replace(one, estimate=replace(one.estimate, value=value), **changed)


def test_two_tasks_need_no_table(finished: Path, found: list[TaskAnalysis]) -> None:
    assert table(found, ["causal", "masked", "seq2seq"]) is None
    assert "## Task by objective" not in (finished / "report.md").read_text(encoding="utf-8")


def test_a_row_a_task_with_the_best_value_in_bold(found: list[TaskAnalysis]) -> None:
    made = table([*found, found[1]], ["causal", "masked", "seq2seq"])
    assert made is not None and len(made.rows) == 3
    assert made.headings == [
        "task",
        "metric",
        "`causal`",
        "`masked`",
        "`seq2seq`",
        "best control",
        "beaten by",
        "verdict",
    ]
    sentiment, continuation, _ = made.rows
    assert sentiment[:2] == ["sentiment", "accuracy, % ↑"] and continuation[:2] == [
        "continuation",
        "bits per byte ↓",
    ]
    for row, one in zip(made.rows, found, strict=False):
        assert sum("**" in cell for cell in row[2:6]) == 1
        values = {a: one.measured[a, PRETRAINED].estimate for a in ("causal", "masked", "seq2seq")}
        for model, cell in zip(values, row[2:5], strict=True):
            shown = float(cell.split()[0].strip("*"))
            assert shown == pytest.approx(values[model].value * one.metric.scale, abs=0.051)
    assert "chain" in continuation[3] and "chain" not in continuation[2]
    assert sentiment[5].startswith("TF-IDF + logistic regression ")
    assert (
        set(made.numbers["condition"]) == {PRETRAINED, CONTROL} and made.numbers["best"].sum() == 3
    )


def test_many_models_share_a_column(found: list[TaskAnalysis]) -> None:
    made = table([*found, found[1]], ["causal", "masked", "seq2seq", "d", "e", "f", "g"])
    assert made is not None and made.headings[2:4] == ["best model", "best control"]
    assert made.rows[1][2].startswith("`causal` ")


def test_a_bound_is_no_control_to_beat(found: list[TaskAnalysis]) -> None:
    sentiment = found[0]
    majority = sentiment.measured["majority", CONTROL]
    measured = sentiment.measured | {("oracle", CONTROL): valued(majority, 1.0, model="oracle")}
    controls = [
        *sentiment.controls,
        *(replace(lead, second="oracle") for lead in sentiment.controls[:3]),
    ]
    bounded = replace(sentiment, measured=measured, controls=controls)
    control = best(bounded, CONTROL)
    assert control is not None and control.model.startswith("tf-idf")
    said = [line for line in answer(bounded).lines if "oracle" in line]
    assert said == [
        "The oracle, the best guess of each list (100.0%) is a bound: no network can beat it."
    ]


def test_equal_values_are_all_bold_and_none_is_called_best(found: list[TaskAnalysis]) -> None:
    one = found[0]
    measured = {key: valued(value, 0.5) for key, value in one.measured.items()}
    leads = [replace(lead, verdict="INCONCLUSIVE") for lead in one.comparisons]
    leads = [
        replace(lead, first="causal", second=other)
        for lead, other in zip(leads, ("masked", "seq2seq"), strict=False)
    ]
    equal = replace(one, measured=measured, leads=leads)
    made = table([equal] * 3, ["causal", "masked", "seq2seq"])
    assert made is not None and sum("**" in cell for cell in made.rows[0]) == 4
    assert answer(equal).headline == (
        "**INCONCLUSIVE: no objective is clearly ahead.** `causal`, `masked` and `seq2seq` (50.0%) have the same value."
    )
    measured["seq2seq", PRETRAINED] = valued(measured["seq2seq", PRETRAINED], 0.4)
    assert answer(replace(equal, measured=measured)).headline.endswith(
        "`causal` and `masked` (50.0%) have the best value, not told apart from `seq2seq`."
    )


def test_the_verdict_is_that_of_the_weakest_lead(found: list[TaskAnalysis]) -> None:
    one = found[1]

    def judged(*words: str) -> str:
        leads = [lead for lead in one.comparisons if lead.first == "causal"]
        return verdict(
            replace(
                one, leads=[replace(x, verdict=word) for x, word in zip(leads, words, strict=True)]
            )
        )

    assert judged("SUPPORTED", "SUPPORTED") == "SUPPORTED: `causal`"
    assert judged("SUPPORTED", "WEAKLY SUPPORTED") == "WEAKLY SUPPORTED: `causal`"
    assert (
        judged("SUPPORTED", "INCONCLUSIVE")
        == judged("EQUIVALENT", "INCONCLUSIVE")
        == "INCONCLUSIVE"
    )
    assert judged("EQUIVALENT", "EQUIVALENT") == "EQUIVALENT"
    assert verdict(replace(one, leads=[])) == "–"


def test_the_summary_counts_by_family(found: list[TaskAnalysis]) -> None:
    leads = [replace(lead, verdict="INCONCLUSIVE") for lead in found[1].comparisons]
    lines = summary([found[0], found[1], replace(found[1], leads=leads)])
    assert [line.split("**")[1] for line in lines[:2]] == ["Understanding", "Generation"]
    assert (
        lines[1]
        == "**Generation**, 2 tasks: `causal` ahead of all others on 1 and INCONCLUSIVE on 1."
    )
    helped = ", ".join(
        f"`{lead.first}` on {int(lead.significant and lead.difference.value > 0)} of 1"
        for lead in found[0].gains
    )
    assert (
        lines[2]
        == f"Pretraining beat the same network from scratch: {' and '.join(helped.rsplit(', ', 1))}."
    )
    assert "Chain" in note(found) and "Chain" not in note(found[:1])


def test_it_stands_first_in_the_report(synthetic: Callable[..., Any], tmp_path: Path) -> None:
    made = synthetic()
    for name in ("again", "never"):
        made.settings["tasks"][name] = {"kind": "classification"}
    report = write(made.write(tmp_path)).read_text(encoding="utf-8")
    assert 0 < report.index("## Task by objective") < report.index("## What was compared")
    assert "Every network passed the gate" in report[: report.index("## What was")]
    assert "| never | – | – | – | – | – | – | – |" in report
    assert (tmp_path / "tables" / "overview.csv").is_file()
    assert "**never** (classification): nothing has been measured yet." in report


def test_no_interval_goes_beyond_what_a_metric_can_be(
    synthetic: Callable[..., Any], tmp_path: Path
) -> None:
    made = synthetic()
    info = TaskInfo("x", "", "spearman", "higher", (), 0.0, {"spearman": ("nll", "")}, "")
    made.runs = [
        replace(run, notes=replace(run.notes, task=info)) if run.task == "sentiment" else run
        for run in made.runs
    ]
    made.records = [replace(r, value=r.value * 1.4) if r.seed == 2 else r for r in made.records]
    rows = read(made.write(tmp_path))
    estimates = [one.estimate for one in analyze(rows, rows.tasks[0]).of(PRETRAINED)]
    assert [(one.low >= -1, one.high) for one in estimates] == [(True, 1.0)] * 3
    # One word of the YAML file says nothing that the description does not say.
    assert "How each was asked" not in write(tmp_path).read_text(encoding="utf-8")


def test_several_reports_under_one_another(finished: Path, found: list[TaskAnalysis]) -> None:
    said = across(
        [
            ("a/report.md", found, ["causal", "masked", "seq2seq"]),
            ("b/report.md", found[:1], ["causal", "bert"]),
        ]
    )
    assert said.headings[2:7] == ["`causal`", "`masked`", "`seq2seq`", "`bert`", "best control"]
    assert [row[0] for row in said.rows] == [
        "[sentiment](a/report.md)",
        "[continuation](a/report.md)",
        "[sentiment](b/report.md)",
    ]
    assert said.rows[0][1:] == said.rows[2][1:]
    markdown = across_folders([finished])
    assert (
        f"[sentiment]({finished.as_posix()}/report.md)" in markdown
        and "In brackets: 95% intervals" in markdown
    )


def test_every_folder_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        across_folders([tmp_path / "a", tmp_path / "b"])
    assert len(error.value.problems) == 2
