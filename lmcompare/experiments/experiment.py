"""A YAML file becomes an Experiment, or one message that names every mistake in it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from lmcompare.core import settings
from lmcompare.core.errors import InputError, nearest
from lmcompare.core.settings import plain
from lmcompare.data import SOURCES
from lmcompare.experiments import matching
from lmcompare.experiments.grid import expanded
from lmcompare.experiments.hypotheses import Hypothesis, build
from lmcompare.experiments.overrides import changed, pairs
from lmcompare.experiments.validation import check, held, plugin, unset
from lmcompare.experiments.yaml import Tree, dump_yaml, read_mapping, shown
from lmcompare.objectives import OBJECTIVES
from lmcompare.tasks import TASKS, Task

T = TypeVar("T")
KEYS = tuple(
    "name description corpus tokenizer sequence network training models grid match tasks seeds hypotheses quick".split()
)
RESERVED = ("prepare", "pretrain", settings.PRETRAINING)
_NAME = re.compile(r"\w[\w +-]*")


@dataclass(frozen=True)
class Experiment:
    """All that decides the results.

    Attributes:
        name: of the experiment and of its results folder.
        description: one line for the report.
        corpus: the text to train on; its ``source`` is a Source.
        tokenizer: the shared tokenizer.
        sequence: how documents become rows.
        network: the block that all roles share.
        training: the budget and the loop.
        models: the sides of the comparison, by name. Of a fresh network, ``objective`` is an Objective, and ``network``
            and ``training`` hold what it alone changes; else there is a ``checkpoint``.
        tasks: what is measured, by name.
        seeds: one pretraining of each fresh network for each; of a checkpoint they seed its adaptation alone.
        hypotheses: claims that the report judges, by name.
        match: in what the models were made equal, beyond what is set; None: in nothing.
    """

    name: str
    description: str
    corpus: settings.CorpusSettings
    tokenizer: settings.TokenizerSettings
    sequence: settings.SequenceSettings
    network: settings.NetworkSettings
    training: settings.TrainingSettings
    models: dict[str, settings.ModelSettings]
    tasks: dict[str, Task]
    seeds: tuple[int, ...]
    hypotheses: dict[str, Hypothesis] = field(default_factory=dict)
    match: matching.Match | None = None

    def network_of(self, model: str) -> settings.NetworkSettings:
        """Return the network of ``model``: the shared settings and what the model changes of them."""
        changes: dict[str, Any] = self.models[model].network
        return replace(self.network, **changes)

    def training_of(self, model: str) -> settings.TrainingSettings:
        """Return how ``model`` is trained: the shared settings and what the model changes of them."""
        changes: dict[str, Any] = self.models[model].training
        return replace(self.training, **changes)

    def tasks_of(self, model: str) -> dict[str, Task]:
        """Return the tasks that ``model`` is given."""
        given = self.models[model].tasks
        return {name: task for name, task in self.tasks.items() if given is None or name in given}

    def resolved(self) -> Tree:
        """Return all settings, defaults too, as plain mappings that ``parse`` reads back to the same experiment."""
        said = {field.name: plain(getattr(self, field.name)) for field in fields(self)}
        for model in said["models"].values():
            for key in [key for key, value in model.items() if value is None]:
                del model[key]
        return said

    def dump(self) -> str:
        """Return ``resolved`` as YAML that ``load`` reads back to the same experiment."""
        return dump_yaml(self.resolved())


def load(
    path: str | Path, sets: Mapping[str, str] | Iterable[str] = (), quick: bool = False
) -> Experiment:
    """Read an experiment.

    Args:
        path: a YAML 1.2 file.
        sets: what to change of it: ``{"training.tokens": "1e5"}`` or ``["training.tokens=1e5"]``; values are YAML.
        quick: apply what the file says under ``quick``, before ``sets``.

    Raises:
        InputError: there is no such file, it is not YAML, or its settings are wrong: all problems at once.
    """
    path = Path(path)
    return parse(read_mapping(path, KEYS), sets, quick, name=path.stem)


def parse(
    data: Tree, sets: Mapping[str, str] | Iterable[str] = (), quick: bool = False, name: str = ""
) -> Experiment:
    """Return the experiment that plain mappings describe; see ``load``. ``name`` is used where ``data`` has none.

    Raises:
        InputError: with all problems at once.
    """
    problems: list[str] = []
    data = {"name": name, **data} if name else dict(data)
    changes = list(pairs(sets, problems))
    section = data.pop("quick", None)
    if section is not None and not isinstance(section, Mapping):
        problems.append(f"quick: wanted a mapping of dotted keys, got {shown(section)}")
        section = None
    if quick and not section:
        problems.append(
            "quick: missing; --quick wanted it to say what a quick run changes, e.g. {training.tokens: 60000}"
        )
    usual = _build(changed(data, changes, problems), problems)
    small = None
    if section:
        others: list[str] = []
        shrunk = changed(data, [(str(key), value) for key, value in section.items()], others)
        small = _build(changed(shrunk, changes, []), others)
        problems += [f"quick.{problem}" for problem in others if problem not in problems]
    chosen = small if quick else usual
    if problems or chosen is None:
        raise InputError(*dict.fromkeys(problems))
    return chosen


def _build(data: Tree, problems: list[str]) -> Experiment | None:
    """Return the experiment; None, and say each problem, if there is any."""
    before = len(problems)
    points: dict[str, tuple[str, str]] = {}
    data = expanded(data, problems, points)
    problems += [f"{key}: no such key{nearest(str(key), KEYS)}" for key in data if key not in KEYS]
    name, description = data.get("name"), data.get("description", "")
    if name is None:
        problems.append("name: missing; wanted a name for the experiment and its results folder")
    else:
        _named(name, "name", problems, also=".")
    if not isinstance(description, str):
        problems.append(f"description: wanted a text, got {shown(description)}")
    seeds = _seeds(data.get("seeds", [1]), problems)
    corpus = _corpus(data, problems)
    tokenizer = _section(settings.TokenizerSettings, data, "tokenizer", problems)
    sequence = _section(settings.SequenceSettings, data, "sequence", problems)
    network = _section(settings.NetworkSettings, data, "network", problems)
    training = _section(settings.TrainingSettings, data, "training", problems)
    if tokenizer and tokenizer.vocab_size < (least := 256 + 4 + tokenizer.sentinels):
        wanted = f"at least {least} (256 bytes, 4 special tokens and the sentinels)"
        problems.append(f"tokenizer.vocab_size: wanted {wanted}, got {tokenizer.vocab_size}")
    if network:
        problems += _misfits(network, "network", {"hidden_size", "num_heads"})
    models = _models(data, problems)
    tasks = {}
    for key, value in _named_section(data, "tasks", problems, least=0):
        task = plugin(TASKS, value, f"tasks.{key}", problems)
        if key in RESERVED:
            problems.append(
                f"tasks.{key}: the name is taken; wanted another than {', '.join(RESERVED)}"
            )
        elif task:
            tasks[key] = task
    problems += [
        f"models.{name}.tasks.{i}: no such task{nearest(task, tasks)}"
        for name, model in models.items()
        for i, task in enumerate(model.tasks or ())
        if task not in tasks
    ]
    match = matching.read(data.get("match"), problems)
    experiment = None
    if len(problems) == before and corpus and tokenizer and sequence and network and training:
        about = (str(name), description, corpus, tokenizer, sequence, network, training)
        experiment = Experiment(*about, models, tasks, seeds, match=match)
        if match:
            models, match = matching.solve(experiment, match, points, problems)
            experiment = replace(experiment, models=models, match=match)
    if (
        data.get("match") is None or len(problems) == before
    ):  # else the names that the models would have are not known
        conditions = {name: task.conditions for name, task in tasks.items()}
        asked = {
            name: [task for task in tasks if model.tasks is None or task in model.tasks]
            for name, model in models.items()
        }
        hypotheses = build(data.get("hypotheses"), asked, conditions, problems)
        experiment = replace(experiment, hypotheses=hypotheses) if experiment else None
    return experiment if len(problems) == before else None


def _section(cls: type[T], data: Tree, key: str, problems: list[str]) -> T | None:
    return check(cls, {} if data.get(key) is None else data[key], key, problems)


def _corpus(data: Tree, problems: list[str]) -> settings.CorpusSettings | None:
    if data.get("corpus") is None:
        problems.append(
            f"corpus: missing; wanted where the text comes from, e.g. {{source: {next(iter(SOURCES), '...')}}}"
        )
        return None
    source, given = held(SOURCES, data["corpus"], "source", "corpus", problems)
    corpus = check(settings.CorpusSettings, given, "corpus", problems)
    if corpus and corpus.validation + corpus.test >= 1:
        got = f"{corpus.validation:g} + {corpus.test:g}"
        problems.append(
            f"corpus.validation: wanted less than 1 together with corpus.test, got {got}"
        )
    return replace(corpus, source=source) if corpus and source else None


def _models(data: Tree, problems: list[str]) -> dict[str, settings.ModelSettings]:
    models: dict[str, settings.ModelSettings] = {}
    for key, value in _named_section(data, "models", problems, least=1):
        path = f"models.{key}"
        if isinstance(value, Mapping) and value.get("checkpoint") is not None:
            ready = _ready(value, path, problems)
            models |= {key: ready} if ready else {}
            continue
        missing = isinstance(value, Mapping) and value.get("objective") is None
        found: list[str] = []
        objective, given = held(OBJECTIVES, value, "objective", path, found)
        other = f"; or {path}.checkpoint: a folder, or a name of the hub" if missing else ""
        problems += [f"{said}{other}" for said in found]
        model = check(settings.ModelSettings, given, path, problems)
        if model and model.revision is not None:
            problems.append(
                f"{path}.revision: wanted only beside a checkpoint, got {shown(model.revision)}"
            )
        network = _override(settings.NetworkSettings, data, value, "network", path, problems)
        training = _override(settings.TrainingSettings, data, value, "training", path, problems)
        if model and objective is not None:
            models[key] = replace(model, objective=objective, network=network, training=training)
    return models


def _ready(
    given: Mapping[str, Any], path: str, problems: list[str]
) -> settings.ModelSettings | None:
    """Return a model that is a checkpoint, or None and say why; whether it is there, ``plan`` asks."""
    before = len(problems)
    if given.get("objective") is not None:
        got = f"{shown(given['objective'])} and {shown(given['checkpoint'])}"
        problems.append(f"{path}: wanted either an objective or a checkpoint, got both: {got}")
    for key in ("network", "training"):
        if given.get(key):
            problems.append(
                f"{path}.{key}: wanted none: a checkpoint is built and trained; got {shown(given[key])}"
            )
    if given.get("tasks") == []:
        problems.append(
            f"{path}.tasks: wanted one at least: a checkpoint is not trained here; got []"
        )
    unset(given["checkpoint"], f"{path}.checkpoint", problems)
    model = check(
        settings.ModelSettings,
        {**given, "objective": None, "network": {}, "training": {}},
        path,
        problems,
    )
    return model if len(problems) == before else None


def _override(
    cls: type[Any], data: Tree, model: Any, key: str, path: str, problems: list[str]
) -> Tree:
    """Return what a model changes of a shared section, validated together with that section."""
    changes = model.get(key) if isinstance(model, Mapping) else None
    if not isinstance(changes, Mapping) or not changes:
        return {}
    shared = data.get(key)
    if not isinstance(shared, Mapping) or check(cls, shared, key, []) is None:
        shared = {}  # its own problems are said once, under its own path
    value = check(cls, {**shared, **changes}, f"{path}.{key}", problems)
    if value is None:
        return {}
    if cls is settings.NetworkSettings:
        problems += _misfits(value, f"{path}.{key}", set(changes))
    return {name: getattr(value, name) for name in changes}


def _misfits(network: settings.NetworkSettings, path: str, changed: set[str]) -> list[str]:
    if not {"hidden_size", "num_heads"} & changed:
        return []
    if network.hidden_size % network.num_heads:
        return [
            f"{path}.num_heads: wanted a divisor of the hidden_size {network.hidden_size}, got {network.num_heads}"
        ]
    if network.hidden_size // network.num_heads % 2:
        got = f"{network.hidden_size} / {network.num_heads} = {network.hidden_size // network.num_heads}"
        return [
            f"{path}.num_heads: wanted an even width of each head (rotary positions come in pairs), got {got}"
        ]
    return []


def _named(name: Any, path: str, problems: list[str], also: str = "") -> bool:
    if isinstance(name, str) and _NAME.fullmatch(name.replace(also, "_") if also else name):
        return True
    problems.append(
        f"{path}: wanted a name of letters, digits, spaces, '_', '+' and '-', got {shown(name)}"
    )
    return False


def _named_section(
    data: Tree, key: str, problems: list[str], least: int
) -> Iterator[tuple[str, Any]]:
    section = data.get(key)
    if section is None:
        section = {}
    if not isinstance(section, Mapping):
        problems.append(f"{key}: wanted a mapping by name, got {shown(section)}")
    elif len(section) < least:
        problems.append(
            f"{key}: missing; wanted at least one, e.g. {key}: {{causal: {{objective: causal}}}}"
        )
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
        problems.append(
            f"seeds: wanted a list of integers from 0 to 2^32 - 1, e.g. [1, 2], got {shown(given)}"
        )
    elif len(set(seeds)) < len(seeds):
        problems.append(f"seeds: wanted each once, got {shown(given)}")
    else:
        return tuple(seeds)
    return ()
