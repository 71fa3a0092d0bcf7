from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lmcompare.core.errors import InputError
from lmcompare.core.records import TaskInfo
from lmcompare.report import rendering, write
from lmcompare.report import summary as across_folders
from lmcompare.report.analysis import Comparison, MeasuredModel, TaskAnalysis, analyze
from lmcompare.report.results import CONTROL, PRETRAINED, read
from lmcompare.report.sections import overview
from lmcompare.report.sections.overview import across, best, outcome, table
from lmcompare.report.sections.task_summary import facts
from lmcompare.statistics import Reason, Verdict


@pytest.fixture
def found(finished: Path) -> list[TaskAnalysis]:
    rows = read(finished)
    return [analyze(rows, task) for task in rows.tasks]


def valued(one: MeasuredModel, value: float, **changed: Any) -> MeasuredModel:
    return replace(one, estimate=replace(one.estimate, value=value), **changed)


def cells(line: str) -> list[str]:
    return line[2:-2].split(" | ")


def judged(one: Comparison, word: str) -> Comparison:
    """Return a comparison with a verdict, significant where that says so."""
    clear = word in ("SUPPORTED", "WEAKLY SUPPORTED")
    width = abs(one.difference.value) * (0.5 if clear else 2)
    value = one.difference.value
    difference = replace(one.difference, low=value - width, high=value + width)
    verdict = Verdict(word, Reason.EXCLUDES_ZERO)
    return replace(one, difference=difference, holm=0.001, verdict=verdict)


def test_a_row_a_task_with_the_best_value_in_bold(found: list[TaskAnalysis]) -> None:
    made = table(found, ["causal", "masked", "seq2seq"])
    assert made is not None
    heading, _, *rows = map(cells, made.markdown.splitlines())
    assert heading == ["task", "metric", "`causal`", "`masked`", "`seq2seq`", "best control",
                       "better than control", "significance"]  # fmt: skip
    sentiment, continuation = rows
    assert sentiment[:2] == ["`sentiment`", "accuracy, % ↑"]
    assert continuation[:2] == ["`continuation`", "bits per byte ↓"]
    for row, one in zip(rows, found, strict=True):
        assert sum("**" in cell for cell in row[2:6]) == 1
        values = {a: one.measured[a, PRETRAINED].estimate for a in ("causal", "masked", "seq2seq")}
        for model, cell in zip(values, row[2:5], strict=True):
            shown = float(cell.split()[0].strip("*"))
            assert shown == pytest.approx(values[model].value * one.metric.scale, abs=0.051)
    assert "chain" in continuation[3] and "chain" not in continuation[2]
    assert sentiment[5].startswith("TF-IDF + logistic regression ")
    assert made.numbers is not None and made.numbers["best"].sum() == 2
    assert set(made.numbers["condition"]) == {PRETRAINED, CONTROL}


def test_many_models_share_a_column(found: list[TaskAnalysis]) -> None:
    made = table(found, ["causal", "masked", "seq2seq", "d", "e", "f", "g"])
    assert made is not None
    heading, _, *rows = map(cells, made.markdown.splitlines())
    assert heading[2:4] == ["best model", "best control"]
    assert rows[1][2].startswith("`causal` ")


def test_a_bound_is_no_control_to_beat(found: list[TaskAnalysis]) -> None:
    sentiment = found[0]
    majority = sentiment.measured["majority", CONTROL]
    measured = sentiment.measured | {("oracle", CONTROL): valued(majority, 1.0, model="oracle")}
    controls = [
        *sentiment.control_comparisons,
        *(replace(one, second="oracle") for one in sentiment.control_comparisons[:3]),
    ]
    bounded = replace(sentiment, measured=measured, control_comparisons=controls)
    control = best(bounded, CONTROL)
    assert control is not None and control.model.startswith("tf-idf")
    lines = rendering.render("task_summary", facts(bounded)).splitlines()
    assert [line for line in lines if "oracle" in line] == [
        "- oracle, the best guess of each list (100.0%): an upper bound, which no model can exceed."
    ]


