"""What needs what, and what decides a cell's key."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lmcompare import plan as planning
from lmcompare.errors import InputError
from lmcompare.experiment import Experiment
from lmcompare.plan import plan

Make = Callable[..., Experiment]


def keys(experiment: Experiment) -> dict[str, str]:
    return {cell.name: cell.key for cell in plan(experiment)}


def test_the_plan_says_what_needs_what(make: Make) -> None:
    cells = {cell.name: cell for cell in plan(make(seeds=(1, 2)))}
    assert len(cells) == 1 + 1 + 2 * (2 + 2)
    assert cells["prepare"].needs == ()
    assert cells["next/control"].needs == ("prepare",)
    assert cells["pretrain/masked/2"].needs == ("prepare",)
    assert cells["next/masked/2/pretrained"].needs == ("prepare", "pretrain/masked/2")
    order = list(cells)
    assert all(order.index(need) < order.index(name) for name, cell in cells.items() for need in cell.needs)


def test_scratch_does_not_wait_for_pretraining(make: Make, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("text,label\nfine,1\n")
    source = {"kind": "csv", "path": str(tmp_path / "labels.csv")}
    cells = {cell.name: cell for cell in plan(make(tasks={"labels": {"kind": "classification", "source": source}}))}
    assert cells["labels/causal/1/scratch"].needs == ("prepare",)


def test_a_key_changes_with_what_decides_the_result_and_with_nothing_else(make: Make, tmp_path: Path) -> None:
    usual = keys(make())
    assert keys(make(name="other", says={"prepare": 1})) == usual
    assert keys(make(training={"checkpoint_minutes": 1})) == usual
    changed = keys(make(training={"learning_rate": 1e-3}))
    assert {name for name in usual if changed[name] == usual[name]} == {"prepare", "next/control"}
    arms = {"causal": {"objective": "causal"}, "masked": {"objective": {"kind": "masked", "rate": 0.4}}}
    changed = keys(make(arms=arms))
    assert {name for name in usual if changed[name] != usual[name]} == {"pretrain/masked/1", "next/masked/1/pretrained"}
    (tmp_path / "text.txt").write_text("another text\n")
    assert not set(keys(make()).values()) & set(usual.values())


def test_the_code_that_computes_is_part_of_the_key(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = keys(make())
    monkeypatch.setattr(planning, "_code", lambda: "other code")
    assert not set(keys(make()).values()) & set(usual.values())


def test_a_source_that_is_missing_is_said_before_anything_runs(make: Make, tmp_path: Path) -> None:
    experiment = make()
    (tmp_path / "text.txt").unlink()
    with pytest.raises(InputError, match=r"text\.txt"):
        plan(experiment)


def test_a_column_that_is_missing_is_said_before_anything_runs(make: Make, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("text,lable\nfine,1\n")
    source = {"kind": "csv", "path": str(tmp_path / "labels.csv")}
    task = {"kind": "classification", "source": source, "text": "txet"}
    with pytest.raises(InputError) as caught:
        plan(make(tasks={"labels": task}))
    assert list(caught.value.problems) == [
        "tasks.labels.text: the source has no column 'txet'; did you mean 'text'?",
        "tasks.labels.label: the source has no column 'label'; did you mean 'lable'?",
    ]
