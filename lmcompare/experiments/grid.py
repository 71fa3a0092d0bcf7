"""``grid:`` makes one model of each combination of values."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import product
from typing import Any

from lmcompare.core.errors import nearest
from lmcompare.experiments.overrides import changed
from lmcompare.experiments.yaml import Tree, shown

SECTIONS = ("objective", "network", "training")
"""What a model may change, and so what a grid may go over."""


def expanded(
    data: Tree, problems: list[str], points: dict[str, tuple[str, str]] | None = None
) -> Tree:
    """Return the experiment with each model that a grid goes over replaced by its combinations.

    A grid of the experiment goes over all models; one of a model goes over that model, besides. Keys are dotted, or nested.

    Args:
        data: the experiment.
        problems: is told what is wrong.
        points: is told, of each model, its name before and its point of the experiment's grid.

    >>> models = {"masked": {"objective": "masked", "grid": {"objective.rate": [0.15, 0.3]}}}
    >>> expanded({"models": models}, [])["models"]
    {'masked rate 15e-2': {'objective': {'kind': 'masked', 'rate': 0.15}}, 'masked rate 3e-1': {'objective': {'kind': \
'masked', 'rate': 0.3}}}
    """
    models = data.get("models")
    if not isinstance(models, Mapping):
        return data
    shared = dict(_axes(data.get("grid"), "grid", problems))
    every: dict[str, Any] = {}
    points = {} if points is None else points
    for name, model in models.items():
        own = (
            _axes(model.get("grid"), f"models.{name}.grid", problems)
            if isinstance(model, Mapping)
            else ()
        )
        axes = shared | dict(own)
        if not isinstance(model, Mapping) or not axes:
            every[name] = model
            points[str(name)] = (str(name), "")
            continue
        bare = {key: value for key, value in model.items() if key != "grid"}
        for values in product(*axes.values()):
            pairs = list(zip(axes, values, strict=True))
            words = {key: f"{key.rpartition('.')[2]} {written(value)}" for key, value in pairs}
            label = " ".join([str(name), *words.values()])
            points[label] = (str(name), " ".join(words[key] for key in shared))
            every[label] = changed(bare, pairs, problems)
    return {key: value for key, value in data.items() if key != "grid"} | {"models": every}


def _axes(grid: Any, path: str, problems: list[str]) -> Iterator[tuple[str, list[Any]]]:
    """Yield each dotted key with its values."""
    if grid is None:
        return
    if not isinstance(grid, Mapping):
        problems.append(
            f"{path}: wanted keys and their values, e.g. {{training.learning_rate: [1e-3, 3e-3]}}"
        )
        return
    for key, values in _flat(grid):
        section = key.partition(".")[0]
        if section not in SECTIONS:
            problems.append(
                f"{path}.{key}: wanted a key of {', '.join(SECTIONS)}{nearest(section, SECTIONS)}"
            )
        elif not isinstance(values, list) or not values:
            problems.append(f"{path}.{key}: wanted a list of values, got {shown(values)}")
        elif len({written(value) for value in values}) < len(values):
            problems.append(f"{path}.{key}: wanted each value once, got {shown(values)}")
        else:
            yield key, values


def _flat(grid: Mapping[Any, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in grid.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def written(value: Any) -> str:
    """Return a value as part of a model's name, which has no dots.

    >>> written(0.0015), written(128), written(True), written("cosine"), written({"kind": "masked"})
    ('15e-4', '128', 'true', 'cosine', 'masked')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return str(value.get("kind", "other"))
    if not isinstance(value, float) or value.is_integer():
        return str(int(value) if isinstance(value, float) else value)
    sign, digits, exponent = Decimal(str(value)).normalize().as_tuple()
    return f"{'-' if sign else ''}{''.join(map(str, digits))}e{exponent}"
