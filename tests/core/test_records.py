"""Rows survive the disk, and a file that is not theirs is said."""

from pathlib import Path

import pandas as pd
import pytest

from lmcompare.core import records
from lmcompare.core.errors import InputError, LmcompareError
from lmcompare.core.records import (
    COLUMNS,
    Convergence,
    Notes,
    Record,
    Run,
    TaskInfo,
    Trials,
    read_records,
    read_runs,
    to_frame,
    write_atomically,
    write_records,
    write_runs,
)

PREPARE = Run(
    "x", "prepare", "key", "", 0, "", "", {}, samples=[{"text": "\u4e2d a\u2028b\x85c\r\n"}]
)
CAUSAL = Run(
    "x",
    "pretrain/causal/1",
    "key",
    "causal",
    1,
    "pretraining",
    "pretrained",
    {},
    curve=[{"loss": 0.1}],
    notes=Notes(
        convergence=Convergence(6.5, 6.9, 0.3),
        task=TaskInfo("x", "x", "f1", "higher", ("pretrained",), 0.1, {"f1": ("hits", "")}, "x"),
        trials=Trials([{"epoch": 1}], {"epoch": 1}),
        details={"windows": 3},
    ),
)
ROWS = [
    Record("x", "causal", 1, "labels", "pretrained", "test", str(item), "correct", 1.0)
    for item in range(3)
]


def test_runs_come_back_sorted_by_cell(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs.jsonl", [CAUSAL, PREPARE])
    assert read_runs(tmp_path / "runs.jsonl") == [PREPARE, CAUSAL]


def test_no_runs_are_an_empty_file(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs.jsonl", [])
    assert (tmp_path / "runs.jsonl").read_bytes() == b""
    assert read_runs(tmp_path / "runs.jsonl") == []


@pytest.mark.parametrize(
    "line",
    ["", "{", "3", '{"cell": "prepare"}', '{"odd": 1}'],
    ids=["blank", "cut", "number", "few", "unknown"],
)
def test_a_line_that_is_no_run_is_said_with_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "runs.jsonl"
    write_runs(path, [PREPARE])
    path.write_text(path.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_runs(path)
    assert str(caught.value).startswith(f"{path}:2: not a run of this version of lmcompare (")


def test_records_come_back_sorted(tmp_path: Path) -> None:
    path = tmp_path / "records.parquet"
    write_records(path, to_frame(ROWS[::-1]))
    assert read_records(path).equals(to_frame(ROWS))
    write_records(path, to_frame([]))
    assert read_records(path).empty and list(read_records(path)) == COLUMNS


def test_records_that_lack_a_column_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "records.parquet"
    to_frame(ROWS).drop(columns=["metric", "value"]).to_parquet(path)
    with pytest.raises(InputError, match=r"got none called \['metric', 'value'\]"):
        read_records(path)
    to_frame(ROWS).assign(more=1).to_parquet(path)
    assert list(read_records(path)) == COLUMNS


def test_a_file_that_is_missing_or_no_parquet_is_said(tmp_path: Path) -> None:
    path = tmp_path / "records.parquet"
    for read in (read_records, read_runs):
        with pytest.raises(
            InputError, match="no such file; wanted the rows of a finished `lmcompare run`"
        ):
            read(path)
    path.write_text("text")
    with pytest.raises(InputError, match="not a Parquet file"):
        read_records(path)


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_what_was_there_is_kept_when_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "folder" / "file"
    write_atomically(path, b"old")
    assert path.stat().st_mode & 0o777 == 0o644
    with monkeypatch.context() as patch:
        patch.setattr(records.os, step, full)
        with pytest.raises(
            LmcompareError, match=r"cannot be written \(No space left on device\); nothing that was"
        ):
            write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in path.parent.iterdir()] == ["file"], "no temporary file stays"
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"


def test_to_frame_has_a_column_a_field() -> None:
    assert list(to_frame([])) == COLUMNS
    assert isinstance(to_frame(ROWS), pd.DataFrame) and len(to_frame(ROWS)) == 3
