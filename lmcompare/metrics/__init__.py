"""Metrics: one `evaluate.Metric` a file, named by the file, working offline.

Each is computed by the well-kept library of its field where there is one. Another package adds a
metric through the entry point group ``lmcompare.metrics`` (name = the class); a script of your own
is loaded by its path.
"""

import ast
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from lmcompare.core.errors import InputError, nearest

_FOLDER = Path(__file__).parent

METRICS = tuple(sorted(path.stem for path in _FOLDER.glob("*.py") if path.stem[0] != "_"))
"""The names of the metrics that come with the package, found without importing any."""


def _plug_ins() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group="lmcompare.metrics")}


def load(name: str, **options: Any) -> Any:
    """Return the `evaluate.Metric` of this name, or the one in the script at this path.

    >>> load("accuracy").compute(predictions=[0, 1, 1], references=[0, 1, 0])
    {'accuracy': 0.6666666666666666}

    Args:
        name: one of ``METRICS``, of an entry point, or a path that ends in ``.py``.
        options: passed to `evaluate.Metric`: ``num_process``, ``process_id``, ``experiment_id``,
            ``cache_dir``, ... A single process keeps its answers in memory, unless
            ``keep_in_memory=False``.

    Raises:
        InputError: there is no such metric, or no such file.
    """
    options = {"keep_in_memory": options.get("num_process", 1) == 1, **options}
    if name.endswith(".py"):
        if not Path(name).is_file():
            wanted = "wanted a script that holds an evaluate.Metric"
            raise InputError(f"{name}: no such file; {wanted}")
        import evaluate  # slow to import

        return evaluate.load(str(Path(name).resolve()), **options)
    if name in METRICS:
        return getattr(import_module(f"{__name__}.{name}"), name)(**options)
    points = _plug_ins()
    if name in points:
        return points[name].load()(**options)
    raise InputError(f"no metric {name!r}{nearest(name, {*METRICS, *points})}")


def describe() -> dict[str, str]:
    """Return each metric's name and the first line of its docstring, without an import."""
    described = {}
    for name in METRICS:
        tree = ast.parse((_FOLDER / f"{name}.py").read_text(encoding="utf-8"))
        described[name] = (ast.get_docstring(tree) or "").partition("\n")[0]
    return described | {name: f"from {point.value}" for name, point in _plug_ins().items()}
