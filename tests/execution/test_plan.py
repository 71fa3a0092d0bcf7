"""What needs what, and what decides a cell's key."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lmcompare.core.errors import InputError
from lmcompare.execution import source_checks
from lmcompare.execution.plan import pending_downloads, plan
from lmcompare.experiments.experiment import Experiment, parse

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
    assert all(
        order.index(need) < order.index(name) for name, cell in cells.items() for need in cell.needs
    )


def test_scratch_does_not_wait_for_pretraining(make: Make, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("text,label\nfine,1\n")
    source = {"kind": "csv", "path": str(tmp_path / "labels.csv")}
    cells = {
        cell.name: cell
        for cell in plan(make(tasks={"labels": {"kind": "classification", "source": source}}))
    }
    assert cells["labels/causal/1/scratch"].needs == ("prepare",)


def test_a_key_changes_with_what_decides_the_result_and_with_nothing_else(
    make: Make, tmp_path: Path
) -> None:
    usual = keys(make())
    assert keys(make(name="other", says={"prepare": 1})) == usual
    assert keys(make(training={"checkpoint_minutes": 1})) == usual
    changed = keys(make(training={"learning_rate": 1e-3}))
    assert {name for name in usual if changed[name] == usual[name]} == {"prepare", "next/control"}
    models = {
        "causal": {"objective": "causal"},
        "masked": {"objective": {"kind": "masked", "mask_rate": 0.4}},
    }
    changed = keys(make(models=models))
    assert {name for name in usual if changed[name] != usual[name]} == {
        "pretrain/masked/1",
        "next/masked/1/pretrained",
    }
    (tmp_path / "text.txt").write_text("another text\n")
    assert not set(keys(make()).values()) & set(usual.values())


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "config.json").write_text(
        '{"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}'
    )
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_text("weights")
    return folder


def test_a_checkpoint_is_not_pretrained(make: Make, tmp_path: Path, weights: Path) -> None:
    source = {"kind": "csv", "path": str(tmp_path / "text.txt")}
    tasks = {"labels": {"kind": "classification", "source": source}}
    models = {"fresh": {"objective": "causal"}, "ready": {"checkpoint": str(weights)}}
    cells = {cell.name: cell for cell in plan(make(models=models, tasks=tasks, seeds=(1, 2)))}
    assert [name for name in cells if name.startswith("pretrain/")] == [
        "pretrain/fresh/1",
        "pretrain/fresh/2",
    ]
    for condition in ("pretrained", "scratch"):
        assert cells[f"labels/ready/2/{condition}"].needs == ("prepare",)
    assert cells["labels/fresh/2/pretrained"].needs == ("prepare", "pretrain/fresh/2")
    assert len({cell.key for cell in cells.values()}) == len(cells)


def test_the_content_of_a_checkpoint_is_part_of_its_key(make: Make, weights: Path) -> None:
    def of(**model: str) -> str:
        return keys(make(models={"ready": model, "fresh": {"objective": "causal"}}))[
            "next/ready/1/pretrained"
        ]

    here = of(checkpoint=str(weights))
    moved = weights.rename(weights.with_name("moved"))
    assert of(checkpoint=str(moved)) == here
    (moved / "model.safetensors").write_text("other weights")
    assert of(checkpoint=str(moved)) != here
    hub = of(checkpoint="org/tiny-name")
    assert of(checkpoint="org/tiny-name", revision="main") == hub
    assert of(checkpoint="org/tiny-name", revision="v2") != hub != of(checkpoint="org/tiny-other")


def test_checkpoints_that_are_wrong_are_said_before_anything_runs(
    make: Make, tmp_path: Path, weights: Path
) -> None:
    (weights / "model.safetensors").unlink()
    models = {
        "gone": {"checkpoint": str(tmp_path / "weigths")},
        "bare": {"checkpoint": str(weights)},
        "odd": {"checkpoint": "org/a b"},
        "pinned": {"checkpoint": str(weights), "revision": "v1"},
    }
    with pytest.raises(InputError) as caught:
        plan(make(models=models))
    assert caught.value.problems == [
        f"models.gone.checkpoint: {tmp_path}/weigths: wanted a folder with config.json, safetensors and a tokenizer, got "
        f"no such folder; did you mean '{weights}'?",
        f"models.bare.checkpoint: {weights}: wanted weights that are safetensors, got none",
        "models.odd.checkpoint: wanted a folder that exists, or a name of the hub such as openai-community/gpt2, got "
        "'org/a b'",
        "models.pinned.revision: wanted none beside a folder, got 'v1'",
    ]


def test_a_class_that_its_name_does_not_tell_is_asked_of_transformers(
    make: Make, weights: Path
) -> None:
    (weights / "config.json").write_text('{"model_type": "vit", "architectures": ["ViTModel"]}')
    with pytest.raises(
        InputError,
        match=r"models\.ready\.checkpoint: .*wanted a language model that reads text alone",
    ):
        plan(make(models={"ready": {"checkpoint": str(weights)}}))


def test_what_must_be_downloaded_is_said_and_not_fetched(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("touched the network"))
    experiment = make(
        models={"hub": {"checkpoint": "org/tiny-name"}, "fresh": {"objective": "causal"}}
    )
    plan(experiment)
    (said,) = pending_downloads(experiment)
    assert said.startswith(
        "models.hub.checkpoint: org/tiny-name is not on this machine; a run fetches it from the hub, which"
    )
    assert "HF_HUB_OFFLINE is set" in said
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert pending_downloads(experiment)[0].endswith("which needs the network")


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


def test_a_word_for_a_label_that_there_is_not_is_said_before_anything_runs(
    make: Make, tmp_path: Path
) -> None:
    rows = "".join(f"text {i},{'positive' if i < 50 else 'negative'}\r\n" for i in range(100))
    (tmp_path / "labels.csv").write_text(f"text,label\r\n{rows}", encoding="utf-8")
    source = {"kind": "csv", "path": str(tmp_path / "labels.csv")}
    task = {"kind": "classification", "source": source, "protocol": "zero_shot"}
    plan(make(tasks={"labels": {**task, "verbalizer": {"negative": "bad", "positive": "good"}}}))
    with pytest.raises(InputError) as caught:
        plan(make(tasks={"labels": {**task, "verbalizer": {"negativ": "bad", "zzz": "good"}}}))
    assert list(caught.value.problems) == [
        "tasks.labels.verbalizer.negativ: no such label in column 'label'; did you mean 'negative'?",
        "tasks.labels.verbalizer.zzz: no such label in column 'label'; known: negative, positive",
    ]


def test_labels_are_read_only_until_each_word_has_one(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "labels.csv").write_text("text,label\nfine,1\nbad,0\nodd,2\n")
    source = {"kind": "csv", "path": str(tmp_path / "labels.csv")}
    task = {
        "kind": "classification",
        "source": source,
        "protocol": "text_to_text",
        "verbalizer": {"2": "odd"},
    }
    plan(make(tasks={"labels": task}))
    # Of a source with more rows than that nothing is said: the label may still come.
    monkeypatch.setattr(source_checks, "MAX_ROWS", 2)
    plan(make(tasks={"labels": {**task, "verbalizer": {"3": "odd"}}}))


def test_an_model_is_given_the_tasks_that_it_names(make: Make) -> None:
    models = {"causal": {"objective": "causal"}, "idle": {"objective": "causal", "tasks": []}}
    tasks = {"next": "continuation", "gap": "infilling"}
    models["one"] = {"objective": "masked", "tasks": ["gap"]}
    experiment = make(models=models, tasks=tasks)
    names = [cell.name for cell in plan(experiment) if cell.kind in ("task", "pretrain")]
    assert names == [
        *(f"pretrain/{model}/1" for model in models),
        "next/causal/1/pretrained",
        "gap/causal/1/pretrained",
        "gap/one/1/pretrained",
    ]
    assert parse(experiment.resolved()).models == experiment.models
    models["one"]["tasks"] = ["gab"]
    with pytest.raises(InputError) as caught:
        make(models=models, tasks=tasks)
    assert caught.value.problems == ["models.one.tasks.0: no such task; did you mean 'gap'?"]
