"""Plain mappings become settings: pydantic validates, a JSON schema says what was wanted."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema

from lmcompare.core.errors import InputError, Problem, nearest
from lmcompare.core.registry import Registry
from lmcompare.data.sources import _files as files
from lmcompare.data.sources.base import SOURCES
from lmcompare.experiments.renamed_keys import renamed, renamed_kind
from lmcompare.experiments.yaml import Tree, shown
from lmcompare.objectives import OBJECTIVES, resolve_parts

T = TypeVar("T")
_VALIDATORS: dict[type[Any], tuple[TypeAdapter[Any], Tree]] = {}


def validate(cls: type[T], data: Any, path: str, problems: list[Problem]) -> T | None:
    """Return an instance of a settings class, or None and add each problem."""
    adapter, schema = _validator(cls)
    mistakes = list(_disguised(data, path, schema))
    disguised = {problem.path for problem in mistakes}
    value: T | None = None
    try:
        value = adapter.validate_python(data)
    except ValidationError as error:
        kind = getattr(cls, "kind", "")
        explained = (
            _explain(detail, data, path, schema, kind) for detail in error.errors(include_url=False)
        )
        mistakes += [problem for problem in explained if problem.path not in disguised]
    except InputError as error:
        mistakes += [problem.below(path) for problem in error.details]
    problems += dict.fromkeys(mistakes)
    return None if mistakes else value


def build_plugin(registry: Registry[T], given: Any, path: str, problems: list[Problem]) -> T | None:
    """Return the instance that a bare word, or a mapping with its ``kind``, describes.

    The sources and objectives inside it are built too. None where something is wrong: each
    problem is added.
    """
    settings = dict(given) if isinstance(given, Mapping) else {"kind": given}
    kind_path = f"{path}.kind" if isinstance(given, Mapping) else path
    kind = settings.pop("kind", None)
    choices = f"one of {', '.join(registry)}"
    if kind is None:
        problems.append(Problem(kind_path, choices))
        return None
    if not isinstance(kind, str):
        problems.append(Problem(path, choices, shown(kind)))
        return None
    if kind not in registry:
        hint = renamed_kind(kind) or nearest(kind, registry)
        problems.append(Problem(kind_path, message=f"no {registry.noun} {kind!r}{hint}"))
        return None

    # What lies inside is built first; a part that is wrong is None, and said under its own path.
    cls = registry[kind]
    inside: list[Problem] = []
    if registry is SOURCES:
        inside += unset_variables(settings, path)
    if "source" in settings and "source" in {field.name for field in fields(cls)}:  # type: ignore[arg-type]
        settings["source"] = build_plugin(SOURCES, settings["source"], f"{path}.source", inside)
    sections: Mapping[str, type[Any]] = getattr(cls, "sections", {})
    for key in sections.keys() & settings.keys():
        settings[key] = _build_section(sections[key], settings[key], f"{path}.{key}", inside)
    if registry is OBJECTIVES:
        settings = resolve_parts(
            settings, path, lambda part, where: build_plugin(registry, part, where, inside)
        )

    own: list[Problem] = []
    value = validate(cls, settings, path, own)
    if inside:
        below = tuple(f"{path}.{key}." for key in sections)
        own = [
            problem
            for problem in own
            if not problem.path.startswith(below)
            and not str(problem).endswith("wanted an objective, got None")
        ]
    problems += inside + own
    return None if inside or own else value


def _build_section(cls: type[Any], given: Any, path: str, problems: list[Problem]) -> Any:
    """Return a mapping by name, each of its mappings as settings of this class with a Source."""
    if not isinstance(given, Mapping):
        return given
    built = {}
    for name, part in given.items():
        settings = part
        if isinstance(part, Mapping):
            where = f"{path}.{name}.source"
            source = build_plugin(SOURCES, part.get("source"), where, problems)
            settings = {**part, "source": source}
        built[name] = validate(cls, settings, f"{path}.{name}", problems)
    return built


def unset_variables(value: Any, path: str) -> Iterator[Problem]:
    """Yield the variables of the environment that settings name and that are not set."""
    for key, item in _items(value):
        yield from unset_variables(item, f"{path}.{key}")
    if isinstance(value, str):
        for message in files.unset(value):
            yield Problem(path, message=message)


def _items(value: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        return value.items()
    return enumerate(value) if isinstance(value, (list, tuple)) else ()


def _validator(cls: type[Any]) -> tuple[TypeAdapter[Any], Tree]:
    """Return pydantic's validator of a class and its JSON schema, with references written out."""
    if cls not in _VALIDATORS:
        adapter = TypeAdapter(cls)
        try:
            schema = adapter.json_schema()
        except PydanticInvalidForJsonSchema:
            schema = {}
        _VALIDATORS[cls] = adapter, _inlined(schema, schema.pop("$defs", {}))
    return _VALIDATORS[cls]


