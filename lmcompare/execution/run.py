"""All cells of an experiment: what is missing is done, here or by workers, and the results are written."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import yaml

from lmcompare.core.errors import InputError, nearest
from lmcompare.core.records import Run, to_frame
from lmcompare.execution.cells import PERFORM, Job, cache_root, do, explain, home, load
from lmcompare.execution.machine import room_for
from lmcompare.execution.plan import plan
from lmcompare.execution.pool import WorkerPool
from lmcompare.execution.progress import ProgressDisplay
from lmcompare.execution.state import RunState, locked, needed
from lmcompare.experiments.experiment import Experiment

TRACKERS = {
    "aim": "aim",
    "clearml": "clearml",
    "comet_ml": "comet_ml",
    "dvclive": "dvclive",
    "mlflow": "mlflow",
}
TRACKERS |= {
    "swanlab": "swanlab",
    "tensorboard": "tensorboard",
    "trackio": "trackio",
    "wandb": "wandb",
}
"""Trackers that accelerate knows, each with the module that must be installed."""


def run(
    experiment: Experiment,
    output: Path,
    *,
    cache: Path | None = None,
    workers: int | None = None,
    device: str | None = None,
    trackers: Sequence[str] = (),
    fresh: bool = False,
    header: str = "",
    perform: str = PERFORM,
) -> Path:
    """Do what is missing of an experiment and write its results.

    Args:
        experiment: what to do.
        output: folder of the results; made if there is none.
        cache: root of the cache; ``cache_root()`` if left out.
        workers: processes side by side; 0: this very process; None: what the machine has room for. Under torchrun
            always 0: all processes do each cell together.
        device: 'cpu', 'cuda', 'mps', 'xpu'; None: the best there is.
        trackers: names of trackers that accelerate knows.
        fresh: do all cells again.
        header: comment lines to put at the head of ``experiment.yaml``.
        perform: 'module:function' of what does the work; the module also has a ``Place``.

    Returns:
        The path of the report.

    Raises:
        InputError: something that was given is wrong.
        LmcompareError: a cell failed; the others that do not need it are done.
        KeyboardInterrupt: Ctrl-C (or SIGTERM), after the workers saved their checkpoints.
    """
    check(output, experiment.name, workers, device, trackers)
    cache = cache_root() if cache is None else cache
    cells = plan(experiment)
    found = {} if fresh else {cell.name: load(cache, cell, experiment.name) for cell in cells}
    done = {name: it for name, it in found.items() if it is not None}
    state = RunState(experiment, output, cache, header, cells, done, {})
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    main = not several or os.environ.get("RANK", "0") == "0"
    if main and done:
        state.write()
    work: dict[str, Any] = {
        "device": device,
        "trackers": tuple(trackers),
        "fresh": fresh,
        "perform": perform,
    }
    if state.left:
        writable(cache)
        with ProgressDisplay(state, quiet=not main) as display, _terminable():
            if several or workers == 0:
                _in_process(state, display, _barrier(device) if several else None, work)
            else:
                WorkerPool(
                    state, display, min(workers or room_for(device), len(state.left)), work
                ).drain()
    if not main:
        return output / "report.md"
    try:
        report = write_report(output)
    except Exception:
        state.verdict()  # without all cells there may be nothing to report
        raise
    state.verdict()
    return report


def writable(cache: Path) -> None:
    """Raise InputError where work cannot be kept: a folder may be there, and yet on a disk that is read alone."""
    try:
        (cache / "cells").mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=cache / "cells"):
            pass
    except OSError as error:
        raise InputError(
            f"{cache}: wanted a cache folder that can be written ({error.strerror}); set LMCOMPARE_CACHE to another"
        ) from error


def check(
    output: Path, name: str, workers: int | None, device: str | None, trackers: Sequence[str]
) -> None:
    """Raise InputError with all that is wrong in what the command was given besides the experiment."""
    problems = []
    if output.exists() and not output.is_dir():
        problems.append(f"--output {output}: wanted a folder, got a file")
    elif (output / "experiment.yaml").is_file():
        with suppress(yaml.YAMLError, UnicodeDecodeError):
            there = yaml.safe_load((output / "experiment.yaml").read_text(encoding="utf-8"))
            if isinstance(there, dict) and str(there.get("name")) != name:
                got = f"it holds those of {there.get('name')!r}"
                problems.append(
                    f"--output {output}: wanted a folder for the results of {name!r}, got one with others: {got}"
                )
    if workers is not None and workers < 0:
        problems.append(f"--workers: wanted an integer at least 0, got {workers}")
    if device is not None:
        problems += [f"--device: {said}" for said in _missing(device)]
    for tracker in trackers:
        if tracker not in TRACKERS:
            problems.append(f"--track: no tracker {tracker!r}{nearest(tracker, TRACKERS)}")
        elif find_spec(TRACKERS[tracker]) is None:
            problems.append(
                f"--track {tracker}: the package is missing; `pip install {TRACKERS[tracker]}`"
            )
    if problems:
        raise InputError(*problems)


def _missing(device: str) -> list[str]:
    """Return why a device cannot be used."""
    kind, _, number = device.partition(":")
    if kind not in ("cpu", "cuda", "mps", "xpu"):
        return [f"wanted cpu, cuda, mps or xpu, got {device!r}"]
    if number:
        return [
            f"wanted {kind}, got {device!r}; which card it is, say by e.g. CUDA_VISIBLE_DEVICES={number}"
        ]
    if kind == "cpu":
        return []
    import torch  # only where a device is named that may not be there

    there = (
        torch.backends.mps.is_available() if kind == "mps" else getattr(torch, kind).is_available()
    )
    return (
        []
        if there
        else [
            f"{kind} is not there, or this torch was not built for it; leave --device out, or set cpu"
        ]
    )


def write_report(
    output: Path, *, html: bool = False, latex: bool = False, parquet: bool = False
) -> Path:
    """Write the report of a folder of results while no run writes its rows."""
    from lmcompare.report import write  # matplotlib: not before it is needed

    with locked(output):
        return write(output, html=html, latex=latex, parquet=parquet)


def _barrier(device: str | None) -> Callable[[], None]:
    from accelerate import PartialState  # torch: only under torchrun

    from lmcompare.training.loop import on_cpu

    state = PartialState(cpu=on_cpu(device))
    meet: Callable[[], None] = state.wait_for_everyone
    return meet


def _in_process(
    state: RunState,
    display: ProgressDisplay,
    together: Callable[[], None] | None,
    work: dict[str, Any],
) -> None:
    experiment, said = state.experiment, state.experiment.resolved()
    while left := state.left:
        cell = left[0]
        folders = {
            name: str(home(state.cache, other)) for name, other in needed(state, cell).items()
        }
        display.start(cell)
        try:
            job = Job(
                cell,
                said,
                str(state.cache),
                folders,
                workers=int(os.environ.get("WORLD_SIZE", "1")),
                **work,
            )
            report = partial(display.update, cell)
            do(job, experiment, report, wait=True, together=together)
        except Exception as error:
            if together is not None:
                raise  # the other processes wait for this one: torchrun must end them all
            state.failed[cell.name] = explain(error)
        else:
            if display.quiet:
                state.done[cell.name] = (Run("", "", "", "", 0, "", "", {}), to_frame([]))
            else:
                state.finish(cell)
        display.end(cell)


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP (a closed terminal, a scheduler's time limit) stop a run as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {
        number: signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
        for number in asked
    }
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)
