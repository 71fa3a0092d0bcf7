"""A YAML file becomes an Experiment, or one message that names every mistake in it."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema

from lmcompare import settings
from lmcompare.corpora import SOURCES
from lmcompare.errors import InputError, nearest
from lmcompare.objectives import OBJECTIVES
from lmcompare.registry import Registry
from lmcompare.tasks import TASKS, Task

T = TypeVar("T")
Tree = dict[str, Any]
KEYS = (
    "name",
    "description",
    "corpus",
    "vocabulary",
    "blocks",
    "network",
    "training",
    "arms",
    "tasks",
    "seeds",
    "quick",
)
RESERVED = ("prepare", "pretrain", "pretraining")
_NAME = re.compile(r"\w[\w +-]*")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|([A-Za-z_]\w*))")


@dataclass(frozen=True)
class Experiment:
    """All that decides the results.

    Attributes:
        name: of the experiment and of its results folder.
        description: one line for the report.
        corpus: the text to train on; its ``source`` is a Source.
        vocabulary: the shared tokenizer.
        blocks: how documents become rows.
        network: the block that all roles share.
        training: the budget and the loop.
        arms: the sides of the comparison, by name; the ``objective`` of each is an Objective, and ``network`` and
            ``training`` hold what it alone changes.
        tasks: what is measured, by name.
        seeds: one pretraining of each arm for each.
    """

    name: str
    description: str
    corpus: settings.Corpus
    vocabulary: settings.Vocabulary
    blocks: settings.Blocks
    network: settings.Network
    training: settings.Training
    arms: dict[str, settings.Arm]
    tasks: dict[str, Task]
    seeds: tuple[int, ...]

    def network_of(self, arm: str) -> settings.Network:
        """Return the network of ``arm``: the shared settings and what the arm changes of them."""
        changes: dict[str, Any] = self.arms[arm].network
        return replace(self.network, **changes)

    def training_of(self, arm: str) -> settings.Training:
        """Return how ``arm`` is trained: the shared settings and what the arm changes of them."""
        changes: dict[str, Any] = self.arms[arm].training
        return replace(self.training, **changes)

    def resolved(self) -> Tree:
        """Return all settings, defaults too, as plain mappings that ``parse`` reads back to the same experiment."""
        return {field.name: plain(getattr(self, field.name)) for field in fields(self)}

    def dump(self) -> str:
        """Return ``resolved`` as YAML that ``load`` reads back to the same experiment."""
        return str(yaml.dump(self.resolved(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120))


def plain(value: Any) -> Any:
    """Return settings as what JSON and YAML can hold; the class of a plug-in is said by its ``kind``.

    >>> plain(settings.Blocks())
    {'length': 128, 'documents': 'joined'}
    """
    if is_dataclass(value):
        kind = getattr(type(value), "kind", None)
        head = {} if kind is None else {"kind": kind}
        return head | {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def load(path: str | Path, sets: Mapping[str, str] | Iterable[str] = (), quick: bool = False) -> Experiment:
    """Read an experiment.

    Args:
        path: a YAML 1.2 file.
        sets: what to change of it: ``{"training.tokens": "1e5"}`` or ``["training.tokens=1e5"]``; values are YAML.
        quick: apply what the file says under ``quick``, before ``sets``.

    Raises:
        InputError: there is no such file, it is not YAML, or its settings are wrong: all problems at once.
    """
    path = Path(path)
    return parse(_read(path), sets, quick, name=path.stem)


def parse(data: Tree, sets: Mapping[str, str] | Iterable[str] = (), quick: bool = False, name: str = "") -> Experiment:
    """Return the experiment that plain mappings describe; see ``load``. ``name`` is used where ``data`` has none.

    Raises:
        InputError: with all problems at once.
    """
    problems: list[str] = []
    data = {"name": name, **data} if name else dict(data)
    changes = list(_pairs(sets, problems))
    section = data.pop("quick", None)
    if section is not None and not isinstance(section, Mapping):
        problems.append(f"quick: wanted a mapping of dotted keys, got {_got(section)}")
        section = None
    if quick and not section:
        problems.append(
            "quick: missing; --quick wanted it to say what a quick run changes, e.g. {training.tokens: 60000}"
        )
    usual = _build(_changed(data, changes, problems), problems)
    small = None
    if section:
        others: list[str] = []
        shrunk = _changed(data, [(str(key), value) for key, value in section.items()], others)
        small = _build(_changed(shrunk, changes, []), others)
        problems += [f"quick.{problem}" for problem in others if problem not in problems]
    chosen = small if quick else usual
    if problems or chosen is None:
        raise InputError(*dict.fromkeys(problems))
    return chosen


# Reading YAML 1.2: there `no` and `on` are words and 3e-3 is a number; PyYAML's 1.1 has it the other way round.


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
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=None if data.isprintable() else '"')


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


def _parse_yaml(text: str, where: str) -> Any:
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


def _read(path: Path) -> Tree:
    if path.is_dir():
        known = [file.name for file in path.glob("[!.]*.y*ml")]
        raise InputError(f"{path}: wanted a YAML file, got a folder{nearest(path.name, known) if known else ''}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        known = [file.name for file in path.parent.glob("[!.]*.y*ml")]
        raise InputError(f"{path}: no such file{nearest(path.name, known) if known else ''}") from error
    except UnicodeDecodeError as error:
        got = f"byte 0x{error.object[error.start]:02x} at position {error.start}"
        raise InputError(f"{path}: wanted UTF-8 text, got {got}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    data = _parse_yaml(text, str(path))
    if data is None:
        raise InputError(f"{path}: empty; wanted an experiment with the keys {', '.join(KEYS)}")
    if not isinstance(data, dict):
        raise InputError(f"{path}: wanted a mapping with the keys {', '.join(KEYS)}, got {_got(data)}")
    return data


def _pairs(sets: Mapping[str, str] | Iterable[str], problems: list[str]) -> Iterator[tuple[str, Any]]:
    given = [f"{key}={value}" for key, value in sets.items()] if isinstance(sets, Mapping) else sets
    for pair in given:
        key, sign, value = pair.partition("=")
        if not sign or not key.strip():
            problems.append(f"--set {pair}: wanted key=value, e.g. training.tokens=60000")
            continue
        try:
            yield key.strip(), _parse_yaml(value, f"--set {key}")
        except InputError as error:
            problems += error.problems


def _changed(data: Tree, changes: Iterable[tuple[str, Any]], problems: list[str]) -> Tree:
    """Return ``data`` with dotted keys set; wrong names that validation would not see become problems."""
    for key, value in changes:
        data = _set(data, key.split("."), value, "", problems)
    return data


def _set(data: Any, keys: list[str], value: Any, path: str, problems: list[str]) -> Any:
    here, rest = keys[0], keys[1:]
    where = f"{path}.{here}".lstrip(".")
    if isinstance(data, str) and path.rpartition(".")[2] in {"objective", "source"} | _children(path):
        data = {"kind": data}
    if data is not None and not isinstance(data, Mapping):
        problems.append(f"{where}: no such key; {path} is {_got(data)}")
        return data
    data = dict(data or {})
    if path in ("arms", "tasks") and rest and here not in data:
        problems.append(f"{where}: no such key{nearest(here, map(str, data))}")
        return data
    if rest:
        data[here] = _set(data.get(here), rest, value, where, problems)
    elif isinstance(value, Mapping) and isinstance(data.get(here), Mapping) and value and "kind" not in value:
        for key, item in value.items():
            data[here] = _set(data[here], [str(key)], item, where, problems)
    else:
        data[here] = value
    return data


def _children(path: str) -> set[str]:
    """Return the last key of ``path`` if it names a task, which may be a bare word."""
    return {path.partition(".")[2]} if path.startswith("tasks.") else set()


# Validation: pydantic finds the problems; what was wanted is said by the field's own JSON schema.


_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}


def _adapter(cls: type[Any]) -> TypeAdapter[Any]:
    if cls not in _ADAPTERS:
        _ADAPTERS[cls] = TypeAdapter(cls)
    return _ADAPTERS[cls]


def _check(cls: type[T], data: Any, path: str, problems: list[str]) -> T | None:
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
    problems += [f"{where}: {what}" for where, whats in said.items() for what in dict.fromkeys(whats)]
    return None if said else value


def _explain(problem: Any, data: Any, path: str, schema: Tree) -> tuple[str, str]:
    """Return the path of the key and what is wrong with it."""
    where, value, node, parent = path, data, schema, schema
    for part in problem["loc"]:
        below = _below(node, part)
        inside = (
            isinstance(value, Mapping) and part in value or isinstance(value, (list, tuple)) and isinstance(part, int)
        )
        if below is None and not inside and problem["type"] != "missing":
            break  # the tag of a union's member, not a key
        where, parent, node = f"{where}.{part}", node, below or {}
        value = value[part] if isinstance(value, Mapping) and part in value else problem["input"]
    match problem["type"]:
        case "unexpected_keyword_argument":
            return where, f"no such key{nearest(str(problem['loc'][-1]), parent.get('properties', {}))}"
        case "missing" if isinstance(problem["loc"][-1], str):
            return where, f"missing; wanted {_wanted(node)}" if _wanted(node) else "missing"
        case "missing":
            return where.rpartition(".")[0], f"wanted {_wanted(parent)}, got {_got(problem['input'])}"
        case "value_error" | "assertion_error":
            return where, str(problem["ctx"]["error"])
        case "dataclass_type":
            return where, f"wanted a mapping{_keys(node)}, got {_got(value)}"
    return where, f"wanted {_wanted(node) or problem['msg']}, got {_got(value)}"


def _impostors(data: Any, path: str, schema: Tree) -> Iterator[tuple[str, str]]:
    """Yield what pydantic lets pass: true for a number, a word for true, infinity."""
    pairs = enumerate(data) if isinstance(data, (list, tuple)) else data.items() if isinstance(data, Mapping) else ()
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
        yield path, f"wanted {_wanted(schema)}, got {_got(data)}"


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
        choices = [_got(word) for word in schema.get("enum", [schema.get("const")])]
        return f"one of {', '.join(choices)}" if len(choices) > 1 else choices[0]
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_wanted(part) for part in schema["anyOf"]))
    if schema.get("type") == "array":
        count = schema.get("minItems")
        if "prefixItems" in schema:
            return (
                f"a list of {len(schema['prefixItems'])}: {', '.join(_wanted(item) for item in schema['prefixItems'])}"
            )
        item = _wanted(schema.get("items", {})) or "values"
        return f"a list{f' of at least {count}' if count else ''}, each {item}"
    words = {"integer": "an integer", "number": "a number", "string": "a text", "boolean": "true or false"}
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


def _got(value: Any) -> str:
    if value is None:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."


# From plain mappings to settings.


def _build(data: Tree, problems: list[str]) -> Experiment | None:
    """Return the experiment; None, and say each problem, if there is any."""
    before = len(problems)
    problems += [f"{key}: no such key{nearest(str(key), KEYS)}" for key in data if key not in KEYS]
    name, description = data.get("name"), data.get("description", "")
    if name is None:
        problems.append("name: missing; wanted a name for the experiment and its results folder")
    else:
        _named(name, "name", problems, also=".")
    if not isinstance(description, str):
        problems.append(f"description: wanted a text, got {_got(description)}")
    seeds = _seeds(data.get("seeds", [1]), problems)
    corpus = _corpus(data, problems)
    vocabulary = _section(settings.Vocabulary, data, "vocabulary", problems)
    blocks = _section(settings.Blocks, data, "blocks", problems)
    network = _section(settings.Network, data, "network", problems)
    training = _section(settings.Training, data, "training", problems)
    if vocabulary and vocabulary.size < (least := 256 + 4 + vocabulary.sentinels):
        wanted = f"at least {least} (256 bytes, 4 special tokens and the sentinels)"
        problems.append(f"vocabulary.size: wanted {wanted}, got {vocabulary.size}")
    if network:
        problems += _misfits(network, "network", {"width", "heads"})
    arms = _arms(data, problems)
    tasks = {}
    for key, value in _named_section(data, "tasks", problems, least=0):
        task = _plugin(TASKS, value, f"tasks.{key}", problems)
        if key in RESERVED:
            problems.append(f"tasks.{key}: the name is taken; wanted another than {', '.join(RESERVED)}")
        elif task:
            tasks[key] = task
    if len(problems) > before or not (corpus and vocabulary and blocks and network and training):
        return None
    return Experiment(str(name), description, corpus, vocabulary, blocks, network, training, arms, tasks, seeds)


def _section(cls: type[T], data: Tree, key: str, problems: list[str]) -> T | None:
    return _check(cls, {} if data.get(key) is None else data[key], key, problems)


def _corpus(data: Tree, problems: list[str]) -> settings.Corpus | None:
    if data.get("corpus") is None:
        problems.append(
            f"corpus: missing; wanted where the text comes from, e.g. {{source: {next(iter(SOURCES), '...')}}}"
        )
        return None
    source, given = _held(SOURCES, data["corpus"], "source", "corpus", problems)
    corpus = _check(settings.Corpus, given, "corpus", problems)
    if corpus and corpus.validation + corpus.test >= 1:
        got = f"{corpus.validation:g} + {corpus.test:g}"
        problems.append(f"corpus.validation: wanted less than 1 together with corpus.test, got {got}")
    return replace(corpus, source=source) if corpus and source else None


def _arms(data: Tree, problems: list[str]) -> dict[str, settings.Arm]:
    arms = {}
    for key, value in _named_section(data, "arms", problems, least=1):
        path = f"arms.{key}"
        objective, given = _held(OBJECTIVES, value, "objective", path, problems)
        arm = _check(settings.Arm, given, path, problems)
        network = _override(settings.Network, data, value, "network", path, problems)
        training = _override(settings.Training, data, value, "training", path, problems)
        if arm and objective is not None:
            arms[key] = settings.Arm(objective, network, training)
    return arms


def _override(cls: type[Any], data: Tree, arm: Any, key: str, path: str, problems: list[str]) -> Tree:
    """Return what an arm changes of a shared section, validated together with that section."""
    changes = arm.get(key) if isinstance(arm, Mapping) else None
    if not isinstance(changes, Mapping) or not changes:
        return {}
    shared = data.get(key)
    if not isinstance(shared, Mapping) or _check(cls, shared, key, []) is None:
        shared = {}  # its own problems are said once, under its own path
    value = _check(cls, {**shared, **changes}, f"{path}.{key}", problems)
    if value is None:
        return {}
    if cls is settings.Network:
        problems += _misfits(value, f"{path}.{key}", set(changes))
    return {name: getattr(value, name) for name in changes}


def _misfits(network: settings.Network, path: str, changed: set[str]) -> list[str]:
    if not {"width", "heads"} & changed:
        return []
    if network.width % network.heads:
        return [f"{path}.heads: wanted a divisor of the width {network.width}, got {network.heads}"]
    if network.width // network.heads % 2:
        got = f"{network.width} / {network.heads} = {network.width // network.heads}"
        return [f"{path}.heads: wanted an even width of each head (rotary positions come in pairs), got {got}"]
    return []


def _named(name: Any, path: str, problems: list[str], also: str = "") -> bool:
    if isinstance(name, str) and _NAME.fullmatch(name.replace(also, "_") if also else name):
        return True
    problems.append(f"{path}: wanted a name of letters, digits, spaces, '_', '+' and '-', got {_got(name)}")
    return False


def _named_section(data: Tree, key: str, problems: list[str], least: int) -> Iterator[tuple[str, Any]]:
    section = data.get(key)
    if section is None:
        section = {}
    if not isinstance(section, Mapping):
        problems.append(f"{key}: wanted a mapping by name, got {_got(section)}")
    elif len(section) < least:
        problems.append(f"{key}: missing; wanted at least one, e.g. {key}: {{causal: {{objective: causal}}}}")
    else:
        for name, value in section.items():
            if _named(name, f"{key}.{name}", problems):
                yield name, value


def _seeds(given: Any, problems: list[str]) -> tuple[int, ...]:
    seeds = [given] if isinstance(given, int) else given
    whole = isinstance(seeds, list) and all(
        isinstance(s, int) and not isinstance(s, bool) and 0 <= s < 2**32 for s in seeds
    )
    if not whole or not seeds:
        problems.append(f"seeds: wanted a list of integers from 0 to 2^32 - 1, e.g. [1, 2], got {_got(given)}")
    elif len(set(seeds)) < len(seeds):
        problems.append(f"seeds: wanted each once, got {_got(given)}")
    else:
        return tuple(seeds)
    return ()


def _held(registry: Registry[Any], given: Any, key: str, path: str, problems: list[str]) -> tuple[Any, Any]:
    """Return the plug-in under ``key`` of a section, and the section with that key filled."""
    if not isinstance(given, Mapping):
        return None, given
    if given.get(key) is None:
        problems.append(f"{path}.{key}: missing; wanted one of {', '.join(registry)}")
        return None, {**given, key: ""}
    return _plugin(registry, given[key], f"{path}.{key}", problems), given


def _plugin(registry: Registry[T], given: Any, path: str, problems: list[str]) -> T | None:
    """Return the instance that a bare word or a mapping with its ``kind`` describes, or None and say why."""
    found: list[str] = []
    cls: type[T] | None = None
    settings_given = dict(given) if isinstance(given, Mapping) else {"kind": given}
    kind = settings_given.pop("kind", None)
    if not isinstance(kind, str):
        where = f"{path}.kind: missing; " if kind is None and isinstance(given, Mapping) else f"{path}: "
        found.append(f"{where}wanted one of {', '.join(registry)}{'' if kind is None else f', got {_got(kind)}'}")
    else:
        try:
            cls = registry[kind]
        except InputError as error:
            found.append(f"{path}{'.kind' if isinstance(given, Mapping) else ''}: {error}")
    if cls is None:
        problems += found
        return None
    if registry is SOURCES:
        settings_given = _expand(settings_given, path, found)
    nested = {"source"} & {field.name for field in fields(cls)} & set(settings_given)  # type: ignore[arg-type]
    for key in nested:
        settings_given[key] = _plugin(SOURCES, settings_given[key], f"{path}.{key}", found)
    value = _check(cls, settings_given, path, found)
    problems += found
    return None if found else value


def _expand(value: Any, path: str, problems: list[str]) -> Any:
    """Fill environment variables into the texts of a source's settings."""
    if isinstance(value, Mapping):
        return {key: _expand(item, f"{path}.{key}", problems) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, f"{path}.{i}", problems) for i, item in enumerate(value)]
    if not isinstance(value, str):
        return value

    def fill(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in os.environ:
            problems.append(
                f"{path}: the environment variable {name} is not set; wanted e.g. `export {name}=/folder/of/the/data`"
            )
        return os.environ.get(name, "")

    return os.path.expanduser(_VARIABLE.sub(fill, value))