def _inlined(node: Any, definitions: Tree) -> Any:
    if isinstance(node, list):
        return [_inlined(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _inlined(definitions[node["$ref"].rpartition("/")[2]], definitions)
    return {key: _inlined(value, definitions) for key, value in node.items()}


def _explain(detail: Any, data: Any, path: str, schema: Tree, kind: str) -> Problem:
    """Return what pydantic found, with the path of the key and what the schema wants there."""
    where, value, node, parent = path, data, schema, schema
    for part in detail["loc"]:
        child = _child(node, part)
        inside = dict(_items(value)).keys()
        if child is None and part not in inside and detail["type"] != "missing":
            break  # the tag of a union's member, not a key
        where, parent, node = f"{where}.{part}", node, child or {}
        value = value[part] if part in inside else detail["input"]
    match detail["type"]:
        case "unexpected_keyword_argument":
            known = parent.get("properties", {})
            hint = renamed(where, kind) or nearest(str(detail["loc"][-1]), known)
            return Problem(where, message=f"no such key{hint}")
        case "missing" if isinstance(detail["loc"][-1], str):
            wanted = _wanted(node)
            return Problem(where, wanted, message="" if wanted else "missing")
        case "missing":
            return Problem(where.rpartition(".")[0], _wanted(parent), shown(detail["input"]))
        case "value_error" | "assertion_error":
            return Problem(where, message=str(detail["ctx"]["error"]))
        case "dataclass_type":
            return Problem(where, f"a mapping{_keys(node)}", shown(value))
    return Problem(where, _wanted(node) or detail["msg"], shown(value))


def _disguised(data: Any, path: str, schema: Tree) -> Iterator[Problem]:
    """Yield what pydantic lets pass: true for a number, a word for true, infinity."""
    for key, value in _items(data):
        if child := _child(schema, key):
            yield from _disguised(value, f"{path}.{key}", child)
    types = {part.get("type") for part in [schema, *schema.get("anyOf", [])]}
    number, boolean = bool(types & {"integer", "number"}), "boolean" in types
    wrong = False
    if isinstance(data, bool):
        wrong = number and not boolean
    elif isinstance(data, (int, float, str)):
        infinite = str(data).strip().lstrip("+-").lower() in ("inf", "infinity", "nan")
        wrong = number and infinite or boolean and not (number or "string" in types)
    if wrong:
        yield Problem(path, _wanted(schema), shown(data))


def _child(schema: Tree, part: str | int) -> Tree | None:
    if isinstance(part, int):
        items = schema.get("prefixItems", [])
        child = items[part] if part < len(items) else schema.get("items")
    else:
        child = schema.get("properties", {}).get(part)
    return child if isinstance(child, dict) else None


_TYPES = {
    "integer": "an integer",
    "number": "a number",
    "string": "a text",
    "boolean": "true or false",
    "null": "nothing",
}
_BOUNDS = {
    "exclusiveMinimum": "greater than",
    "minimum": "at least",
    "exclusiveMaximum": "less than",
    "maximum": "at most",
}


def _wanted(schema: Tree) -> str:
    """Say what a JSON schema allows.

    >>> _wanted({"type": "integer", "exclusiveMinimum": 0})
    'an integer greater than 0'
    """
    if "const" in schema:
        return shown(schema["const"])
    if "enum" in schema:
        return f"one of {', '.join(map(shown, schema['enum']))}"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(map(_wanted, schema["anyOf"])))
    if schema.get("type") == "object":
        return f"a mapping{_keys(schema)}"
    if schema.get("type") == "array":
        if items := schema.get("prefixItems"):
            return f"a list of {len(items)}: {', '.join(map(_wanted, items))}"
        least = f" of at least {schema['minItems']}" if schema.get("minItems") else ""
        return f"a list{least}, each {_wanted(schema.get('items', {})) or 'values'}"
    limits = [f"{word} {schema[key]:g}" for key, word in _BOUNDS.items() if key in schema]
    return f"{_TYPES.get(schema.get('type', ''), '')} {' and '.join(limits)}".strip()


def _keys(schema: Tree) -> str:
    return f" of {', '.join(schema['properties'])}" if schema.get("properties") else ""
