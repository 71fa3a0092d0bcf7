"""The folder of results."""

from pathlib import Path

import pytest

from lmcompare.core.errors import InputError
from lmcompare.core.records import Run, to_frame
from lmcompare.execution.jobs import cell_folder
from lmcompare.execution.plan import plan
from lmcompare.execution.state import RunState, locked


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match="wanted a folder that can be written"),
        locked(tmp_path / "file" / "out"),
    ):
        raise AssertionError("not reached")


def test_the_weights_of_a_run_are_found_in_its_folder(make, tmp_path: Path) -> None:
    experiment, cache = make(), tmp_path / "cache"
    cells = plan(experiment)
    (cell,) = (cell for cell in cells if cell.name == "pretrain/causal/1")
    state = RunState(experiment, tmp_path / "out", cache, "", cells, {}, {})
    for text in ("first", "again"):  # a cell that is done anew has another folder: the link follows
        weights = cell_folder(cache, cell) / "weights"
        weights.mkdir(parents=True, exist_ok=True)
        (weights / "config.json").write_text(text)
        state.done[cell.name] = (
            Run("small", cell.name, cell.key, "causal", 1, "", "", {}),
            to_frame([]),
        )
        state.write()
        assert (tmp_path / "out/weights/causal-1/config.json").read_text() == text
    assert not (tmp_path / "out/weights/masked-1").exists()
