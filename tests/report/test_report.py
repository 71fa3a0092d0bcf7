import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from markdown_it import MarkdownIt

from lmcompare.core.errors import InputError
from lmcompare.core.records import Notes, read_records
from lmcompare.report import write

GOLDEN = {name: Path(__file__).with_name(f"golden_{name}") for name in ("report.md", "details.md")}
Maker = Callable[..., Any]


def cells_of(markdown: str, heading: str) -> list[list[str]]:
    """Return the first table under a heading or paragraph, as the texts that a reader sees."""
    tokens = MarkdownIt("commonmark").enable("table").parse(markdown[markdown.index(heading) :])
    rows: list[list[str]] = []
    for place, token in enumerate(tokens):
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("th_open", "td_open"):
            rows[-1].append("".join(child.content for child in tokens[place + 1].children or []))
        elif token.type == "table_close":
            break
    return rows


def details(folder: Path) -> str:
    return (folder / "details.md").read_text(encoding="utf-8")


def of_task(folder: Path, task: str) -> str:
    """Return what details.md says of a task."""
    return details(folder).partition(f"\n## {task}\n")[2].partition("\n## ")[0]


def both(report: Path) -> str:
    return report.read_text(encoding="utf-8") + details(report.parent)


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(finished: Path, name: str) -> None:
    # LMCOMPARE_GOLDEN=1 writes the golden pages anew: read the difference before committing it.
    page = (finished / name).read_text(encoding="utf-8")
    if os.environ.get("LMCOMPARE_GOLDEN"):
        GOLDEN[name].write_text(page, encoding="utf-8")
    assert page == GOLDEN[name].read_text(encoding="utf-8")


def test_the_first_page_is_short(finished: Path) -> None:
    report = (finished / "report.md").read_text(encoding="utf-8")
    assert len(report.splitlines()) < 200
    for words in ("told apart", "ahead by", "beaten by", "gate"):
        assert words not in report + details(finished)


