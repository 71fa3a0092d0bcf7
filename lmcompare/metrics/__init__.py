"""What answers are scored by: one `evaluate.Metric` a file, named by the file, working offline.

Each is computed by the well-kept library of its field where there is one. Another package adds a metric through the
entry point group ``lmcompare.metrics`` (name = the class); a script of your own is loaded by its path.
"""

import ast
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from lmcompare.core.errors import InputError, nearest

METRICS: tuple[str, ...] = tuple(
    sorted(
        path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_")
    )
)
"""The names of the metrics that come with the package, found without importing any."""


def _elsewhere() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group="lmcompare.metrics")}


def load(name: str, **options: Any) -> Any:
    """Return the metric of this name, or the one in the script at this path, ready to ``compute``.

    >>> load("accuracy").compute(predictions=[0, 1, 1], references=[0, 1, 0])
    {'accuracy': 0.6666666666666666}

    Args:
        name: one of ``METRICS``, of an entry point, or a path that ends in ``.py``.
        options: passed to `evaluate.Metric`: ``num_process``, ``process_id``, ``experiment_id``, ``cache_dir``, ... A
            single process keeps its answers in memory, unless ``keep_in_memory=False``.

    Returns:
        The `evaluate.Metric`.

    Raises:
        InputError: there is no such metric, or no such file.
    """
    import evaluate  # six seconds: only when something is scored

    options = {"keep_in_memory": options.get("num_process", 1) == 1, **options}
    if name.endswith(".py"):
        if not Path(name).is_file():
            raise InputError(f"{name}: no such file; wanted a script that holds an evaluate.Metric")
        return evaluate.load(str(Path(name).resolve()), **options)
    if name in METRICS:
        module = import_module(f"{__name__}.{name}")
        own = [
            cls
            for cls in vars(module).values()
            if isinstance(cls, type) and cls.__module__ == module.__name__
        ]
        return next(cls for cls in own if issubclass(cls, evaluate.Metric))(**options)
    points = _elsewhere()
    if name in points:
        return points[name].load()(**options)
    raise InputError(f"no metric {name!r}{nearest(name, {*METRICS, *points})}")


def describe() -> dict[str, str]:
    """Return each metric's name and the first line of what its file says of it, without importing any."""
    described = {}
    for name in METRICS:
        tree = ast.parse((Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8"))
        described[name] = (ast.get_docstring(tree) or "").partition("\n")[0]
    return described | {name: f"from {point.value}" for name, point in _elsewhere().items()}
