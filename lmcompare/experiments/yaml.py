"""YAML 1.2: there `no` and `on` are words and 3e-3 is a number; PyYAML's 1.1 has it the other way round."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from lmcompare.core.errors import InputError, nearest

Tree = dict[str, Any]


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML 1.2's plain values; a key given twice is an error."""

    yaml_implicit_resolvers: dict[str, Any] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode) and seen.setdefault(key.value, line) != line:
                raise yaml.constructor.ConstructorError(
                    None,
                    None,
                    f"the key {key.value!r} is given twice (first in line {seen[key.value]})",
                    key.start_mark,
                )
        return dict(super().construct_mapping(node, deep))


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """Quotes whatever YAML 1.1 or 1.2 could take for something other than text, or other text."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        return self.represent_scalar(
            "tag:yaml.org,2002:str", data, style=None if data.isprintable() else '"'
        )


_Dumper.add_representer(str, _Dumper.represent_str)

for _tag, _pattern, _first in (
    ("tag:yaml.org,2002:null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("tag:yaml.org,2002:int", r"[-+]?(0|[1-9][0-9_]*)", list("-+0123456789")),
    (
        "tag:yaml.org,2002:float",
        r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    ("tag:yaml.org,2002:merge", r"<<", ["<"]),
):
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(_tag, re.compile(rf"^(?:{_pattern})$"), _first)


def parse_yaml(text: str, where: str) -> Any:
    """Return what a text of YAML 1.2 says.

    >>> parse_yaml("[no, 3e-3]", "here")
    ['no', 0.003]

    Raises:
        InputError: it is not YAML; the message begins with ``where``, the line and the column.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{where}:{mark.line + 1}:{mark.column + 1}" if mark else where
        said = error.problem or error.context or "not YAML"
        if "\\t" in said:
            said = "a tab; YAML is indented with spaces"
        raise InputError(f"{place}: {said}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{where}: not YAML ({' '.join(str(error).split())})") from error


def read_mapping(path: Path, keys: Sequence[str]) -> Tree:
    """Return the mapping in a YAML file.

    Args:
        path: of the file.
        keys: that it may have, for the message where it is no mapping.

    Raises:
        InputError: there is no such file, or it is not UTF-8, not YAML, or not a mapping.
    """
    if path.is_dir():
        known = [file.name for file in path.glob("[!.]*.y*ml")]
        raise InputError(
            f"{path}: wanted a YAML file, got a folder{nearest(path.name, known) if known else ''}"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        known = [file.name for file in path.parent.glob("[!.]*.y*ml")]
        raise InputError(
            f"{path}: no such file{nearest(path.name, known) if known else ''}"
        ) from error
    except UnicodeDecodeError as error:
        got = f"byte 0x{error.object[error.start]:02x} at position {error.start}"
        raise InputError(f"{path}: wanted UTF-8 text, got {got}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    data = parse_yaml(text, str(path))
    if data is None:
        raise InputError(f"{path}: empty; wanted an experiment with the keys {', '.join(keys)}")
    if not isinstance(data, dict):
        raise InputError(
            f"{path}: wanted a mapping with the keys {', '.join(keys)}, got {shown(data)}"
        )
    return data


def dump_yaml(data: Tree) -> str:
    """Return plain mappings as YAML that means the same in 1.1 and 1.2."""
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120))


def shown(value: Any) -> str:
    """Return a value as a message shows it: JSON, at most 80 characters."""
    if value is None:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."