def test_rebuilt_from_the_rows_alone_is_the_same(finished: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    other.mkdir()
    for name in ("experiment.yaml", "runs.jsonl", "records.parquet"):
        shutil.copy(finished / name, other / name)
    second = write(other)
    assert second == other / "report.md"
    made = sorted(path.relative_to(finished) for path in finished.rglob("*") if path.is_file())
    assert made == sorted(path.relative_to(other) for path in other.rglob("*") if path.is_file())
    for path in made:
        assert (finished / path).read_bytes() == (other / path).read_bytes(), path
    assert (finished / "report.md").read_bytes() == second.read_bytes()


def test_the_results_are_what_one_computes_by_hand(finished: Path) -> None:
    frame = read_records(finished / "records.parquet")
    frame = frame[(frame["item"] != "") & (frame["split"] == "test")]
    names = {
        "majority class": "majority",
        "TF-IDF + logistic regression": "tf-idf + logistic regression",
    }
    rows = cells_of(of_task(finished, "sentiment"), "### All results")[1:]
    assert [row[:2] for row in rows] == [
        *(
            [model, condition]
            for model in ("causal", "masked", "seq2seq")
            for condition in ("pretrained", "scratch")
        ),
        ["majority class", "control"],
        ["TF-IDF + logistic regression", "control"],
    ]
    for model, condition, value, per_seed, *_, items in rows:
        of = frame[(frame["model"] == names.get(model, model)) & (frame["condition"] == condition)]
        correct = of[of["metric"] == "correct"]
        assert value.split(" ")[0] == f"{100 * correct['value'].mean():.1f}"
        by_seed = [f"{100 * part['value'].mean():.1f}" for _, part in correct.groupby("seed")]
        assert per_seed == ("–" if condition == "control" else " · ".join(by_seed))
        assert int(items) == correct["item"].nunique() == 240
    for model, _, label, value, per_seed, *_ in cells_of(
        of_task(finished, "continuation"), "### All results"
    )[1:]:
        of = frame[
            (frame["task"] == "continuation") & (frame["model"] == model.removesuffix(" model"))
        ]
        sums = of.pivot_table(index="seed", columns="metric", values="value", aggfunc="sum")
        digits = len(value.split(" ")[0].split(".")[1])
        assert value.split(" ")[0] == f"{sums['bits'].sum() / sums['bytes'].sum():.{digits}f}"
        if model in ("causal", "masked", "seq2seq"):
            assert per_seed == " · ".join(
                f"{ratio:.{digits}f}" for ratio in sums["bits"] / sums["bytes"]
            )
        assert label == ("chain (exact given the length)" if model == "masked" else "exact")


def test_differences_are_paired_and_their_sign_says_who_is_better(finished: Path) -> None:
    frame = read_records(finished / "records.parquet")
    correct = frame[(frame["metric"] == "correct") & (frame["condition"] == "pretrained")]
    accuracy = correct.groupby("model")["value"].mean()
    for pair, ahead, *_ in cells_of(of_task(finished, "sentiment"), "**Differences between pretr")[
        1:
    ]:
        first, second = pair.split(" over ")
        assert accuracy[first] >= accuracy[second]
        assert (
            ahead.split(" ")[0].lstrip("+") == f"{100 * (accuracy[first] - accuracy[second]):.1f}"
        )
    table = pd.read_csv(finished / "tables" / "differences-continuation.csv")
    of = frame[
        (frame["task"] == "continuation")
        & (frame["condition"] == "pretrained")
        & (frame["item"] != "")
    ]
    sums = of.pivot_table(index="model", columns="metric", values="value", aggfunc="sum")
    bits = sums["bits"] / sums["bytes"]
    for row in table.itertuples():
        assert (
            row.difference == pytest.approx(bits[row.second] - bits[row.first])
            and row.difference > 0
        )
        assert row.low < row.difference < row.high


@pytest.mark.parametrize("name", GOLDEN)
def test_markdown_is_well_formed(finished: Path, name: str) -> None:
    report = (finished / name).read_text(encoding="utf-8")
    lines = report.splitlines()
    for place, line in enumerate(lines):
        if line.startswith("|") and not lines[place - 1].startswith("|"):
            assert lines[place - 1] == "", f"no blank line above the table at line {place + 1}"
            end = next(
                n
                for n in range(place, len(lines) + 1)
                if n == len(lines) or not lines[n].startswith("|")
            )
            assert end == len(lines) or lines[end] == "", (
                f"no blank line below the table at line {end}"
            )
            assert len({row.count("|") for row in lines[place:end]}) == 1, (
                f"ragged table at line {place + 1}"
            )
        assert line == line.rstrip(), f"trailing space at line {place + 1}"
    assert "\n\n\n" not in report
    assert report.count("<details>") == report.count("</details>")
    tokens = [child for t in MarkdownIt("commonmark").parse(report) for child in t.children or []]
    targets = [
        str(t.attrs.get("src") or t.attrs.get("href"))
        for t in tokens
        if t.type in ("image", "link_open")
    ]
    assert len(targets) >= 6
    for target in targets:
        assert (finished / target).exists(), target


def test_foreign_text_is_shown_and_does_nothing(finished: Path) -> None:
    report = details(finished)
    samples = cells_of(report[report.index("### Samples") :], "1. Prompt")
    assert samples[0] == ["model", "generation"] and len(samples) == 5
    assert "so | `bad` <br /><b>it</b> *hurts* & costs $5 or $6 # [x](http:" in samples[2][1]
    html = MarkdownIt("commonmark").enable("table").render(report)
    assert "<b>" not in html and 'href="http' not in html


def test_the_first_screen_answers(finished: Path) -> None:
    screen = "\n".join((finished / "report.md").read_text(encoding="utf-8").splitlines()[:26])
    for part in (
        "`causal`",
        "`masked`",
        "`seq2seq`",
        "2 seeds: do not extrapolate",
        "figures/over",
    ):
        assert part in screen
    assert "no claim about objectives in general follows" in screen
    assert "significantly better" in screen and "TF-IDF + logistic regression" in screen
    assert "WEAKLY SUPPORTED" in screen and "INCONCLUSIVE" in screen


def test_the_command_that_makes_it_again(finished: Path) -> None:
    report = (finished / "report.md").read_text(encoding="utf-8")
    assert "```sh\nlmcompare run experiments/sentiment.yaml --quick  # how" in report
    assert "lmcompare run experiment.yaml " in report and str(finished) not in report


def test_tables_hold_full_precision(finished: Path) -> None:
    frame = read_records(finished / "records.parquet")
    of = (
        (frame["metric"] == "correct")
        & (frame["model"] == "masked")
        & (frame["condition"] == "scratch")
    )
    table = pd.read_csv(finished / "tables" / "results-sentiment.csv")
    row = table[(table["model"] == "masked") & (table["condition"] == "scratch")].iloc[0]
    assert row["value"] == pytest.approx(frame.loc[of, "value"].mean(), rel=1e-15)
    assert len(pd.read_csv(finished / "tables" / "learning.csv")) == 2 * 3 * (62 + 11)


def test_an_unfinished_experiment_says_what_is_missing(synthetic: Maker, tmp_path: Path) -> None:
    rows = synthetic(items=40)
    rows.drop(
        "pretrain/seq2seq/2",
        "sentiment/seq2seq/2/pretrained",
        "sentiment/control",
        "continuation/control",
    )
    rows.drop(
        *(
            f"continuation/{model}/{seed}/pretrained"
            for model in ("causal", "masked", "seq2seq")
            for seed in (1, 2)
        )
    )
    report = both(write(rows.write(tmp_path / "x")))
    assert "**Unfinished:** 10 of 27 cells are missing" in report
    assert "`pretrain/seq2seq/2`, `sentiment/seq2seq/2/pretrained`, `sentiment/control`" in report
    assert "Nothing has been measured yet" in report and "1 seed: do not extrapolate" in report
    pairs = {row[0]: row for row in cells_of(report, "**Differences between pretr")[1:]}
    assert len(pairs) == 3


def test_only_the_data_are_prepared(synthetic: Maker, tmp_path: Path) -> None:
    rows = synthetic(items=4)
    rows.runs, rows.records = rows.runs[:1], []
    report = both(write(rows.write(tmp_path / "x")))
    assert (
        "No network has finished its pretraining." in report
        and "0 seeds: do not extrapolate" in report
    )
    assert "![" not in report


def test_one_seed_and_one_model(synthetic: Maker, tmp_path: Path) -> None:
    rows = synthetic(items=40, seeds=(3,))
    report = both(write(rows.write(tmp_path / "x")))
    assert "1 seed: do not extrapolate" in report and "INCONCLUSIVE" in report
    rows.settings["models"] = {"causal": rows.settings["models"]["causal"]}
    report = both(write(rows.write(tmp_path / "y")))
    assert "Only `causal` has been measured" in report
    assert "masked" not in report.replace("masked LM", "").replace("were masked", "")


def test_cut_texts_are_a_limit_that_is_said(synthetic: Maker, tmp_path: Path) -> None:
    rows = synthetic(items=40)
    for run in rows.runs:
        if run.task == "sentiment":
            run.notes.counts.update(train_items=1200, validation_items=30, test_items=40)
    report = both(write(rows.write(tmp_path / "x")))
    assert "exceeds the context was cut: sentiment 3 times in 1,270 items.\n" in report
    rows.runs = [replace(run, notes=replace(run.notes, truncated=0)) for run in rows.runs]
    assert "**Truncation**" not in write(rows.write(tmp_path / "y")).read_text(encoding="utf-8")


def test_tuning_that_ended_while_it_helped_is_a_limit_that_is_said(
    synthetic: Maker, tmp_path: Path
) -> None:
    rows = synthetic(items=40)
    rows.settings["tasks"]["sentiment"]["adaptation"] = {"epochs": 4}
    tuned = [run.notes.trials for run in rows.runs if run.notes.trials]
    for trials in tuned:
        trials.chosen["epoch"] = 4
    limit = "**Epochs**: on `sentiment` nearly every network was best after its last epoch"
    assert limit in write(rows.write(tmp_path / "x")).read_text(encoding="utf-8")
    for trials in tuned[:3]:
        trials.chosen["epoch"] = 2
    assert "**Epochs**" not in write(rows.write(tmp_path / "y")).read_text(encoding="utf-8")


def test_a_network_that_has_not_learnt_makes_its_comparisons_inconclusive(
    synthetic: Maker, tmp_path: Path
) -> None:
    rows = synthetic(items=40, gate=0.0)
    report = both(write(rows.write(tmp_path / "x")))
    assert "**Convergence check failed** by `causal`, `masked` and `seq2seq`" in report
    assert "SUPPORTED" not in report


def test_pseudo_likelihoods_are_never_compared_or_mixed(synthetic: Maker, tmp_path: Path) -> None:
    rows = synthetic(items=40)
    rows.records = [
        type(r)(**{**vars(r), "exactness": "pseudo"}) if r.model == "masked" and r.exactness else r
        for r in rows.records
    ]
    folder = rows.write(tmp_path / "x")
    write(folder)
    head, *table = cells_of(of_task(folder, "continuation"), "### All results")
    proper = next(n for n, cell in enumerate(head) if cell.startswith("bits per byte ↓"))
    pseudo = next(n for n, cell in enumerate(head) if "pseudo: not comparable" in cell)
    for row in table:
        assert (row[proper] == "–") == (row[0] == "masked") != (row[pseudo] == "–")
    assert (
        "masked"
        not in pd.read_csv(folder / "tables" / "differences-continuation.csv")["second"].tolist()
    )


def test_whole_cell_values_are_enough(synthetic: Maker, tmp_path: Path) -> None:
    rows = synthetic(items=40)
    rows.records = [r for r in rows.records if r.metric not in ("correct",)]
    write(rows.write(tmp_path / "x"))
    accuracy = [
        r.value
        for r in rows.records
        if (r.model, r.condition, r.metric, r.split) == ("causal", "scratch", "accuracy", "test")
    ]
    row = cells_of(of_task(tmp_path / "x", "sentiment"), "### All results")[2]
    assert row[2].split(" ")[0] == f"{50 * sum(accuracy):.1f}" and row[-1] == "–"


@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [
        ("experiment.yaml", None, "no such file"),
        ("runs.jsonl", None, "no such file"),
        ("records.parquet", None, "no such file"),
        ("experiment.yaml", b"a: [", "cannot be read"),
        ("experiment.yaml", b"- 1\n", "wanted a mapping, got list"),
        ("experiment.yaml", b"name: x\nseeds: [1]\ntasks: {}\n", "models: wanted one, got None"),
        ("experiment.yaml", b"\xff\xfe\x00", "cannot be read"),
        ("runs.jsonl", b'{"a": 1}\n', "not a run"),
        ("runs.jsonl", b"\xff\n", "wanted UTF-8"),
        ("records.parquet", b"PAR1 no", "not a Parquet file"),
    ],
)  # fmt: skip
def test_a_broken_folder_is_an_input_error(
    folder: Path, name: str, content: bytes | None, wanted: str
) -> None:
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(InputError, match=wanted) as caught:
        write(folder)
    assert name in str(caught.value)


def test_no_folder_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        write(tmp_path / "nowhere")


def test_a_task_that_does_not_say_its_metric_is_an_input_error(
    synthetic: Maker, tmp_path: Path
) -> None:
    rows = synthetic(items=4)
    rows.runs[-1] = replace(rows.runs[-1], notes=Notes())
    with pytest.raises(InputError, match="continuation/control: notes.task: wanted a mapping"):
        write(rows.write(tmp_path / "x"))


def test_rows_of_an_model_that_is_gone_are_left_out(synthetic: Maker, tmp_path: Path) -> None:
    rows = synthetic(items=20)
    del rows.settings["models"]["masked"]
    folder = rows.write(tmp_path / "x")
    assert yaml.safe_load((folder / "experiment.yaml").read_text())["models"].keys() == {
        "causal",
        "seq2seq",
    }
    assert "masked" not in write(folder).read_text(encoding="utf-8").replace("masked LM", "")
