"""Plain mappings become settings: pydantic finds the problems; what was wanted is said by the field's JSON schema."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema

from lmcompare.core.errors import InputError, nearest
from lmcompare.core.registry import Registry
from lmcompare.data import SOURCES
from lmcompare.data.sources import _files as files
from lmcompare.experiments.yaml import Tree, shown
from lmcompare.objectives import OBJECTIVES, resolve_parts

T = TypeVar("T")
_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}


def check(cls: type[T], data: Any, path: str, problems: list[str]) -> T | None:
    """Return an instance of a settings class, or None and say each problem."""
    said: dict[str, list[str]] = {}
    value: T | None = None
    try:
        for where, what in _impostors(data, path, _schema(cls)):
            said[where] = [what]
        value = _adapter(cls).validate_python(data)
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            where, what = _explain(problem, data, path, _schema(cls))
            said.setdefault(where, []).append(what)
    except InputError as error:
        for line in error.problems:
            where, _, what = line.partition(": ")
            said.setdefault(f"{path}.{where}", []).append(what)
    problems += [
        f"{where}: {what}" for where, whats in said.items() for what in dict.fromkeys(whats)
    ]
    return None if said else value


def held(
    registry: Registry[Any], given: Any, key: str, path: str, problems: list[str]
) -> tuple[Any, Any]:
    """Return the plug-in under ``key`` of a section, and the section with that key filled."""
    if not isinstance(given, Mapping):
        return None, given
    if given.get(key) is None:
        problems.append(f"{path}.{key}: missing; wanted one of {', '.join(registry)}")
        return None, {**given, key: ""}
    return plugin(registry, given[key], f"{path}.{key}", problems), given


def plugin(registry: Registry[T], given: Any, path: str, problems: list[str]) -> T | None:
    """Return the instance that a bare word or a mapping with its ``kind`` describes, or None and say why."""
    found: list[str] = []
    cls: type[T] | None = None
    settings_given = dict(given) if isinstance(given, Mapping) else {"kind": given}
    kind = settings_given.pop("kind", None)
    if not isinstance(kind, str):
        where = (
            f"{path}.kind: missing; "
            if kind is None and isinstance(given, Mapping)
            else f"{path}: "
        )
        found.append(
            f"{where}wanted one of {', '.join(registry)}{'' if kind is None else f', got {shown(kind)}'}"
        )
    else:
        try:
            cls = registry[kind]
        except InputError as error:
            found.append(f"{path}{'.kind' if isinstance(given, Mapping) else ''}: {error}")
    if cls is None:
        problems += found
        return None
    if registry is SOURCES:
        unset(settings_given, path, found)
    nested = {"source"} & {field.name for field in fields(cls)} & set(settings_given)  # type: ignore[arg-type]
    for key in nested:
        settings_given[key] = plugin(SOURCES, settings_given[key], f"{path}.{key}", found)
    sections: Mapping[str, type[Any]] = getattr(cls, "sections", {})
    for key in set(sections) & set(settings_given):
        settings_given[key] = _section(sections[key], settings_given[key], f"{path}.{key}", found)
    if registry is OBJECTIVES:
        settings_given = resolve_parts(
            settings_given, path, lambda part, where: plugin(registry, part, where, found)
        )
    others: list[str] = []
    value = check(cls, settings_given, path, others)
    if found:  # a part that is wrong is None: that is said already, under its own path
        others = [
            problem for problem in others if not problem.endswith("wanted an objective, got None")
        ]
        said = tuple(f"{path}.{key}." for key in sections)
        others = [problem for problem in others if not problem.startswith(said)]
    found += others
    problems += found
    return None if found else value


def _section(cls: type[Any], given: Any, path: str, problems: list[str]) -> Any:
    """Return a mapping by name, each of its mappings as settings of this class, its source a Source."""
    if not isinstance(given, Mapping):
        return given
    made = {}
    for name, part in given.items():
        source, part = held(SOURCES, part, "source", f"{path}.{name}", problems)
        whole = {**part, "source": source} if isinstance(part, Mapping) else part
        made[name] = check(cls, whole, f"{path}.{name}", problems)
    return made


def unset(value: Any, path: str, problems: list[str]) -> None:
    """Say which variables of the environment are not set that a source's settings, or another path, name."""
    pairs = (
        value.items()
        if isinstance(value, Mapping)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, item in pairs:
        unset(item, f"{path}.{key}", problems)
    if isinstance(value, str):
        problems += [f"{path}: {said}" for said in files.unset(value)]


def _adapter(cls: type[Any]) -> TypeAdapter[Any]:
    if cls not in _ADAPTERS:
        _ADAPTERS[cls] = TypeAdapter(cls)
    return _ADAPTERS[cls]


def _explain(problem: Any, data: Any, path: str, schema: Tree) -> tuple[str, str]:
    """Return the path of the key and what is wrong with it."""
    where, value, node, parent = path, data, schema, schema
    for part in problem["loc"]:
        below = _below(node, part)
        inside = (
            part in value
            if isinstance(value, Mapping)
            else isinstance(value, (list, tuple)) and isinstance(part, int) and part < len(value)
        )
        if below is None and not inside and problem["type"] != "missing":
            break  # the tag of a union's member, not a key
        where, parent, node = f"{where}.{part}", node, below or {}
        value = value[part] if inside else problem["input"]
    match problem["type"]:
        case "unexpected_keyword_argument":
            return (
                where,
                f"no such key{nearest(str(problem['loc'][-1]), parent.get('properties', {}))}",
            )
        case "missing" if isinstance(problem["loc"][-1], str):
            return where, f"missing; wanted {_wanted(node)}" if _wanted(node) else "missing"
        case "missing":
            return where.rpartition(".")[
                0
            ], f"wanted {_wanted(parent)}, got {shown(problem['input'])}"
        case "value_error" | "assertion_error":
            return where, str(problem["ctx"]["error"])
        case "dataclass_type":
            return where, f"wanted a mapping{_keys(node)}, got {shown(value)}"
    return where, f"wanted {_wanted(node) or problem['msg']}, got {shown(value)}"


def _impostors(data: Any, path: str, schema: Tree) -> Iterator[tuple[str, str]]:
    """Yield what pydantic lets pass: true for a number, a word for true, infinity."""
    pairs = (
        enumerate(data)
        if isinstance(data, (list, tuple))
        else data.items()
        if isinstance(data, Mapping)
        else ()
    )
    for key, value in pairs:
        if below := _below(schema, key):
            yield from _impostors(value, f"{path}.{key}", below)
    types = {part.get("type") for part in [schema, *schema.get("anyOf", [])]}
    number, boolean = bool(types & {"integer", "number"}), "boolean" in types
    if isinstance(data, bool):
        wrong = number and not boolean
    elif isinstance(data, (int, float, str)):
        endless = number and str(data).strip().lstrip("+-").lower() in ("inf", "infinity", "nan")
        wrong = endless or boolean and not (number or "string" in types)
    else:
        wrong = False
    if wrong:
        yield path, f"wanted {_wanted(schema)}, got {shown(data)}"


def _schema(cls: type[Any]) -> Tree:
    try:
        schema = _adapter(cls).json_schema()
    except PydanticInvalidForJsonSchema:
        return {}
    parts = schema.get("$defs", {})

    def inline(node: Any) -> Any:
        if isinstance(node, dict):
            return (
                inline(parts[node["$ref"].rpartition("/")[2]])
                if "$ref" in node
                else {k: inline(v) for k, v in node.items()}
            )
        return [inline(item) for item in node] if isinstance(node, list) else node

    tree: Tree = inline({key: value for key, value in schema.items() if key != "$defs"})
    return tree


def _below(schema: Tree, part: str | int) -> Tree | None:
    if isinstance(part, int):
        rows = schema.get("prefixItems", [])
        found = rows[part] if part < len(rows) else schema.get("items")
    else:
        found = schema.get("properties", {}).get(part)
    return found if isinstance(found, dict) else None


def _wanted(schema: Tree) -> str:
    """Say what a JSON schema allows.

    >>> _wanted({"type": "integer", "exclusiveMinimum": 0})
    'an integer greater than 0'
    """
    if "enum" in schema or "const" in schema:
        choices = [shown(word) for word in schema.get("enum", [schema.get("const")])]
        return f"one of {', '.join(choices)}" if len(choices) > 1 else choices[0]
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_wanted(part) for part in schema["anyOf"]))
    if schema.get("type") == "array":
        count = schema.get("minItems")
        if "prefixItems" in schema:
            return f"a list of {len(schema['prefixItems'])}: {', '.join(_wanted(item) for item in schema['prefixItems'])}"
        item = _wanted(schema.get("items", {})) or "values"
        return f"a list{f' of at least {count}' if count else ''}, each {item}"
    words = {
        "integer": "an integer",
        "number": "a number",
        "string": "a text",
        "boolean": "true or false",
    }
    words |= {"null": "nothing", "object": f"a mapping{_keys(schema)}"}
    bounds = {
        "exclusiveMinimum": "greater than",
        "minimum": "at least",
        "exclusiveMaximum": "less than",
        "maximum": "at most",
    }
    limits = [f"{said} {schema[key]:g}" for key, said in bounds.items() if key in schema]
    return f"{words.get(schema.get('type', ''), '')} {' and '.join(limits)}".strip()


def _keys(schema: Tree) -> str:
    return f" of {', '.join(schema['properties'])}" if schema.get("properties") else ""
