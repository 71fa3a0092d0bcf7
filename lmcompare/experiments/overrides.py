"""What ``--set`` and the section ``quick`` change: dotted keys of plain mappings."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lmcompare.core.errors import InputError, nearest
from lmcompare.experiments.yaml import Tree, parse_yaml, shown


def pairs(
    sets: Mapping[str, str] | Iterable[str], problems: list[str]
) -> Iterator[tuple[str, Any]]:
    """Yield the dotted keys and values of ``--set``; what is neither becomes a problem."""
    given = [f"{key}={value}" for key, value in sets.items()] if isinstance(sets, Mapping) else sets
    for pair in given:
        key, sign, value = pair.partition("=")
        if not sign or not key.strip():
            problems.append(f"--set {pair}: wanted key=value, e.g. training.tokens=60000")
            continue
        try:
            yield key.strip(), parse_yaml(value, f"--set {key}")
        except InputError as error:
            problems += error.problems


def changed(data: Tree, changes: Iterable[tuple[str, Any]], problems: list[str]) -> Tree:
    """Return ``data`` with dotted keys set; wrong names that validation would not see become problems."""
    for key, value in changes:
        data = _set(data, key.split("."), value, "", problems)
    return data


def _set(data: Any, keys: list[str], value: Any, path: str, problems: list[str]) -> Any:
    here, rest = keys[0], keys[1:]
    where = f"{path}.{here}".lstrip(".")
    if isinstance(data, str) and path.rpartition(".")[2] in {"objective", "source"} | _children(
        path
    ):
        data = {"kind": data}
    if data is not None and not isinstance(data, Mapping):
        problems.append(f"{where}: no such key; {path} is {shown(data)}")
        return data
    data = dict(data or {})
    if path in ("models", "tasks") and rest and here not in data:
        problems.append(f"{where}: no such key{nearest(here, map(str, data))}")
        return data
    if rest:
        data[here] = _set(data.get(here), rest, value, where, problems)
    elif (
        isinstance(value, Mapping)
        and isinstance(data.get(here), Mapping)
        and value
        and "kind" not in value
    ):
        for key, item in value.items():
            data[here] = _set(data[here], [str(key)], item, where, problems)
    else:
        data[here] = value
    return data


def _children(path: str) -> set[str]:
    """Return the last key of ``path`` if it names a task, which may be a bare word."""
    return {path.partition(".")[2]} if path.startswith("tasks.") else set()
