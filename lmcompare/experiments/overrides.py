"""What ``--set`` and the section ``quick`` change: dotted keys of plain mappings."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lmcompare.core.errors import InputError, Problem, nearest
from lmcompare.experiments.renamed_keys import renamed
from lmcompare.experiments.yaml import Tree, is_partial, parse_yaml, shown


def parse_overrides(
    sets: Mapping[str, str] | Iterable[str], problems: list[Problem]
) -> Iterator[tuple[str, Any]]:
    """Yield the dotted keys and values of ``--set``."""
    pairs = [f"{key}={value}" for key, value in sets.items()] if isinstance(sets, Mapping) else sets
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key.strip():
            message = "wanted key=value, e.g. training.tokens=60000"
            problems.append(Problem(f"--set {pair}", message=message))
            continue
        try:
            yield key.strip(), parse_yaml(value, f"--set {key}")
        except InputError as error:
            problems += error.details


def with_changes(data: Tree, changes: Iterable[tuple[str, Any]], problems: list[Problem]) -> Tree:
    """Return ``data`` with dotted keys set; names that validation would not see are checked."""
    for key, value in changes:
        data = _set(data, key.split("."), value, "", problems)
    return data


def _set(data: Any, keys: list[str], value: Any, path: str, problems: list[Problem]) -> Any:
    # A bare word stands for a mapping with its kind.
    section, *below = path.split(".")
    is_task = section == "tasks" and len(below) == 1
    if isinstance(data, str) and (is_task or path.endswith(("objective", "source"))):
        data = {"kind": data}
    # The name of a model may have dots itself.
    depth = 1
    if isinstance(data, Mapping):
        depths = range(len(keys), 0, -1)
        depth = next((n for n in depths if ".".join(keys[:n]) in data), 1)
    here, rest = ".".join(keys[:depth]), keys[depth:]
    where = f"{path}.{here}".lstrip(".")
    if data is not None and not isinstance(data, Mapping):
        problems.append(Problem(where, message=f"no such key; {path} is {shown(data)}"))
        return data
    data = dict(data or {})
    if path in ("models", "tasks") and rest and here not in data:
        hint = renamed(where) or nearest(here, map(str, data))
        problems.append(Problem(where, message=f"no such key{hint}"))
    elif rest:
        data[here] = _set(data.get(here), rest, value, where, problems)
    elif isinstance(data.get(here), Mapping) and is_partial(value):
        for key, item in value.items():
            data[here] = _set(data[here], [str(key)], item, where, problems)
    else:
        data[here] = value
    return data
