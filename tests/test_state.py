"""The folder of results."""

from pathlib import Path

import pytest

from lmcompare.errors import InputError
from lmcompare.state import locked


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="wanted a folder that can be written"), locked(tmp_path / "file" / "out"):
        raise AssertionError("not reached")
