"""``grid:`` makes one model of each combination of values."""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from lmcompare.core.errors import Problem, nearest
from lmcompare.experiments.overrides import with_changes
from lmcompare.experiments.yaml import Tree, plain_number, shown

SECTIONS = ("objective", "network", "training")
"""What a model may change, and so what a grid may go over."""

GridPoints = dict[str, tuple[str, str]]
"""Of each model its name before the grid made several of it, and its point of the shared grid."""


def expand_grid(data: Tree, problems: list[Problem]) -> tuple[Tree, GridPoints]:
    """Return the experiment with each model that a grid goes over replaced by its combinations.

    A grid of the experiment goes over all models; one of a model goes over that model, besides.
    Keys are dotted, or nested.

    >>> models = {"masked": {"objective": "masked", "grid": {"objective.mask_rate": [0.15, 0.3]}}}
    >>> list(expand_grid({"models": models}, [])[0]["models"])
    ['masked mask_rate=0.15', 'masked mask_rate=0.3']
    """
    models = data.get("models")
    if not isinstance(models, Mapping):
        return data, {}
    shared = dict(_axes(data.get("grid"), "grid", problems))
    expanded: dict[str, Any] = {}
    points: GridPoints = {}
    for name, model in models.items():
        own = model.get("grid") if isinstance(model, Mapping) else None
        axes = shared | dict(_axes(own, f"models.{name}.grid", problems))
        if not isinstance(model, Mapping) or not axes:
            expanded[name] = model
            points[str(name)] = (str(name), "")
            continue
        without_grid = {key: value for key, value in model.items() if key != "grid"}
        for values in product(*axes.values()):
            setting = dict(zip(axes, values, strict=True))
            words = {k: f"{k.rpartition('.')[2]}={grid_value(v)}" for k, v in setting.items()}
            label = " ".join([str(name), *words.values()])
            points[label] = (str(name), " ".join(words[key] for key in shared))
            expanded[label] = with_changes(without_grid, setting.items(), problems)
    return {key: value for key, value in data.items() if key != "grid"} | {
        "models": expanded
    }, points


def _axes(grid: Any, path: str, problems: list[Problem]) -> Iterator[tuple[str, list[Any]]]:
    """Yield each dotted key with its values."""
    if grid is None:
        return
    if not isinstance(grid, Mapping):
        example = "{training.learning_rate: [0.001, 0.003]}"
        problems.append(Problem(path, f"keys and their values, e.g. {example}", shown(grid)))
        return
    for key, values in _flat(grid):
        section, where = key.partition(".")[0], f"{path}.{key}"
        if section not in SECTIONS:
            wanted = f"a key of {', '.join(SECTIONS)}{nearest(section, SECTIONS)}"
            problems.append(Problem(where, message=f"wanted {wanted}"))
        elif not isinstance(values, list) or not values:
            problems.append(Problem(where, "a list of values", shown(values)))
        elif len({grid_value(value) for value in values}) < len(values):
            problems.append(Problem(where, "each value once", shown(values)))
        else:
            yield key, values


def _flat(grid: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in grid.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def grid_value(value: Any) -> str:
    """Return a value as part of a model's name.

    >>> grid_value(15e-4), grid_value(6.0), grid_value(True), grid_value({"kind": "masked"})
    ('0.0015', '6', 'true', 'masked')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return str(value.get("kind", "other"))
    return plain_number(value).removesuffix(".0") if isinstance(value, float) else str(value)
