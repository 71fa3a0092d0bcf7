"""A YAML file becomes an Experiment, or one message that names every mistake in it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from lmcompare.core import settings
from lmcompare.core.errors import InputError, Problem, nearest
from lmcompare.core.settings import plain
from lmcompare.data.sources.base import SOURCES
from lmcompare.experiments import matching
from lmcompare.experiments.grid import expand_grid
from lmcompare.experiments.hypotheses import Hypothesis, build_hypotheses
from lmcompare.experiments.overrides import parse_overrides, with_changes
from lmcompare.experiments.renamed_keys import renamed
from lmcompare.experiments.validation import build_plugin, unset_variables, validate
from lmcompare.experiments.yaml import Tree, dump_yaml, read_with_base, shown
from lmcompare.objectives import OBJECTIVES
from lmcompare.tasks import TASKS, Task

T = TypeVar("T")
KEYS = tuple(
    "name description base corpus tokenizer sequence network training models grid match tasks "
    "seeds hypotheses quick".split()
)
RESERVED = ("prepare", "pretrain", settings.PRETRAINING)
"""What no task may be called."""
_NAME = re.compile(r"\w[\w +-]*")
_MODEL_NAME = re.compile(r"\w[\w +=.-]*")
"""A grid names its models ``masked mask_rate=0.15``."""


@dataclass(frozen=True)
class Experiment:
    """All that decides the results."""

    name: str
    """of the experiment and of its results folder"""
    description: str
    """one line for the report"""
    corpus: settings.CorpusSettings
    """the text to train on; its ``source`` is a Source"""
    tokenizer: settings.TokenizerSettings
    sequence: settings.SequenceSettings
    network: settings.NetworkSettings
    training: settings.TrainingSettings
    models: dict[str, settings.ModelSettings]
    """what is compared, by name; a fresh network's ``objective`` is an Objective, and its
    ``network`` and ``training`` hold what it alone changes"""
    tasks: dict[str, Task]
    """what is measured, by name"""
    seeds: tuple[int, ...]
    """one pretraining of each fresh network for each; of a checkpoint they seed its adaptation"""
    hypotheses: dict[str, Hypothesis] = field(default_factory=dict)
    """claims that the report judges, by name"""
    match: matching.Match | None = None
    """the costs in which the models were made equal"""

    def network_of(self, model: str) -> settings.NetworkSettings:
        """Return the shared settings of the network with what ``model`` changes of them."""
        changes: dict[str, Any] = self.models[model].network
        return replace(self.network, **changes)

    def training_of(self, model: str) -> settings.TrainingSettings:
        """Return the shared settings of training with what ``model`` changes of them."""
        changes: dict[str, Any] = self.models[model].training
        return replace(self.training, **changes)

    def tasks_of(self, model: str) -> dict[str, Task]:
        """Return the tasks that ``model`` is given."""
        names = self.models[model].tasks
        return {name: task for name, task in self.tasks.items() if names is None or name in names}

    def resolved(self) -> Tree:
        """Return all settings, defaults too, as plain mappings; ``parse`` reads them back."""
        tree = {field.name: plain(getattr(self, field.name)) for field in fields(self)}
        tree["models"] = {
            name: {key: value for key, value in model.items() if value is not None}
            for name, model in tree["models"].items()
        }
        return tree

    def dump(self) -> str:
        """Return ``resolved`` as YAML that ``load`` reads back to the same experiment."""
        return dump_yaml(self.resolved())


def load(
    path: str | Path, sets: Mapping[str, str] | Iterable[str] = (), quick: bool = False
) -> Experiment:
    """Read an experiment.

    Args:
        path: a YAML 1.2 file; it may inherit another by ``base: other.yaml``, see
            ``yaml.read_with_base``.
        sets: what to change of it: ``{"training.tokens": "100000"}`` or
            ``["training.tokens=100000"]``; values are YAML.
        quick: apply what the file says under ``quick``, before ``sets``.

    Raises:
        InputError: there is no such file, it is not YAML, or its settings are wrong: all problems
            at once.
    """
    path = Path(path)
    return parse(read_with_base(path, KEYS), sets, quick, name=path.stem)


def parse(
    data: Tree, sets: Mapping[str, str] | Iterable[str] = (), quick: bool = False, name: str = ""
) -> Experiment:
    """Return the experiment of plain mappings; see ``load``. ``name`` is the default of its name.

    Raises:
        InputError: with all problems at once.
    """
    problems: list[Problem] = []
    data = {"name": name, **data} if name else dict(data)
    if data.pop("base", None) is not None:
        problems.append(Problem("base", message="wanted in a file alone"))
    overrides = list(parse_overrides(sets, problems))

    section = data.pop("quick", None)
    if section is not None and not isinstance(section, Mapping):
        problems.append(Problem("quick", "a mapping of dotted keys", shown(section)))
        section = None
    if quick and not section:
        example = "{training.tokens: 60000}"
        problems.append(Problem("quick", f"what a quick run changes, e.g. {example}"))

    # Both are built, so that a mistake in either is said at once.
    experiment = _build(with_changes(data, overrides, problems), problems)
    quick_experiment = None
    if section:
        in_quick: list[Problem] = []
        shrunk = with_changes(data, [(str(k), v) for k, v in section.items()], in_quick)
        quick_experiment = _build(with_changes(shrunk, overrides, []), in_quick)
        problems += [p.below("quick") for p in in_quick if p not in problems]
    chosen = quick_experiment if quick else experiment
    if problems or chosen is None:
        raise InputError(*dict.fromkeys(problems))
    return chosen


def _build(data: Tree, problems: list[Problem]) -> Experiment | None:
    """Return the experiment; None where there is any problem: each is added."""
    before = len(problems)
    data, points = expand_grid(data, problems)
    for key in data:
        if key not in KEYS:
            hint = renamed(str(key)) or nearest(str(key), KEYS)
            problems.append(Problem(str(key), message=f"no such key{hint}"))

    # Each section by itself.
    name, description = data.get("name"), data.get("description", "")
    if name is None:
        problems.append(Problem("name", "a name for the experiment and its results folder"))
    else:
        _check_name(
            str(name).replace(".", "_") if isinstance(name, str) else name, "name", problems
        )
    if not isinstance(description, str):
        problems.append(Problem("description", "a text", shown(description)))
    seeds = _seeds(data.get("seeds", [1]), problems)
    corpus = _corpus(data, problems)
    tokenizer = _section(settings.TokenizerSettings, data, "tokenizer", problems)
    sequence = _section(settings.SequenceSettings, data, "sequence", problems)
    network = _section(settings.NetworkSettings, data, "network", problems)
    training = _section(settings.TrainingSettings, data, "training", problems)
    if tokenizer and tokenizer.vocab_size < (least := 256 + 4 + tokenizer.sentinels):
        wanted = f"at least {least} (256 bytes, 4 special tokens and the sentinels)"
        problems.append(Problem("tokenizer.vocab_size", wanted, str(tokenizer.vocab_size)))
    if network:
        _check_heads(network, "network", problems)
    models = _models(data, problems)
    tasks = _tasks(data, problems)
    match = matching.read_match(data.get("match"), problems)

    # What refers from one section to another.
    for model_name, model in models.items():
        for i, task in enumerate(model.tasks or ()):
            if task not in tasks:
                path = f"models.{model_name}.tasks.{i}"
                problems.append(Problem(path, message=f"no such task{nearest(task, tasks)}"))
    experiment = None
    if len(problems) == before and corpus and tokenizer and sequence and network and training:
        shared = (str(name), description, corpus, tokenizer, sequence, network, training)
        experiment = Experiment(*shared, models, tasks, seeds, match=match)
        if match:
            models, match = matching.solve(experiment, match, points, problems)
            experiment = replace(experiment, models=models, match=match)
    if data.get("match") is not None and len(problems) > before:
        return None  # matching names models anew, so hypotheses about them cannot be checked
    hypotheses = build_hypotheses(data.get("hypotheses"), models, tasks, problems)
    if experiment is None or len(problems) > before:
        return None
    return replace(experiment, hypotheses=hypotheses)


def _section(cls: type[T], data: Tree, key: str, problems: list[Problem]) -> T | None:
    return validate(cls, {} if data.get(key) is None else data[key], key, problems)


def _corpus(data: Tree, problems: list[Problem]) -> settings.CorpusSettings | None:
    given = data.get("corpus")
    if given is None:
        example = f"{{source: {next(iter(SOURCES), '...')}}}"
        problems.append(Problem("corpus", f"where the text comes from, e.g. {example}"))
        return None
    source: Any = None
    if isinstance(given, Mapping):
        source = build_plugin(SOURCES, given.get("source"), "corpus.source", problems)
        given = {**given, "source": source}
    corpus = validate(settings.CorpusSettings, given, "corpus", problems)
    if corpus and corpus.validation + corpus.test >= 1:
        wanted = "less than 1 together with corpus.test"
        got = f"{corpus.validation:g} + {corpus.test:g}"
        problems.append(Problem("corpus.validation", wanted, got))
    return corpus if source else None


def _models(data: Tree, problems: list[Problem]) -> dict[str, settings.ModelSettings]:
    models: dict[str, settings.ModelSettings] = {}
    for name, value in _named_section(data, "models", _MODEL_NAME, problems):
        path = f"models.{name}"
        if isinstance(value, Mapping) and value.get("checkpoint") is not None:
            model = _checkpoint_model(value, path, problems)
        else:
            model = _fresh_model(data, value, path, problems)
        if model:
            models[name] = model
    if not models and not data.get("models"):
        example = "models: {causal: {objective: causal}}"
        problems.append(Problem("models", f"at least one, e.g. {example}"))
    return models


def _fresh_model(
    data: Tree, given: Any, path: str, problems: list[Problem]
) -> settings.ModelSettings | None:
    """Return a model that is trained here."""
    objective: Any = None
    if not isinstance(given, Mapping):
        return validate(settings.ModelSettings, given, path, problems)
    if given.get("objective") is None:
        choices = f"one of {', '.join(OBJECTIVES)}"
        instead = f"{path}.checkpoint: a folder, or a name of the hub"
        problems.append(Problem(f"{path}.objective", f"{choices}; or {instead}"))
    else:
        objective = build_plugin(OBJECTIVES, given["objective"], f"{path}.objective", problems)
    model = validate(settings.ModelSettings, given, path, problems)
    if model and model.revision is not None:
        wanted, got = "only beside a checkpoint", shown(model.revision)
        problems.append(Problem(f"{path}.revision", wanted, got))
    network = _override(settings.NetworkSettings, data, given, "network", path, problems)
    training = _override(settings.TrainingSettings, data, given, "training", path, problems)
    if not model or objective is None:
        return None
    return replace(model, objective=objective, network=network, training=training)


def _checkpoint_model(
    given: Mapping[str, Any], path: str, problems: list[Problem]
) -> settings.ModelSettings | None:
    """Return a model that is a checkpoint; whether it is there, ``plan`` finds out."""
    before = len(problems)
    if given.get("objective") is not None:
        got = f"both: {shown(given['objective'])} and {shown(given['checkpoint'])}"
        problems.append(Problem(path, "either an objective or a checkpoint", got))
    for key in ("network", "training"):
        if given.get(key):
            message = f"wanted none: a checkpoint is built and trained; got {shown(given[key])}"
            problems.append(Problem(f"{path}.{key}", message=message))
    if given.get("tasks") == []:
        message = "wanted one at least: a checkpoint is not trained here; got []"
        problems.append(Problem(f"{path}.tasks", message=message))
    problems += unset_variables(given["checkpoint"], f"{path}.checkpoint")
    settings_given = {**given, "objective": None, "network": {}, "training": {}}
    model = validate(settings.ModelSettings, settings_given, path, problems)
    return model if len(problems) == before else None


def _override(
    cls: type[Any],
    data: Tree,
    model: Mapping[str, Any],
    key: str,
    path: str,
    problems: list[Problem],
) -> Tree:
    """Return what a model changes of a shared section, validated together with that section."""
    changes = model.get(key)
    if not isinstance(changes, Mapping) or not changes:
        return {}
    shared = data.get(key)
    if not isinstance(shared, Mapping) or validate(cls, shared, key, []) is None:
        shared = {}  # its own problems are said once, under its own path
    value = validate(cls, {**shared, **changes}, f"{path}.{key}", problems)
    if value is None:
        return {}
    if {"hidden_size", "num_heads"} & changes.keys():
        _check_heads(value, f"{path}.{key}", problems)
    return {name: getattr(value, name) for name in changes}


def _check_heads(network: settings.NetworkSettings, path: str, problems: list[Problem]) -> None:
    size, heads = network.hidden_size, network.num_heads
    if size % heads:
        wanted = f"a divisor of the hidden_size {size}"
        problems.append(Problem(f"{path}.num_heads", wanted, str(heads)))
    elif size // heads % 2:
        wanted = "an even width of each head (rotary positions come in pairs)"
        got = f"{size} / {heads} = {size // heads}"
        problems.append(Problem(f"{path}.num_heads", wanted, got))


def _tasks(data: Tree, problems: list[Problem]) -> dict[str, Task]:
    tasks: dict[str, Task] = {}
    for name, value in _named_section(data, "tasks", _NAME, problems):
        path = f"tasks.{name}"
        task = build_plugin(TASKS, value, path, problems)
        if name in RESERVED:
            message = f"the name is taken; wanted another than {', '.join(RESERVED)}"
            problems.append(Problem(path, message=message))
        elif task:
            tasks[name] = task
    return tasks


def _named_section(
    data: Tree, key: str, pattern: re.Pattern[str], problems: list[Problem]
) -> Iterator[tuple[str, Any]]:
    section = data.get(key) or {}
    if not isinstance(section, Mapping):
        problems.append(Problem(key, "a mapping by name", shown(section)))
        return
    for name, value in section.items():
        if _check_name(name, f"{key}.{name}", problems, pattern):
            yield name, value


def _check_name(
    name: Any, path: str, problems: list[Problem], pattern: re.Pattern[str] = _NAME
) -> bool:
    if isinstance(name, str) and pattern.fullmatch(name):
        return True
    wanted = "a name of letters, digits, spaces, '_', '+' and '-'"
    problems.append(Problem(path, wanted, shown(name)))
    return False


def _seeds(given: Any, problems: list[Problem]) -> tuple[int, ...]:
    seeds = [given] if isinstance(given, int) else given
    valid = isinstance(seeds, list) and all(
        isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 2**32 for seed in seeds
    )
    if not valid or not seeds:
        wanted = "a list of integers from 0 to 2^32 - 1, e.g. [1, 2]"
        problems.append(Problem("seeds", wanted, shown(given)))
        return ()
    if len(set(seeds)) < len(seeds):
        problems.append(Problem("seeds", "each once", shown(given)))
    return tuple(seeds)
