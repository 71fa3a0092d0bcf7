"""A report on models that came trained: labelled, without a gate, and never called failed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lmcompare.core.records import CheckpointInfo
from lmcompare.report import write
from lmcompare.report.analysis import analyze
from lmcompare.report.results import Results, read
from lmcompare.report.sections.costs import budget, fingerprints
from lmcompare.report.sections.setup import finished_seeds, scale

Maker = Callable[..., Any]
BERT = CheckpointInfo(
    architecture="BertForMaskedLM",
    vocab_size=30_522,
    shared_tokenizer=False,
    context=512,
    commit="c0ffee",
    parameters=110_000_000,
    parameters_without_embeddings=86_000_000,
)


def pages(folder: Path) -> str:
    """Write a report and return both pages."""
    write(folder)
    return "".join((folder / name).read_text("utf-8") for name in ("report.md", "details.md"))


def ready(made: Any, *names: str) -> Any:
    """Turn models of a synthetic experiment into checkpoints."""
    for name in names:
        made.drop(*(f"pretrain/{name}/{seed}" for seed in made.seeds))
        made.settings["models"][name] = {"checkpoint": f"org/{name}"}
        for run in made.runs:
            if run.model == name:
                run.fingerprints["checkpoint"] = f"hash of {name}"
        made.runs = [
            replace(run, notes=replace(run.notes, role="encoder", checkpoint=BERT, left_out=3))
            if run.model == name
            else run
            for run in made.runs
        ]
    return made


@pytest.fixture
def rows(synthetic: Maker, tmp_path: Path) -> Results:
    return read(ready(synthetic(items=60), "masked").write(tmp_path / "rows"))


@pytest.fixture
def report(synthetic: Maker, tmp_path: Path) -> str:
    return pages(ready(synthetic(items=60), "masked").write(tmp_path / "mixed"))


def test_no_pretraining_of_a_checkpoint_is_missed(rows: Results) -> None:
    assert rows.checkpoints == ["masked"] and rows.fresh == ["causal", "seq2seq"]
    assert (
        rows.missing_cells == []
        and "pretrain/masked/1" not in rows.expected_cells
        and "pretrain/causal/1" in rows.expected_cells
    )
    assert finished_seeds(rows) == 2 and rows.converged("masked") is None
    parameters = scale(rows).parameters
    assert parameters is not None and parameters[1] == 110e6 and scale(rows).seeds == 2


def test_the_page_says_what_is_not_controlled(report: str) -> None:
    assert "Unfinished" not in report and "check failed" not in report
    known = "encoder, checkpoint `org/masked` at `c0ffee` (BertForMaskedLM, 110 M parameters, "
    assert f"- **masked**: {known}its own tokenizer of 30,522), **not controlled**" in report
    assert "**Not controlled:** `masked` is a checkpoint trained elsewhere" in report
    assert "**no evidence about objectives alone**" in report
    assert "- **Seeds:** 1, 2; a checkpoint was pretrained once" in report
    assert "Every network trained here passed the convergence check" in report
    assert "`causal` and `seq2seq`" in report
    assert "| `masked` (not controlled) | pretrained |" in report
    assert "| `causal` | pretrained |" in report
    assert "it may include these test items" in report
    assert "The models trained here agree within 5% in" in report
    assert "| sentiment | left out (masked) | 3 |" in report
    assert "**Left out**: `masked` (3 passages): tokens" in report


def test_every_verdict_that_involves_a_checkpoint_says_so(rows: Results, report: str) -> None:
    for task in rows.tasks:
        found = analyze(rows, task)
        assert found.checkpoints == ("masked",)
        for lead in [*found.comparisons, *found.gain_comparisons]:
            assert lead.controlled == ("masked" not in (lead.first, lead.second))
        assert all(lead.controlled for lead in found.gains)
    verdicts = [line for line in report.splitlines() if line.startswith("|") and " over `" in line]
    assert verdicts
    for line in verdicts:
        if "class" not in line and "model" not in line:
            assert ("not controlled" in line) == ("`masked`" in line), line


def test_of_its_budget_the_size_alone_is_known(rows: Results) -> None:
    table = budget(rows)
    assert table is not None and list(table.frame)[1:4] == ["causal", "masked", "seq2seq"]
    cells = {row[0]: row for row in table.frame.values.tolist()}
    assert cells["parameters"][2] == "110 M" and "differs: 83.78" in cells["parameters"][-1].text
    assert cells["corpus tokens read"][1:] == ["999 k", "–", "999 k", "equal"]
    found = fingerprints(rows)
    assert found is not None and "| checkpoint: masked | `hash of masked` |" in found.markdown


def test_checkpoints_alone(synthetic: Maker, tmp_path: Path) -> None:
    made = ready(synthetic(items=60), "causal", "masked", "seq2seq")
    folder = made.write(tmp_path / "alone")
    report = pages(folder)
    assert "Unfinished" not in report
    assert "Checkpoints come trained: there is no learning curve" in report
    assert "No network has finished" not in report and "figures/pretraining" not in report
    assert "Nothing was trained here.\nOf what a checkpoint cost, only its size is known" in report
    assert "110 M parameters, 2 seeds: do not extrapolate" in report and "One setting" not in report
    assert "**Held-out text and judge:**" in report and "**Network:" not in report
    sizes = pd.read_csv(folder / "tables" / "budget.csv")
    assert set(sizes["cost"]) == {"parameters", "parameters_without_embeddings"}


def test_a_checkpoint_that_could_say_none_of_the_texts(synthetic: Maker, tmp_path: Path) -> None:
    made = ready(synthetic(items=60), "masked")
    made.records = [
        r for r in made.records if not (r.model == "masked" and r.metric in ("bits", "bytes"))
    ]
    report = pages(made.write(tmp_path / "none"))
    part = report.rpartition("## continuation")[2].partition("**Generations**")[0]
    assert "`causal`" in part and "`masked`" not in part


def test_a_checkpoint_of_which_nothing_has_finished(synthetic: Maker, tmp_path: Path) -> None:
    made = ready(synthetic(items=20), "masked")
    made.drop(*(run.cell for run in list(made.runs) if run.model == "masked"))
    report = write(made.write(tmp_path / "x")).read_text(encoding="utf-8")
    assert (
        "**masked**: checkpoint `org/masked`, **not controlled**" in report
        and "0 seeds: do not" in report
    )
