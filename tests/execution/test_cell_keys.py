"""Which files of the package are in the key of which cell."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lmcompare.execution.cell_keys import PACKAGE, PLUGIN_ROOMS, ROOMS

SCRIPT = """
import json, sys
from lmcompare.execution.plan import plan
from lmcompare.experiments.experiment import parse
print(json.dumps({cell.name: cell.key for cell in plan(parse(json.loads(sys.argv[1])))}))
"""
TASKS = {"next": {"kind": "continuation"}, "between": {"kind": "infilling"}}
PRETRAIN = {"pretrain/causal/1", "pretrain/masked/1"}
NEXT = {"next/causal/1/pretrained", "next/masked/1/pretrained"}
BETWEEN = {"between/causal/1/pretrained", "between/masked/1/pretrained"}
CONTROLS = {"next/control", "between/control"}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package, in which files may be changed."""
    folder = tmp_path_factory.mktemp("package") / "lmcompare"
    shutil.copytree(PACKAGE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def keys(package: Path) -> dict[str, str]:
    text = package.parent / "text.txt"
    text.write_text("some text\n")
    settings = {
        "name": "small",
        "corpus": {"source": {"kind": "text", "path": str(text)}},
        "models": {"causal": {"objective": "causal"}, "masked": {"objective": "masked"}},
        "tasks": TASKS,
    }
    environment = os.environ | {"PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-P", "-c", SCRIPT, json.dumps(settings)]
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    loaded: dict[str, str] = json.loads(output.stdout)
    return loaded


@pytest.fixture(scope="module")
def usual(copy: Path) -> dict[str, str]:
    return keys(copy)


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("report/page.py", set()),
        ("cli/main.py", set()),
        ("execution/run.py", set()),
        ("statistics/intervals.py", set()),
        ("data/sources/csv.py", set()),
        ("tasks/tagging.py", set()),
        ("tasks/continuation.py", NEXT | {"next/control"}),
        ("tasks/base.py", NEXT | BETWEEN | CONTROLS),
        ("generation/autoregressive.py", NEXT | BETWEEN),
        ("metrics/accuracy.py", NEXT | BETWEEN | CONTROLS),
        ("training/loop.py", PRETRAIN | NEXT | BETWEEN),
        ("objectives/causal.py", PRETRAIN | NEXT | BETWEEN),
        ("data/sources/text.py", {"prepare"} | PRETRAIN | NEXT | BETWEEN | CONTROLS),
        ("data/tokenizer.py", {"prepare"} | PRETRAIN | NEXT | BETWEEN | CONTROLS),
    ],
)
def test_a_comment_changes_the_keys_of_the_cells_that_run_the_file(
    file: str, changed: set[str], copy: Path, usual: dict[str, str]
) -> None:
    path = copy / file
    text = path.read_text(encoding="utf-8")
    path.write_text(f"{text}# a comment\n", encoding="utf-8")
    try:
        after = keys(copy)
    finally:
        path.write_text(text, encoding="utf-8")
    assert {name for name in usual if usual[name] != after[name]} == changed


def test_the_rooms_of_the_table_exist() -> None:
    rooms = {room for kind in ROOMS.values() for room in kind} | {*PLUGIN_ROOMS}
    assert [room for room in rooms if not (PACKAGE / room).exists()] == []
