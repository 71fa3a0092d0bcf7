"""Keys of cells: content hashes of all that a cell's result depends on, and of nothing else."""

import ast
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]
_DATA = ("core", "data")
_NETWORKS = (*_DATA, "objectives", "models", "training", "evaluation/cell_work.py")
ROOMS: dict[str, tuple[str, ...]] = {
    "prepare": (*_DATA, "evaluation/cell_work.py"),
    "pretrain": _NETWORKS,
    "control": (*_DATA, "evaluation", "metrics", "tasks"),
    "task": (
        *_NETWORKS,
        "scoring",
        "generation",
        "language_model.py",
        "adaptation",
        "evaluation",
        "metrics",
        "tasks",
    ),
}
"""The code that each kind of cell depends on: folders and files of the package. What trained the
network that a task cell reads is in the key of its `pretrain` cell, which is hashed in, too."""
PLUGIN_ROOMS = ("data/sources", "tasks")
"""Folders with one plug-in a file: of these a cell depends on the shared files (whose names begin
with an underscore, `base` and `__init__`) and on the plug-ins that its settings name."""


def cell_key(kind: str, settings: Any, needs: Sequence[str], parts: Iterable[Any] = ()) -> str:
    """Return the key of a cell.

    Args:
        kind: 'prepare', 'pretrain', 'task' or 'control'.
        settings: what JSON can hold: the settings that decide the result, fingerprints of sources.
        needs: keys of the cells that it needs.
        parts: the objects whose settings these are; their plug-ins' files count.
    """
    plugins = {path for part in parts for path in _plugin_files(part)}
    code = [
        code_digest(ROOMS[kind], frozenset(plugins)),
        *(library_version(library) for library in ("torch", "transformers")),
    ]
    text = json.dumps([kind, settings, needs, code], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@cache
def code_digest(rooms: tuple[str, ...], plugins: frozenset[Path]) -> str:
    """Return a SHA-256 over the Python files of these folders and files of the package."""
    digest = hashlib.sha256()
    for path in sorted(_files(rooms, plugins)):
        name = path.relative_to(PACKAGE).as_posix()
        digest.update(f"{name}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _files(rooms: tuple[str, ...], plugins: frozenset[Path]) -> set[Path]:
    files: set[Path] = set()
    for room in rooms:
        path = PACKAGE / room
        files |= {path} if path.suffix else set(path.rglob("*.py"))
    return {path for path in files if not _is_plugin(path)} | _with_siblings(plugins)


def _is_plugin(path: Path) -> bool:
    room = path.parent.relative_to(PACKAGE).as_posix()
    return room in PLUGIN_ROOMS and not path.stem.startswith("_") and path.stem != "base"


def _with_siblings(plugins: Iterable[Path]) -> set[Path]:
    """Return the files, and those of the same folder that they import."""
    files: set[Path] = set()
    queue = list(plugins)
    while queue:
        path = queue.pop()
        if path in files:
            continue
        files.add(path)
        queue += _imported_siblings(path)
    return files


@cache
def _imported_siblings(path: Path) -> list[Path]:
    """Return the files of the same folder that a file imports from."""
    imports = (
        node.module
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lmcompare.")
    )
    siblings = [path.with_name(f"{module.rpartition('.')[2]}.py") for module in imports if module]
    return [sibling for sibling in siblings if sibling.is_file()]


def _plugin_files(part: Any) -> Iterator[Path]:
    """Yield the files of the package's plug-ins among some settings and all that they hold."""
    if isinstance(part, Mapping):
        for value in part.values():
            yield from _plugin_files(value)
    elif isinstance(part, (list, tuple)):
        for value in part:
            yield from _plugin_files(value)
    elif is_dataclass(part) and not isinstance(part, type):
        file = getattr(sys.modules.get(type(part).__module__), "__file__", None)
        if file and Path(file).is_relative_to(PACKAGE) and _is_plugin(Path(file)):
            yield Path(file)
        for field in fields(part):
            yield from _plugin_files(getattr(part, field.name))


@cache
def library_version(library: str) -> str:
    """Return the version of an installed library without importing it, or 'absent'."""
    try:
        return version(library)
    except PackageNotFoundError:
        return "absent"
