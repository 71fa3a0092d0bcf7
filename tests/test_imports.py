"""Imports run one way, from room to room, and what must answer fast loads nothing heavy."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lmcompare
from lmcompare.execution.cell_keys import ROOMS

ROOT = Path(lmcompare.__file__).parent
ORDER = (
    "core statistics data objectives models scoring generation language_model training tasks adaptation metrics "
    "evaluation report experiments execution cli __main__ benchmarks"
).split()
HEAVY = {"torch", "transformers", "evaluate", "sklearn", "matplotlib"}
FILES = [path for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"]


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_when_run(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a file, inside functions too, but for those that only a type checker
    reads.
    """
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield node
            yield from imported_when_run(node)


def rooms_imported(tree: ast.AST) -> Iterator[str]:
    """Yield the rooms that a file imports when it runs."""
    for node in imported_when_run(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            raise AssertionError(f"line {node.lineno}: a relative import; wanted the full name")
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names = (
                [f"lmcompare.{name.name}" for name in node.names]
                if module == "lmcompare"
                else [module]
            )
        elif isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "lmcompare" and len(parts) > 1 and not parts[1].startswith("__version"):
                yield parts[1]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_imports_only_from_rooms_below_it(path: Path) -> None:
    here = room(path)
    assert here in ORDER, f"{here}: say in ORDER where it stands"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    late = [
        name
        for name in rooms_imported(tree)
        if name != here and ORDER.index(name) > ORDER.index(here)
    ]
    assert not late, f"{here} imports {late}, which come later"


def test_the_rule_sees_an_import_inside_a_function() -> None:
    assert list(rooms_imported(ast.parse("def f():\n    from lmcompare.execution import run"))) == [
        "execution"
    ]
    assert list(rooms_imported(ast.parse("from lmcompare import cli, __version__"))) == ["cli"]
    only_types = "if TYPE_CHECKING:\n    from lmcompare.cli import main"
    assert list(rooms_imported(ast.parse(only_types))) == []


def test_no_cell_imports_code_that_is_not_in_its_key() -> None:
    rooms = {room.partition("/")[0].removesuffix(".py") for room in ROOMS["task"]}
    for path in (path for path in FILES if room(path) in rooms):
        imported = {*rooms_imported(ast.parse(path.read_text(encoding="utf-8")))}
        assert imported <= rooms, f"{path} imports {imported - rooms}"


@pytest.mark.parametrize(
    "module",
    [
        "cli.main",
        "core.settings",
        "data",
        "experiments.experiment",
        "execution.run",
        "execution.worker",
        "objectives",
        "tasks",
    ],
)
def test_light_files_load_nothing_heavy(module: str) -> None:
    code = f"import sys, lmcompare.{module}; print(*sys.modules)"
    if module in ("objectives", "data", "tasks"):
        registry = {"objectives": "OBJECTIVES", "data": "SOURCES", "tasks": "TASKS"}[module]
        code = f"import sys; from lmcompare.{module} import {registry}; list({registry}); print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not HEAVY & set(loaded)
    if module == "cli.main":
        assert not {"pandas", "numpy", "pydantic", "rich", "yaml"} & set(loaded)