def test_equal_values_are_all_bold_and_none_is_called_best(found: list[TaskAnalysis]) -> None:
    one = found[0]
    measured = {key: valued(value, 0.5) for key, value in one.measured.items()}
    comparisons = [
        replace(judged(each, "INCONCLUSIVE"), first="causal", second=other)
        for each, other in zip(one.comparisons, ("masked", "seq2seq"), strict=False)
    ]
    equal = replace(one, measured=measured, comparisons=comparisons)
    made = table([equal], ["causal", "masked", "seq2seq"])
    assert made is not None
    assert sum("**" in cell for cell in cells(made.markdown.splitlines()[2])) == 4
    text = rendering.render("task_summary", facts(equal))
    assert "**`causal`, `masked` and `seq2seq` have the same value (50.0%).**" in text
    measured["seq2seq", PRETRAINED] = valued(measured["seq2seq", PRETRAINED], 0.4)
    text = rendering.render("task_summary", facts(replace(equal, measured=measured)))
    assert "has the best value, not significantly different from `masked` or `seq2seq`." in text


def test_the_verdict_is_that_of_the_weakest_comparison(found: list[TaskAnalysis]) -> None:
    one = found[1]

    def word(*words: str) -> tuple[str, bool]:
        of_best = [each for each in one.comparisons if each.first == "causal"]
        comparisons = [judged(each, w) for each, w in zip(of_best, words, strict=True)]
        result = outcome(replace(one, comparisons=comparisons))
        assert result.best == "causal" or not words
        return result.word, result.better_than_all

    assert word("SUPPORTED", "SUPPORTED") == ("SUPPORTED", True)
    assert word("SUPPORTED", "WEAKLY SUPPORTED") == ("WEAKLY SUPPORTED", True)
    assert word("SUPPORTED", "INCONCLUSIVE") == ("SUPPORTED", False)  # of the one that is beaten
    assert word("EQUIVALENT", "INCONCLUSIVE") == ("INCONCLUSIVE", False)
    assert word("EQUIVALENT", "EQUIVALENT") == ("EQUIVALENT", False)
    assert outcome(replace(one, comparisons=[])).others == 0


def test_the_first_screen_counts_by_family(finished: Path, found: list[TaskAnalysis]) -> None:
    open_ = [judged(one, "INCONCLUSIVE") for one in found[1].comparisons]
    analyses = [found[0], found[1], replace(found[1], comparisons=open_)]
    (section,) = overview.sections(read(finished), analyses)
    text = rendering.section(section)
    assert (
        "- **Generation**, 2 tasks: `causal` significantly better than all others on 1, "
        "no significant winner on 1." in text
    )
    helped = ", ".join(f"`{one.first}` on {int(one.better)} of 1" for one in found[0].gains)
    assert f"better than the same network from scratch: {helped}." in text
    assert "*Chain*" in text
    (section,) = overview.sections(read(finished), found[:1])
    assert "*Chain*" not in rendering.section(section)


def test_a_task_without_values_has_a_row(synthetic: Callable[..., Any], tmp_path: Path) -> None:
    made = synthetic()
    for name in ("again", "never"):
        made.settings["tasks"][name] = {"kind": "classification"}
    report = write(made.write(tmp_path)).read_text(encoding="utf-8")
    assert "| `never` | – | – | – | – | – | – | – |" in report
    assert (tmp_path / "tables" / "overview.csv").is_file()
    assert "**Nothing has been measured yet.**" in report


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


def test_several_reports_under_one_another(finished: Path, found: list[TaskAnalysis]) -> None:
    made = across(
        [
            ("a/report.md", found, ["causal", "masked", "seq2seq"]),
            ("b/report.md", found[:1], ["causal", "bert"]),
        ]
    )
    heading, _, *rows = map(cells, made.markdown.splitlines())
    assert heading[2:7] == ["`causal`", "`masked`", "`seq2seq`", "`bert`", "best control"]
    assert [row[0] for row in rows] == [
        "[sentiment](a/report.md)",
        "[continuation](a/report.md)",
        "[sentiment](b/report.md)",
    ]
    assert rows[0][1:] == rows[2][1:]
    markdown = across_folders([finished])
    assert f"[sentiment]({finished.as_posix()}/report.md)" in markdown
    assert "Brackets are 95% intervals" in markdown


def test_every_folder_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        across_folders([tmp_path / "a", tmp_path / "b"])
    assert len(error.value.problems) == 2
