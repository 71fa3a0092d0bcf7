"""YAML 1.2 in and out (there `no` is a word), and files that inherit another by `base`."""

import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.representer import SafeRepresenter

from lmcompare.core.errors import InputError, nearest

Tree = dict[str, Any]

REPLACED = ("models", "grid", "match", "tasks", "hypotheses")
"""Sections that a file has from itself alone or from its `base` alone, never from both."""
NOT_INHERITED = ("name", "description")

_TAG = "tag:yaml.org,2002:"
_AMBIGUOUS = re.compile(r"y|n|yes|no|on|off|=|<<|[-+.\d][-+.:\d_eExXa-fA-F]*", re.IGNORECASE)
"""Text that YAML 1.1 takes for a boolean or a number."""


class _Constructor(SafeConstructor):
    """Dates are text."""


class _Representer(SafeRepresenter):
    """Text is quoted where YAML 1.1 would read something else; a float has no exponent."""

    def represent_str(self, data: str) -> Any:
        style = "'" if _AMBIGUOUS.fullmatch(data) else None
        return self.represent_scalar(f"{_TAG}str", data, style if data.isprintable() else '"')

    def represent_float(self, data: float) -> Any:
        return self.represent_scalar(f"{_TAG}float", plain_number(data))


_Constructor.add_constructor(f"{_TAG}timestamp", SafeConstructor.construct_yaml_str)
_Representer.add_representer(str, _Representer.represent_str)
_Representer.add_representer(float, _Representer.represent_float)


def _yaml() -> Any:
    yaml: Any = YAML(typ="safe", pure=True)
    yaml.Constructor, yaml.Representer = _Constructor, _Representer
    yaml.default_flow_style, yaml.width = False, 120
    yaml.sort_base_mapping_type_on_output = False
    return yaml


def plain_number(value: float) -> str:
    """Return a float without an exponent.

    >>> plain_number(15e-4), plain_number(2.0), plain_number(1e22)
    ('0.0015', '2.0', '10000000000000000000000.0')
    """
    digits = f"{Decimal(repr(value)):f}"
    return digits if "." in digits else f"{digits}.0"


def parse_yaml(text: str, where: str) -> Any:
    """Return what a text of YAML 1.2 holds.

    >>> parse_yaml("[no, 3e-3]", "here")
    ['no', 0.003]

    Raises:
        InputError: it is not YAML, or a key is given twice; the message begins with ``where``, the
            line and the column.
    """
    try:
        return _yaml().load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{where}:{mark.line + 1}:{mark.column + 1}" if mark else where
        problem = error.problem or error.context or "not YAML"
        if isinstance(error, DuplicateKeyError):
            key = text.splitlines()[mark.line][mark.column :].partition(":")[0]
            problem = f"the key {key!r} is given twice"
        elif "\\t" in problem:
            problem = "a tab; YAML is indented with spaces"
        raise InputError(f"{place}: {problem}") from error
    except YAMLError as error:
        raise InputError(f"{where}: not YAML ({' '.join(str(error).split())})") from error


def dump_yaml(data: Tree) -> str:
    """Return plain mappings as YAML that means the same in 1.1 and 1.2."""
    stream = StringIO()
    _yaml().dump(data, stream)
    return stream.getvalue()


def flow_yaml(value: Any) -> str:
    """Return a value as YAML on one line.

    >>> flow_yaml({"a": [0.0001, None], "b": "", "c": True})
    '{a: [0.0001, null], b: "", c: true}'
    """
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {flow_yaml(item)}' for key, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(flow_yaml, value))}]"
    if isinstance(value, float):
        return plain_number(value)
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return str(value) or '""'


def read_mapping(path: Path, keys: Sequence[str]) -> Tree:
    """Return the mapping in a YAML file; ``keys``, for messages, are those that it may have.

    Raises:
        InputError: there is no such file, or it is not UTF-8, not YAML, or not a mapping.
    """
    known = [file.name for file in (path if path.is_dir() else path.parent).glob("[!.]*.y*ml")]
    near = nearest(path.name, known) if known else ""
    if path.is_dir():
        raise InputError(f"{path}: wanted a YAML file, got a folder{near}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file{near}") from error
    except UnicodeDecodeError as error:
        got = f"byte 0x{error.object[error.start]:02x} at position {error.start}"
        raise InputError(f"{path}: wanted UTF-8 text, got {got}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    data = parse_yaml(text, str(path))
    if data is None:
        raise InputError(f"{path}: empty; wanted an experiment with the keys {', '.join(keys)}")
    if not isinstance(data, dict):
        wanted = f"a mapping with the keys {', '.join(keys)}"
        raise InputError(f"{path}: wanted {wanted}, got {shown(data)}")
    return data


def read_with_base(path: Path, keys: Sequence[str], above: tuple[Path, ...] = ()) -> Tree:
    """Return the mapping in a YAML file, merged into that of its ``base`` (relative to the file).

    Mappings without a ``kind`` merge key by key, anything else replaces, and null removes. The
    sections of
    ``REPLACED`` are replaced as a whole, and with them what the base's ``quick`` changes of them;
    the base's ``name`` and ``description`` are not inherited.

    Raises:
        InputError: as ``read_mapping``; or files are each other's base.
    """
    place = path.resolve()
    if place in above:
        cycle = " -> ".join(file.name for file in (*above[above.index(place) :], place))
        raise InputError(f"{above[-1]}: base: wanted a file without a cycle, got {cycle}")
    data = read_mapping(path, keys)
    base = data.pop("base", None)
    if base is None:
        return data
    if not isinstance(base, str):
        wanted = "the name of a YAML file, relative to this one"
        raise InputError(f"{path}: base: wanted {wanted}, got {shown(base)}")
    try:
        inherited = read_with_base(path.parent / base, keys, (*above, place))
    except InputError as error:
        raise InputError(*(f"{path}: base: {line}" for line in error.problems)) from error
    return merged(inherited, data)


def merged(base: Tree, child: Tree) -> Tree:
    """Return an experiment's mapping merged into that of its base; see ``read_with_base``.

    >>> base = {"name": "a", "training": {"tokens": 9, "compile": True}, "tasks": {"x": {}}}
    >>> base["quick"] = {"training.tokens": 1, "tasks.x.items": 1}
    >>> merged(base, {"training": {"tokens": 8, "compile": None}, "tasks": {"y": {}}})
    {'training': {'tokens': 8}, 'quick': {'training.tokens': 1}, 'tasks': {'y': {}}}
    """
    own = [key for key in REPLACED if key in child]
    kept = {k: v for k, v in base.items() if k not in NOT_INHERITED and k not in own}
    if isinstance(kept.get("quick"), Mapping):
        quick = kept["quick"].items()
        kept["quick"] = {k: v for k, v in quick if str(k).partition(".")[0] not in own}
    return _deep_merged(kept, child)


def _deep_merged(base: Mapping[Any, Any], child: Mapping[Any, Any]) -> Tree:
    result = dict(base)
    for key, value in child.items():
        if value is None and key in base:
            del result[key]
        elif is_partial(value) and isinstance(base.get(key), Mapping):
            result[key] = _deep_merged(base[key], value)
        else:
            result[key] = value
    return result


def is_partial(value: Any) -> bool:
    """Whether a value changes a mapping in part; one with a ``kind`` replaces it."""
    return isinstance(value, Mapping) and bool(value) and "kind" not in value


def shown(value: Any) -> str:
    """Return a value as a message shows it: JSON, at most 80 characters."""
    if value is None:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."
