"""The cells of an experiment: what they are, where finished ones lie, and who does which when."""

import errno
import hashlib
import json
import math
import os
import platform
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from functools import cache as once
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Literal

import pandas as pd
import yaml
from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from lmcompare.errors import InputError, LmcompareError, nearest
from lmcompare.experiment import Experiment, plain
from lmcompare.records import Run, read_records, read_runs, to_frame, write_atomically, write_records, write_runs

PERFORM = "lmcompare.evaluate:perform"
"""What does the work of a cell; its module also has the Place that it is given."""
TRACKERS = {"aim": "aim", "clearml": "clearml", "comet_ml": "comet_ml", "dvclive": "dvclive", "mlflow": "mlflow"}
TRACKERS |= {"swanlab": "swanlab", "tensorboard": "tensorboard", "trackio": "trackio", "wandb": "wandb"}
"""Trackers that accelerate knows, each with the module that must be installed."""
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": "8589934592",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
    "MALLOC_TOP_PAD_": "268435456",
    "MALLOC_MMAP_MAX_": "0",
    "THP_MEM_ALLOC_ENABLE": "1",
}
"""Environment of a worker on glibc: it keeps freed memory instead of handing it back to the system at every step."""
OUTSIDE = {
    "cli.py",
    "run.py",
    "worker.py",
    "experiment.py",
    "benchmarks.py",
    "statistics.py",
    "__main__.py",
    "__init__.py",
}
"""Files of the package that decide no cell's result (besides ``report/``): a change there repeats no work."""
PATIENCE = 120.0
"""Seconds that a stopped worker has for its checkpoint."""


@dataclass(frozen=True)
class Cell:
    """One piece of work, done once and kept under its key.

    Attributes:
        name: 'prepare', 'pretrain/<arm>/<seed>', '<task>/<arm>/<seed>/<condition>' or '<task>/control'.
        kind: which of the four.
        arm: '' if the cell belongs to none.
        seed: 0 if the cell has none.
        task: '' if the cell belongs to none.
        condition: 'pretrained', 'scratch', 'control' or ''.
        needs: names of the cells that must be finished before.
        key: content hash of all that decides the result.
    """

    name: str
    kind: Literal["prepare", "pretrain", "task", "control"]
    arm: str
    seed: int
    task: str
    condition: str
    needs: tuple[str, ...]
    key: str


