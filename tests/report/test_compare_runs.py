from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lmcompare.core.errors import InputError
from lmcompare.core.records import TaskInfo
from lmcompare.report import compare


@pytest.fixture
def two(synthetic: Callable[..., Any], tmp_path: Path) -> Callable[..., str]:
    """Write two experiments of the same rows, let a test change the second, and compare them."""

    def make(change: Callable[[Any], None] = lambda second: None, **asked: Any) -> str:
        first, second = synthetic(), synthetic()
        change(second)
        return compare(first.write(tmp_path / "a"), second.write(tmp_path / "b"), **asked)

    return make


def rows_of(page: str, model: str) -> list[list[str]]:
    lines = [line for line in page.splitlines() if line.startswith(f"| `{model}`")]
    return [line.strip("| ").split(" | ") for line in lines]


def test_the_same_rows_do_not_differ(two: Callable[..., str]) -> None:
    page = two()
    assert "The two have the same settings." in page and "Not compared" not in page
    rows = rows_of(page, "masked")
    assert [row[1] for row in rows] == ["pretrained", "scratch", "pretrained"]
    for row in rows:
        assert row[2] == row[3] and row[4].startswith("0.0") and row[-1] == "INCONCLUSIVE"


def better(second: Any) -> None:
    """Bits per byte fall by 0.5, on every item and seed alike."""
    second.records = [
        replace(r, value=r.value - 60) if r.metric == "bits" else r for r in second.records
    ]


def test_a_difference_has_the_sign_of_who_is_better(two: Callable[..., str]) -> None:
    (row,) = [row for row in rows_of(two(better), "causal") if "0.4" in row[4] or "0.5" in row[4]]
    assert row[4].startswith("−"), "fewer bits are better, and the second has fewer"
    assert float(row[2]) > float(row[3])


def test_settings_that_differ_are_listed(two: Callable[..., str]) -> None:
    page = two(lambda second: second.settings["training"].update(tokens=2_000_000))
    assert "| training: tokens | 1000000 | 2000000 |" in page


def pseudo(second: Any) -> None:
    second.records = [
        replace(r, exactness="pseudo") if r.model == "masked" and r.exactness else r
        for r in second.records
    ]


def test_a_likelihood_is_never_set_against_a_pseudo_likelihood(two: Callable[..., str]) -> None:
    page = two(pseudo)
    assert "`masked`, pretrained: a chain score and a pseudo one are not the same quantity" in page
    assert [row[1] for row in rows_of(page, "masked")] == ["pretrained", "scratch"], (
        "of sentiment alone"
    )


def recut(second: Any) -> None:
    second.settings["tasks"]["continuation"] = {"kind": "continuation", "prefix": 32}


def test_other_test_items_are_refused(two: Callable[..., str]) -> None:
    page = two(recut)
    assert "`causal`, pretrained: other test items (their setting prefix differ)" in page


def test_items_go_by_their_fingerprint(synthetic: Callable[..., Any], tmp_path: Path) -> None:
    pages = []
    for place, prints in enumerate((("e", "e"), ("e", "f"))):
        folders = []
        for side, letter in enumerate(prints):
            one = synthetic()
            one.runs = [
                replace(run, fingerprints={"items": letter * 64})
                if run.task == "sentiment"
                else run
                for run in one.runs
            ]
            folders.append(one.write(tmp_path / f"{place}-{side}"))
        pages.append(compare(*folders))
    assert "Not compared" not in pages[0]
    assert "`seq2seq`, scratch: other test items (their items differ)" in pages[1]


def per_token(first_and_second: Any) -> None:
    info = TaskInfo("x", "generation", "perplexity", "lower", (), 0.0, {}, "")
    first_and_second.runs = [
        replace(run, notes=replace(run.notes, task=info)) if run.task == "continuation" else run
        for run in first_and_second.runs
    ]
    first_and_second.records = [
        replace(r, metric="perplexity") if r.metric == "bits" else r
        for r in first_and_second.records
    ]


def other_tokens(second: Any) -> None:
    per_token(second)
    second.runs = [
        replace(run, fingerprints={**run.fingerprints, "vocabulary": "0" * 64})
        if run.cell == "prepare"
        else run
        for run in second.runs
    ]


def test_perplexity_is_not_compared_across_tokenizers(
    synthetic: Callable[..., Any], tmp_path: Path
) -> None:
    first, same, second = synthetic(), synthetic(), synthetic()
    per_token(first), per_token(same), other_tokens(second)
    folders = [
        one.write(tmp_path / name) for name, one in (("a", first), ("b", same), ("c", second))
    ]
    assert "Not compared" not in compare(folders[0], folders[1])
    assert "perplexity counts by token, and the tokenizers differ" in compare(
        folders[0], folders[2]
    )


def test_unfinished_cells_and_lone_models_are_said(two: Callable[..., str]) -> None:
    def change(second: Any) -> None:
        second.drop("sentiment/causal/1/scratch", "sentiment/causal/2/scratch")
        second.settings["models"]["prefix"] = {"objective": {"kind": "prefix"}}

    page = two(change)
    assert "`causal`, scratch: the second has not finished it" in page
    assert "- model `prefix`: only in the second." in page


def test_models_of_other_names(two: Callable[..., str]) -> None:
    page = two(models={"causal": "masked"})
    assert "| `causal`, `masked` | pretrained |" in page and not rows_of(page, "seq2seq")
    with pytest.raises(
        InputError, match="the second folder has no model 'maskd'; did you mean 'masked'"
    ):
        two(models={"causal": "maskd"})


def test_a_folder_that_is_none(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        compare(finished, tmp_path / "nothing")
