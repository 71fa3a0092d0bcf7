from pathlib import Path
from typing import Any

import pytest

import lmcompare.data.sources.huggingface as room
from lmcompare.core.errors import InputError
from lmcompare.data.sources.huggingface import HuggingFace

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    room._content.cache_clear()


def refuse(error: Exception) -> Any:
    def load(*args: Any, **kwargs: Any) -> None:
        raise error

    return load


def test_a_saved_data_set_is_read_from_its_folder(tmp_path: Path) -> None:
    rows = [{"review": "a", "label": 1}, {"review": "b", "label": 0}]
    saved = datasets.DatasetDict(
        {"train": datasets.Dataset.from_list(rows), "test": datasets.Dataset.from_list(rows[:1])}
    )
    saved.save_to_disk(str(tmp_path / "both"))
    saved["train"].save_to_disk(str(tmp_path / "one"))
    expected = [{**row, "text": row["review"]} for row in rows]
    both = HuggingFace(str(tmp_path / "both"), column="review")
    assert (
        list(both.rows())
        == list(HuggingFace(str(tmp_path / "one"), column="review").rows())
        == expected
    )
    assert both.fingerprint() == HuggingFace(both.name, column="review").fingerprint()
    assert both.fingerprint() != HuggingFace(both.name, column="review", split="test").fingerprint()
    with pytest.raises(InputError, match="unknown split 'dev'; there are \\['test', 'train'\\]"):
        list(HuggingFace(both.name, split="dev").rows())
    with pytest.raises(InputError, match="no column 'reviews'; did you mean 'review'"):
        list(HuggingFace(both.name, column="reviews").rows())


def test_a_file_and_a_folder_of_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.jsonl").write_text(
        '{"text": "a", "label": 1}\n{"text": "b", "label": 0}\n'
    )
    for name in (tmp_path / "data", tmp_path / "data" / "train.jsonl"):
        assert [row["text"] for row in HuggingFace(str(name)).rows()] == ["a", "b"]
    with pytest.raises(InputError, match="dev"):
        list(HuggingFace(str(tmp_path / "data"), split="dev").rows())


def test_a_missing_network_is_said_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        datasets, "load_dataset", refuse(ConnectionError("Couldn't reach 'x/y' on the Hub"))
    )
    with pytest.raises(InputError, match="'x/y': the hub cannot be reached .* wanted the network"):
        list(HuggingFace("x/y").rows())
    monkeypatch.setattr(
        datasets,
        "load_dataset",
        refuse(datasets.exceptions.DatasetNotFoundError("x/y doesn't exist")),
    )
    with pytest.raises(InputError, match="'x/y': x/y doesn't exist"):
        HuggingFace("x/y").fingerprint()


def test_the_hub_is_asked_for_what_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def load(*args: Any, **kwargs: Any) -> Any:
        calls.append((args, kwargs))
        return datasets.Dataset.from_list([{"text": "a"}])

    monkeypatch.setattr(datasets, "load_dataset", load)
    source = HuggingFace("x/y", config="en", split="all", revision="v1")
    assert list(source.rows()) == [{"text": "a"}]
    assert calls == [(("x/y", "en"), {"split": "all", "revision": "v1"})]
    assert source.fingerprint() == source.fingerprint() and len(calls) == 2, (
        "the content is hashed once a process"
    )