@dataclass(frozen=True)
class Job:
    """A cell, and what a worker must be told to do it. All of it can be said in JSON.

    Attributes:
        cell: what to do.
        experiment: as ``Experiment.resolved`` says it.
        cache: root of the cache.
        folders: of the finished cells that it needs, by name.
        device: as in ``run``.
        trackers: as in ``run``.
        workers: how many work side by side.
        fresh: do it even if it is done.
        perform: as in ``run``.
    """

    cell: Cell
    experiment: dict[str, Any]
    cache: str
    folders: dict[str, str]
    device: str | None = None
    trackers: tuple[str, ...] = ()
    workers: int = 1
    fresh: bool = False
    perform: str = PERFORM

    def to_json(self) -> str:
        """Return one line that ``from_json`` reads back."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> "Job":
        """Read what ``to_json`` said."""
        said = json.loads(line)
        cell = Cell(**{**said["cell"], "needs": tuple(said["cell"]["needs"])})
        return cls(**{**said, "cell": cell, "trackers": tuple(said["trackers"])})


def cache_root() -> Path:
    """Return where data, weights and finished cells are kept: $LMCOMPARE_CACHE, else ~/.cache/lmcompare."""
    return Path(os.environ.get("LMCOMPARE_CACHE") or Path.home() / ".cache" / "lmcompare").expanduser().absolute()


# The plan.


def plan(experiment: Experiment) -> list[Cell]:
    """Return all cells in the order in which they are best done; whatever a cell needs comes before it.

    The key of a cell hashes the settings that decide its result, the content of its sources, the keys of the cells
    that it needs, the source files that compute, and the versions of torch and transformers. The names of the
    experiment and of its arms are not in it: experiments share cells.

    Raises:
        InputError: a source is missing or cannot be read.
    """
    cells: list[Cell] = []

    def add(kind: Any, name: str, decides: Any, needs: Sequence[Cell], **said: Any) -> Cell:
        code = [_code(), *(_version(library) for library in ("torch", "transformers"))]
        text = json.dumps([kind, decides, [need.key for need in needs], code], sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()[:32]
        names: dict[str, Any] = {"arm": "", "seed": 0, "task": "", "condition": ""} | said
        cells.append(Cell(name=name, kind=kind, needs=tuple(need.name for need in needs), key=key, **names))
        return cells[-1]

    shared = {"corpus": _content(experiment.corpus), "vocabulary": plain(experiment.vocabulary)}
    prepare = add("prepare", "prepare", shared | {"blocks": plain(experiment.blocks)}, [])
    tasks = {name: _content(task) for name, task in experiment.tasks.items()}
    for task in tasks:
        add("control", f"{task}/control", tasks[task], [prepare], task=task, condition="control")
    for seed in experiment.seeds:
        trained = {}
        networks = {
            arm: {"objective": _content(side.objective), "network": plain(experiment.network_of(arm)), "seed": seed}
            for arm, side in experiment.arms.items()
        }
        for arm, network in networks.items():
            training = plain(experiment.training_of(arm))
            del training["checkpoint_minutes"]
            decides = network | {"training": training}
            trained[arm] = add("pretrain", f"pretrain/{arm}/{seed}", decides, [prepare], arm=arm, seed=seed)
        for task, settings in tasks.items():
            for arm, network in networks.items():
                for condition in experiment.tasks[task].conditions:
                    needs = [prepare, trained[arm]] if condition == "pretrained" else [prepare]
                    name = f"{task}/{arm}/{seed}/{condition}"
                    decides = network | {"task": settings, "condition": condition}
                    add("task", name, decides, needs, arm=arm, seed=seed, task=task, condition=condition)
    return cells


def _content(part: Any) -> Any:
    """Return the settings of a part with each source replaced by its fingerprint, and the code of a plug-in."""
    said = plain(part)
    if "source" in {field.name for field in fields(part)}:
        said["source"] = part.source.fingerprint()
    module = type(part).__module__
    if not module.startswith("lmcompare."):
        file = getattr(sys.modules.get(module), "__file__", None)
        said["code"] = hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else module
    return said


@once
def _code() -> str:
    root = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        inside = path.relative_to(root)
        if str(inside) not in OUTSIDE and inside.parts[0] != "report":
            digest.update(f"{inside.as_posix()}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "absent"


# One cell.


def home(cache: Path, cell: Cell) -> Path:
    """Return the folder of a finished cell: ``run.json``, ``records.parquet`` and what the work left there."""
    return cache / "cells" / cell.key


def load(cache: Path, cell: Cell, experiment: str) -> tuple[Run, pd.DataFrame] | None:
    """Return what a finished cell found, under the names that this experiment has for it; None if it is not done."""
    try:
        (run,) = read_runs(home(cache, cell) / "run.json")
        frame = read_records(home(cache, cell) / "records.parquet")
    except (InputError, ValueError):
        return None
    names = {"arm": cell.arm, "task": cell.task} if cell.kind == "task" else {"arm": cell.arm} if cell.arm else {}
    names |= {"task": cell.task} if cell.kind == "control" else {}
    run = replace(
        run, experiment=experiment, cell=cell.name, key=cell.key, arm=cell.arm, seed=cell.seed, task=cell.task
    )
    return run, frame.assign(experiment=experiment, **names)


def do(
    job: Job,
    experiment: Experiment,
    progress: Callable[[dict[str, Any]], None],
    *,
    wait: bool = False,
    together: Callable[[], None] | None = None,
) -> Literal["done", "busy"]:
    """Do one cell, unless it is done.

    Unfinished work (weights, a checkpoint) lies in ``cells/<key>.partial``, whence the next run goes on; the folder is
    renamed when the cell is finished, so that what is there is whole.

    Args:
        job: the cell and its place.
        experiment: what the job says, read.
        progress: is told how far the work is.
        wait: if another run is doing this cell, wait for it; else return 'busy'.
        together: where several processes do each cell: returns when all have called it. Rank 0 alone writes.
    """
    final = home(Path(job.cache), job.cell)
    partial = final.with_name(f"{final.name}.partial")
    main = together is None or os.environ.get("RANK", "0") == "0"
    meet = together or (lambda: None)
    final.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{final}.lock")
    if main:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if not wait:
                return "busy"
            progress({"done": 0.0, "total": 1.0, "stage": "waiting for another run"})
            lock.acquire()
    try:
        meet()
        if not job.fresh and load(Path(job.cache), job.cell, "") is not None:
            return "done"
        if job.fresh and main:
            shutil.rmtree(partial, ignore_errors=True)
        meet()
        partial.mkdir(exist_ok=True)
        module, _, function = job.perform.partition(":")
        work = import_module(module)
        place = work.Place(
            cache=Path(job.cache),
            folders={name: Path(folder) for name, folder in job.folders.items()},
            folder=partial,
            device=job.device,
            progress=progress,
            trackers=job.trackers,
            workers=job.workers,
        )
        run, records = getattr(work, function)(experiment, job.cell, place)
        meet()
        if main:
            write_records(partial / "records.parquet", to_frame(records))
            write_runs(partial / "run.json", [run])
            shutil.rmtree(partial / "checkpoint", ignore_errors=True)
            if final.exists():
                old = final.with_name(f"{final.name}.old")
                shutil.rmtree(old, ignore_errors=True)
                final.rename(old)
                shutil.rmtree(old, ignore_errors=True)
            partial.rename(final)
        meet()
        return "done"
    finally:
        lock.release()


def explain(error: BaseException) -> tuple[str, int]:
    """Return what to say of a cell that failed, and the exit code. What nobody foresaw keeps its traceback."""
    if isinstance(error, LmcompareError):
        return str(error), error.exit_code
    if is_disk_full(error):
        return "the disk is full; free some space, or set LMCOMPARE_CACHE to a folder on another disk", 1
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return f"out of memory; {SMALLER}", 1
    return "".join(traceback.format_exception(error)).rstrip(), 1


SMALLER = "lower training.batch, raise training.accumulation, or run with --workers 1"


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error of the system or of a library means that."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return not isinstance(error, LmcompareError) and "No space left on device" in str(error)


# All cells.


@dataclass
class _State:
    """What is done, what failed, what is left."""

    experiment: Experiment
    output: Path
    cache: Path
    header: str
    cells: list[Cell]
    done: dict[str, tuple[Run, pd.DataFrame]]
    failed: dict[str, tuple[str, int]]

    @property
    def left(self) -> list[Cell]:
        """The cells that may still be done."""
        lost = set(self.failed)
        left = []
        for cell in self.cells:
            if lost & set(cell.needs):
                lost.add(cell.name)
            elif cell.name not in lost and cell.name not in self.done:
                left.append(cell)
        return left

    def finish(self, cell: Cell) -> None:
        """Take up a finished cell and write the rows of all finished ones."""
        found = load(self.cache, cell, self.experiment.name)
        if found is None:
            self.failed[cell.name] = ("finished, but what it wrote cannot be read; run it once more", 1)
            return
        self.done[cell.name] = found
        self.write()

    def write(self) -> None:
        """Write the three files that the report is made from, together: a reader that locks sees them agree."""
        frames = [frame for _, frame in self.done.values() if len(frame)]
        with locked(self.output):
            write_atomically(self.output / "experiment.yaml", (self.header + self.experiment.dump()).encode())
            write_runs(self.output / "runs.jsonl", [run for run, _ in self.done.values()])
            write_records(self.output / "records.parquet", pd.concat(frames) if frames else to_frame([]))

    def verdict(self) -> None:
        """Raise what a person must know if a cell failed."""
        if not self.failed:
            return
        said = [f"{name}: {message}" for name, (message, _) in self.failed.items()]
        lost = [cell.name for cell in self.cells if cell.name not in self.done and cell.name not in self.failed]
        if lost:
            said.append(f"{len(lost)} more need {'it' if len(said) == 1 else 'these'}: {', '.join(lost)}")
        said.append(
            f"{len(self.done)} of {len(self.cells)} cells are done and kept; the same command does only the rest"
        )
        kind = InputError if all(code == 2 for _, code in self.failed.values()) else LmcompareError
        raise kind("\n".join(said))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder of results, so that two runs write into it one after the other."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        lock.acquire()
    except OSError as error:
        raise InputError(f"{folder}: wanted a folder that can be written ({error.strerror})") from error
    try:
        yield
    finally:
        lock.release()


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
        device: 'cpu', 'cuda', 'cuda:1', 'mps'; None: the best there is.
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
    try:
        (cache / "cells").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{cache}: wanted a cache folder that can be written ({error.strerror})") from error
    cells = plan(experiment)
    found = {} if fresh else {cell.name: load(cache, cell, experiment.name) for cell in cells}
    done = {name: it for name, it in found.items() if it is not None}
    state = _State(experiment, output, cache, header, cells, done, {})
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    main = not several or os.environ.get("RANK", "0") == "0"
    if main and done:
        state.write()
    work = {"device": device, "trackers": tuple(trackers), "fresh": fresh, "perform": perform}
    if state.left:
        with _Display(state, quiet=not main) as display, _terminable():
            if several or workers == 0:
                _in_process(state, display, _barrier(device) if several else None, work)
            else:
                _Pool(state, display, min(workers or _workers(device), len(state.left)), work).drain()
    if not main:
        return output / "report.md"
    try:
        report = write_report(output)
    except Exception:
        state.verdict()  # without all cells there may be nothing to report
        raise
    state.verdict()
    return report


def check(output: Path, name: str, workers: int | None, device: str | None, trackers: Sequence[str]) -> None:
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
    if device is not None and device.partition(":")[0] not in ("cpu", "cuda", "mps", "xpu"):
        problems.append(f"--device: wanted cpu, cuda, cuda:1, ..., mps or xpu, got {device!r}")
    for tracker in trackers:
        if tracker not in TRACKERS:
            problems.append(f"--track: no tracker {tracker!r}{nearest(tracker, TRACKERS)}")
        elif find_spec(TRACKERS[tracker]) is None:
            problems.append(f"--track {tracker}: the package is missing; `pip install {TRACKERS[tracker]}`")
    if problems:
        raise InputError(*problems)


def write_report(output: Path) -> Path:
    """Write the report of a folder of results while no run writes its rows."""
    from lmcompare.report import write  # matplotlib: not before it is needed

    with locked(output):
        return write(output)


# In this process.


def _barrier(device: str | None) -> Callable[[], None]:
    from accelerate import PartialState  # torch: only under torchrun

    state = PartialState(cpu=device == "cpu")
    meet: Callable[[], None] = state.wait_for_everyone
    return meet


def _in_process(state: _State, display: "_Display", together: Callable[[], None] | None, work: dict[str, Any]) -> None:
    experiment, said = state.experiment, state.experiment.resolved()
    while left := state.left:
        cell = left[0]
        folders = {name: str(home(state.cache, other)) for name, other in _needed(state, cell).items()}
        display.start(cell)
        try:
            job = Job(cell, said, str(state.cache), folders, **work)
            do(job, experiment, lambda event, cell=cell: display.update(cell, event), wait=True, together=together)  # type: ignore[misc]
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


def _needed(state: _State, cell: Cell) -> dict[str, Cell]:
    return {other.name: other for other in state.cells if other.name in cell.needs}


# In workers.


class _Worker:
    """A process that does one cell after the other; what it says goes into a queue."""

    def __init__(self, number: int, log: Path, environment: dict[str, str], events: "queue.Queue[Any]", perform: str):
        self.cell: Cell | None = None
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "lmcompare.worker", perform],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                start_new_session=True,  # Ctrl-C reaches the parent alone, which passes it on once
            )
        self.listener = threading.Thread(target=self._listen, args=(events,), daemon=True)
        self.listener.start()

    def _listen(self, events: "queue.Queue[Any]") -> None:
        output: IO[bytes] = self.process.stdout  # type: ignore[assignment]
        with output:
            for line in output:
                events.put((self, json.loads(line)))
        self.process.wait()
        events.put((self, {"event": "gone"}))

    def give(self, job: Job) -> None:
        """Hand over a job; if the process is gone, its 'gone' event says so."""
        self.cell = job.cell
        with suppress(BrokenPipeError):
            stdin: IO[bytes] = self.process.stdin  # type: ignore[assignment]
            stdin.write(f"{job.to_json()}\n".encode())
            stdin.flush()

    def close(self) -> None:
        """Tell the process that there is no more."""
        with suppress(BrokenPipeError):
            self.process.stdin.close()  # type: ignore[union-attr]

    def death(self) -> str:
        """Return what to say of a process that went without a word."""
        code = self.process.returncode
        if code == -signal.SIGKILL:
            return f"its process was killed, most likely because the machine ran out of memory; {SMALLER}"
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        last = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-5:]
        return "\n".join([f"its process ended {how}; see {self.log}", *last])


class _Pool:
    """Workers and the cells that are left for them."""

    def __init__(self, state: _State, display: "_Display", size: int, work: dict[str, Any]) -> None:
        self.state, self.display, self.size = state, display, size
        self.work = work | {"workers": size}
        self.said = state.experiment.resolved()
        self.events: queue.Queue[tuple[_Worker, dict[str, Any]]] = queue.Queue()
        self.workers: list[_Worker] = []
        self.later: dict[str, float] = {}
        self.environment = worker_environment(size, work["device"])

    def drain(self) -> None:
        """Do all cells that can be done."""
        try:
            while len(self.workers) < self.size:
                self._hire()
            while self.state.left:
                self._deal()
                with suppress(queue.Empty):
                    self._hear(*self.events.get(timeout=0.2))
                self.display.tick()
        except KeyboardInterrupt:
            self._stop()
            raise
        finally:
            for worker in self.workers:
                worker.close()
            for worker in self.workers:
                with suppress(subprocess.TimeoutExpired):
                    worker.process.wait(timeout=10)
                worker.process.kill()
                worker.listener.join(timeout=1)

    def _hire(self) -> _Worker:
        number = len(self.workers) + 1
        log = self.state.cache / "logs" / f"{self.state.experiment.name}-{os.getpid()}-{number}.log"
        self.workers.append(_Worker(number, log, self.environment, self.events, self.work["perform"]))
        return self.workers[-1]

    def _deal(self) -> None:
        """Give each free worker the first cell that is ready."""
        busy = {worker.cell.name for worker in self.workers if worker.cell}
        for cell in self.state.left:
            if cell.name in busy or self.later.get(cell.name, 0) > time.monotonic():
                continue
            if any(need not in self.state.done for need in cell.needs):
                continue
            worker = next((worker for worker in self.workers if worker.cell is None), None)
            if worker is None and len(self.workers) < self.size:
                worker = self._hire()
            if worker is None:
                return
            folders = {name: str(home(self.state.cache, other)) for name, other in _needed(self.state, cell).items()}
            worker.give(Job(cell, self.said, str(self.state.cache), folders, **self.work))
            self.display.start(cell)

    def _hear(self, worker: _Worker, event: dict[str, Any]) -> None:
        cell, kind = worker.cell, event["event"]
        if kind == "gone":
            self.workers.remove(worker)
            worker.close()
        if cell is None:
            return
        if kind == "progress":
            self.display.update(cell, event)
            return
        worker.cell = None
        if kind == "done":
            self.state.finish(cell)
        elif kind == "busy":
            self.later[cell.name] = time.monotonic() + 1
        elif kind == "failed":
            self.state.failed[cell.name] = (event["message"], event["exit_code"])
        elif kind == "stopped":
            self.state.failed[cell.name] = ("its process was interrupted", 1)
        else:
            self.state.failed[cell.name] = (worker.death(), 1)
        self.display.end(cell, busy=kind == "busy")

    def _stop(self) -> None:
        """Interrupt the workers and give them time for their checkpoints; a second Ctrl-C gives them none."""
        self.display.say("stopping: what is running saves a checkpoint (Ctrl-C once more stops at once)")
        end = time.monotonic() + PATIENCE
        try:
            for worker in self.workers:
                worker.process.send_signal(signal.SIGINT)
            for worker in self.workers:
                worker.process.wait(timeout=max(0.1, end - time.monotonic()))
        except (KeyboardInterrupt, subprocess.TimeoutExpired):
            for worker in self.workers:
                worker.process.kill()
        while not self.events.empty():
            worker, event = self.events.get()
            if event["event"] == "done" and worker.cell:
                self.state.finish(worker.cell)


def cores() -> int:
    """Return how many cores this process may use: those it is bound to, and no more than its container's share."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        count = min(count, max(1, math.ceil(int(quota) / int(period))))
    return count


