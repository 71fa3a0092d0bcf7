"""Local worker processes, and handing them the cells that are ready."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from lmcompare.core.cells import Cell
from lmcompare.execution.jobs import LESS_MEMORY, Job, WorkOptions
from lmcompare.execution.machine import worker_environment
from lmcompare.execution.progress import ProgressDisplay
from lmcompare.execution.state import RunState

CHECKPOINT_SECONDS = 120.0
"""Time that an interrupted worker has to save its checkpoint."""


class Worker:
    """A process that does one cell after the other; its events go into a queue."""

    def __init__(
        self, log: Path, environment: dict[str, str], events: "queue.Queue[Any]", perform: str
    ) -> None:
        self.cell: Cell | None = None
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "lmcompare.execution.worker", perform],
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

    def submit(self, job: Job) -> None:
        """Hand over a job; if the process is gone, its 'gone' event reports that."""
        self.cell = job.cell
        with suppress(BrokenPipeError):
            stdin: IO[bytes] = self.process.stdin  # type: ignore[assignment]
            stdin.write(f"{job.to_json()}\n".encode())
            stdin.flush()

    def close(self) -> None:
        """Close its stdin: there are no more jobs."""
        with suppress(BrokenPipeError):
            self.process.stdin.close()  # type: ignore[union-attr]

    def cause_of_death(self) -> str:
        """Return the message for a process that ended without reporting an event."""
        code = self.process.returncode
        if code == -signal.SIGKILL:
            return (
                "its process was killed, most likely because the machine ran out of memory; "
                f"{LESS_MEMORY}"
            )
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        last = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-5:]
        return "\n".join([f"its process ended {how}; see {self.log}", *last])


class WorkerPool:
    """Workers side by side on this machine."""

    def __init__(
        self, state: RunState, display: ProgressDisplay, size: int, options: WorkOptions
    ) -> None:
        self.state, self.display, self.size = state, display, size
        self.options = replace(options, workers=size)
        self.events: queue.Queue[tuple[Worker, dict[str, Any]]] = queue.Queue()
        self.workers: list[Worker] = []
        self.retry_at: dict[str, float] = {}
        self.environment = worker_environment(size, options.device)

    def run(self) -> None:
        """Do all cells that can be done."""
        try:
            while len(self.workers) < self.size:
                self._start_worker()
            while self.state.left:
                self._assign()
                with suppress(queue.Empty):
                    self._on_event(*self.events.get(timeout=0.2))
                self.display.tick()
        except KeyboardInterrupt:
            self._interrupt()
            raise
        finally:
            for worker in self.workers:
                worker.close()
            for worker in self.workers:
                with suppress(subprocess.TimeoutExpired):
                    worker.process.wait(timeout=10)
                worker.process.kill()
                worker.listener.join(timeout=1)

    def _start_worker(self) -> Worker:
        name = f"{self.state.experiment.name}-{os.getpid()}-{len(self.workers) + 1}.log"
        log = self.state.cache / "logs" / name
        self.workers.append(Worker(log, self.environment, self.events, self.options.perform))
        return self.workers[-1]

    def _assign(self) -> None:
        """Give each free worker the first cell that is ready."""
        running = {worker.cell.name for worker in self.workers if worker.cell}
        for cell in self.state.left:
            if cell.name in running or self.retry_at.get(cell.name, 0) > time.monotonic():
                continue
            if any(need not in self.state.done for need in cell.needs):
                continue
            worker = next((worker for worker in self.workers if worker.cell is None), None)
            if worker is None and len(self.workers) < self.size:
                worker = self._start_worker()
            if worker is None:
                return
            worker.submit(self.state.job(cell, self.options))
            self.display.start(cell)

    def _on_event(self, worker: Worker, event: dict[str, Any]) -> None:
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
            self.retry_at[cell.name] = time.monotonic() + 1
        elif kind == "failed":
            self.state.failed[cell.name] = (event["message"], event["exit_code"])
        elif kind == "stopped":
            self.state.failed[cell.name] = ("its process was interrupted", 1)
        else:
            self.state.failed[cell.name] = (worker.cause_of_death(), 1)
        self.display.end(cell, busy=kind == "busy")

    def _interrupt(self) -> None:
        """Let the workers save their checkpoints; a second Ctrl-C kills them at once."""
        self.display.print(
            "stopping: what is running saves a checkpoint (Ctrl-C once more stops at once)"
        )
        deadline = time.monotonic() + CHECKPOINT_SECONDS
        try:
            for worker in self.workers:
                worker.process.send_signal(signal.SIGINT)
            for worker in self.workers:
                worker.process.wait(timeout=max(0.1, deadline - time.monotonic()))
        except (KeyboardInterrupt, subprocess.TimeoutExpired):
            for worker in self.workers:
                worker.process.kill()
        while not self.events.empty():
            worker, event = self.events.get()
            if event["event"] == "done" and worker.cell:
                self.state.finish(worker.cell)
