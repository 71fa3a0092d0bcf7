"""A run of an experiment: missing cells are done, by workers or in-process, and results written."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile

from lmcompare.core.errors import InputError, nearest
from lmcompare.core.records import Run, to_frame
from lmcompare.execution.jobs import WorkOptions, cache_root, explain, load_cell, run_cell
from lmcompare.execution.machine import default_workers
from lmcompare.execution.plan import plan
from lmcompare.execution.pool import WorkerPool
from lmcompare.execution.progress import ProgressDisplay
from lmcompare.execution.state import RunState, locked
from lmcompare.experiments.experiment import KEYS, Experiment
from lmcompare.experiments.yaml import read_mapping

TRACKERS = "aim clearml comet_ml dvclive mlflow swanlab tensorboard trackio wandb".split()
"""Trackers that accelerate knows; each is the name of the module that must be installed."""


def run(
    experiment: Experiment,
    output: Path,
    options: WorkOptions | None = None,
    *,
    cache: Path | None = None,
    workers: int | None = None,
    header: str = "",
) -> Path:
    """Do what is missing of an experiment and write its results.

    Args:
        experiment: what to do.
        output: folder of the results; made if there is none.
        options: device, trackers, whether finished cells are done again.
        cache: root of the cache; ``cache_root()`` if left out.
        workers: processes side by side; 0: this very process; None: as many as fit the machine.
            Under torchrun always 0: all processes do each cell together.
        header: comment lines for the head of ``experiment.yaml``.

    Returns:
        The path of the report.

    Raises:
        InputError: an argument is wrong.
        LmcompareError: a cell failed; the others that do not need it are done.
        KeyboardInterrupt: Ctrl-C (or SIGTERM), after the workers saved their checkpoints.
    """
    options = options or WorkOptions()
    check_arguments(output, experiment.name, workers, options)
    cache = cache_root() if cache is None else cache

    # What is done already is loaded, and its rows are written before anything runs.
    cells = plan(experiment)
    done = {}
    if not options.fresh:
        results = {cell.name: load_cell(cache, cell, experiment.name) for cell in cells}
        done = {name: result for name, result in results.items() if result is not None}
    state = RunState(experiment, output, cache, header, cells, done)
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    main = world_size == 1 or os.environ.get("RANK", "0") == "0"
    if main and done:
        state.write()

    if state.left:
        check_cache(cache)
        with ProgressDisplay(state, quiet=not main) as display, _terminable():
            if world_size > 1 or workers == 0:
                barrier = _barrier(options.device) if world_size > 1 else None
                _run_in_process(state, display, barrier, replace(options, workers=world_size))
            else:
                size = min(workers or default_workers(options.device), len(state.left))
                WorkerPool(state, display, size, options).run()
    if not main:
        return output / "report.md"
    try:
        report = write_report(output)
    except Exception:
        state.raise_failures()  # without all cells there may be nothing to report
        raise
    state.raise_failures()
    return report


def write_report(
    output: Path, *, html: bool = False, latex: bool = False, parquet: bool = False
) -> Path:
    """Write the report of a folder of results while no run writes its rows."""
    from lmcompare.report import write  # matplotlib: not before it is needed

    with locked(output):
        return write(output, html=html, latex=latex, parquet=parquet)


def check_cache(cache: Path) -> None:
    """Raise InputError if the cache cannot be written: it may exist on a read-only disk."""
    try:
        (cache / "cells").mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=cache / "cells"):
            pass
    except OSError as error:
        raise InputError(
            f"{cache}: wanted a cache folder that can be written ({error.strerror}); set "
            "LMCOMPARE_CACHE to another"
        ) from error


def check_arguments(output: Path, name: str, workers: int | None, options: WorkOptions) -> None:
    """Raise InputError with everything that is wrong in the command's arguments at once."""
    problems = []
    if output.exists() and not output.is_dir():
        problems.append(f"--output {output}: wanted a folder, got a file")
    elif (output / "experiment.yaml").is_file():
        with suppress(InputError):
            settings = read_mapping(output / "experiment.yaml", KEYS)
            if str(settings.get("name")) != name:
                problems.append(
                    f"--output {output}: wanted a folder for the results of {name!r}, got one with "
                    f"others: it holds those of {settings.get('name')!r}"
                )
    if workers is not None and workers < 0:
        problems.append(f"--workers: wanted an integer at least 0, got {workers}")
    if options.device is not None and (problem := _device_problem(options.device)):
        problems.append(f"--device: {problem}")
    for tracker in options.trackers:
        if tracker not in TRACKERS:
            problems.append(f"--track: no tracker {tracker!r}{nearest(tracker, TRACKERS)}")
        elif find_spec(tracker) is None:
            problems.append(f"--track {tracker}: the package is missing; `pip install {tracker}`")
    if problems:
        raise InputError(*problems)


def _device_problem(device: str) -> str:
    """Return why a device cannot be used, or ''."""
    kind, _, number = device.partition(":")
    if kind not in ("cpu", "cuda", "mps", "xpu"):
        return f"wanted cpu, cuda, mps or xpu, got {device!r}"
    if number:
        return (
            f"wanted {kind}, got {device!r}; choose the card by e.g. CUDA_VISIBLE_DEVICES={number}"
        )
    if kind == "cpu":
        return ""
    import torch  # slow: only where a device is named that may not be there

    module = torch.backends.mps if kind == "mps" else getattr(torch, kind)
    if module.is_available():
        return ""
    return (
        f"{kind} is not there, or this torch was not built for it; leave --device out, or set cpu"
    )


def _barrier(device: str | None) -> Callable[[], None]:
    from accelerate import PartialState  # torch: only under torchrun

    from lmcompare.training.loop import runs_on_cpu

    wait: Callable[[], None] = PartialState(cpu=runs_on_cpu(device)).wait_for_everyone
    return wait


def _run_in_process(
    state: RunState,
    display: ProgressDisplay,
    barrier: Callable[[], None] | None,
    options: WorkOptions,
) -> None:
    while left := state.left:
        cell = left[0]
        display.start(cell)
        try:
            job = state.job(cell, options)
            progress = partial(display.update, cell)
            run_cell(job, state.experiment, progress, wait=True, barrier=barrier)
        except Exception as error:
            if barrier is not None:
                raise  # the other processes wait for this one: torchrun must end them all
            state.failed[cell.name] = explain(error)
        else:
            if display.quiet:  # not the main process: rank 0 keeps the rows
                state.done[cell.name] = (Run("", "", "", "", 0, "", "", {}), to_frame([]))
            else:
                state.finish(cell)
        display.end(cell)


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP (a closed terminal, a scheduler's time limit) act as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    interrupt = lambda *_: signal.raise_signal(signal.SIGINT)  # noqa: E731
    previous = {number: signal.signal(number, interrupt) for number in signals}
    try:
        yield
    finally:
        for number, action in previous.items():
            signal.signal(number, action)