def _accelerated(device: str | None) -> bool:
    """Return whether the cells will run on something other than the CPU, as far as can be seen without torch."""
    if device is not None:
        return device != "cpu"
    if platform.system() == "Darwin":
        return platform.machine() == "arm64"
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return Path("/dev/nvidiactl").exists() and not hidden and not _version("torch").endswith("+cpu")


def _workers(device: str | None) -> int:
    """Return how many workers there is room for: one to an accelerator, else two, or one to four cores."""
    return 1 if _accelerated(device) else min(cores(), max(2, cores() // 4))


def worker_environment(workers: int, device: str | None) -> dict[str, str]:
    """Return the environment of a worker: this one's, its share of the cores, glibc's settings on a CPU."""
    environment = dict(os.environ)
    share = max(1, cores() // workers)
    own = environment.get("OMP_NUM_THREADS", "")
    environment["OMP_NUM_THREADS"] = str(min(share, int(own)) if own.isdigit() and own != "0" else share)
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)  # the same packages as here
    if platform.libc_ver()[0] == "glibc" and not _accelerated(device):
        environment = ALLOCATOR | environment
    return environment


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP (a closed terminal, a scheduler's time limit) stop a run as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT)) for number in asked}
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)


# What the person at the terminal sees.


@dataclass
class _Watch:
    """A cell that runs: since when this stage of it runs, from where, and how far it is."""

    began: float
    stage: str = "starting"
    since: float = 0.0
    first: float = 0.0
    share: float = 0.0
    loss: float | None = None
    speed: float | None = None

    @property
    def left(self) -> float | None:
        """Seconds that the stage still takes, at the pace so far."""
        gone = self.share - self.first
        return (time.monotonic() - self.since) * (1 - self.share) / gone if gone > 0.01 else None

    def __str__(self) -> str:
        parts = [self.stage]
        parts += [] if self.loss is None else [f"loss {self.loss:.3f}"]
        parts += [] if self.speed is None else [f"{self.speed:,.0f} tokens/s"]
        parts += [] if self.left is None else [f"{_clock(self.left)} left"]
        return " · ".join(parts)


class _Display:
    """One bar for each running cell and one for the whole run; where there is no terminal, a line now and then."""

    def __init__(self, state: _State, quiet: bool = False, every: float = 30.0) -> None:
        self.state, self.quiet, self.every = state, quiet, every
        self.running: dict[str, _Watch] = {}
        self.cells = {cell.name: cell for cell in state.cells}
        self.seconds: dict[tuple[str, str, str], list[float]] = {}
        for run, _ in state.done.values():
            self._learn(self.cells[run.cell], run.currencies.get("seconds", 0.0))
        self.bars: dict[str, TaskID] = {}
        self.live: Progress | None = None
        self.said = time.monotonic()
        if not quiet and sys.stdout.isatty():
            columns = TextColumn("{task.description}"), BarColumn(bar_width=20), TextColumn("{task.percentage:>3.0f}%")
            self.live = Progress(*columns, TextColumn("{task.fields[said]}"), console=Console(), refresh_per_second=4)
            self.bars[""] = self.live.add_task(state.experiment.name, total=len(state.cells), said="")

    def __enter__(self) -> "_Display":
        if self.live:
            self.live.start()
        if self.state.done:
            self.say(f"{len(self.state.done)} of {len(self.state.cells)} cells are done already")
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self.live.stop()

    def say(self, line: str) -> None:
        """Print a line, above the bars if there are any."""
        if self.live:
            self.live.console.print(line, markup=False, highlight=False)
        elif not self.quiet:
            print(line, flush=True)

    def start(self, cell: Cell) -> None:
        """A cell begins."""
        now = time.monotonic()
        self.running[cell.name] = _Watch(now, since=now)
        if self.live:
            self.bars[cell.name] = self.live.add_task(f"  {cell.name}", total=1.0, said="starting")

    def update(self, cell: Cell, event: dict[str, Any]) -> None:
        """A cell says how far it is."""
        watch = self.running[cell.name]
        share = min(1.0, event["done"] / event["total"]) if event.get("total") else 0.0
        if event.get("stage", watch.stage) != watch.stage or share < watch.share:
            watch.stage, watch.since, watch.first = event.get("stage", watch.stage), time.monotonic(), share
        watch.share, watch.loss, watch.speed = share, event.get("loss"), event.get("tokens_per_second")
        self.tick()

    def tick(self) -> None:
        """Show where things stand, if it is time."""
        if self.live:
            for name, watch in self.running.items():
                self.live.update(self.bars[name], completed=watch.share, said=str(watch))
            self.live.update(self.bars[""], completed=self._share(), said=self._whole())
        elif not self.quiet and time.monotonic() - self.said > self.every:
            self.said = time.monotonic()
            for name, watch in self.running.items():
                self.say(f"{name}  {watch.share:.0%}  {watch}")
            self.say(f"{self.state.experiment.name}  {self._share() / len(self.cells):.0%}  {self._whole()}")

    def end(self, cell: Cell, busy: bool = False) -> None:
        """A cell is done, has failed, or is being done by another run."""
        took = time.monotonic() - self.running.pop(cell.name).began
        if self.live:
            self.live.remove_task(self.bars.pop(cell.name))
        if busy:
            return
        if cell.name in self.state.failed:
            self.say(f"failed  {cell.name}  {self.state.failed[cell.name][0].splitlines()[0]}")
        else:
            self._learn(cell, took)
            self.say(f"done  {cell.name}  in {_clock(took)}  ({self._whole()})")

    def _learn(self, cell: Cell, seconds: float) -> None:
        if seconds:
            self.seconds.setdefault((cell.kind, cell.task, cell.condition), []).append(seconds)

    def _share(self) -> float:
        return len(self.state.done) + sum(watch.share for watch in self.running.values())

    def _whole(self) -> str:
        said = f"{len(self.state.done)} of {len(self.cells)} cells"
        left = self._left()
        return f"{said} · about {_clock(left)} left" if left else said

    def _left(self) -> float | None:
        """Seconds for the whole run: each cell takes what others of its kind took; None until there is one to go by."""
        known = {group: sum(all_took) / len(all_took) for group, all_took in self.seconds.items()}
        for name, watch in self.running.items():
            cell = self.cells[name]
            if watch.left is not None:
                known.setdefault((cell.kind, cell.task, cell.condition), time.monotonic() - watch.began + watch.left)
        if not known or not self.state.left:
            return None
        other = sum(known.values()) / len(known)
        total = 0.0
        for cell in self.state.left:
            takes = known.get((cell.kind, cell.task, cell.condition), other)
            watching = self.running.get(cell.name)
            if watching:
                gone = time.monotonic() - watching.began
                takes = watching.left if watching.left is not None else max(0.0, takes - gone)
            total += takes
        return total / max(1, min(len(self.running), len(self.state.left)))


def _clock(seconds: float) -> str:
    """Return minutes and seconds, or hours, minutes and seconds.

    >>> _clock(63), _clock(3663)
    ('1:03', '1:01:03')
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"
