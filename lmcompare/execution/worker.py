"""A worker process: ``python -m lmcompare.execution.worker`` does the jobs that it reads on stdin.

One JSON object a line, both ways. In: ``cells.Job``. Out: ``{"event": "progress", ...}`` now and
then, and for each job one of 'done', 'busy' (another run does this cell), 'failed' (with 'message'
and 'exit_code') or 'stopped' (SIGINT). Whatever else is printed goes to stderr.
"""

import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import IO, Any

from lmcompare.execution.jobs import Job, explain, run_cell
from lmcompare.experiments.experiment import Experiment, parse

PROGRESS_SECONDS = 0.2
"""Least time between two progress events."""

Send = Callable[[dict[str, Any]], None]


def main() -> int:
    """Do jobs until stdin ends; return the exit code."""
    # A parent in the background would have SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    send = _sender(_take_stdout())
    jobs: queue.Queue[str | None] = queue.Queue()
    busy = threading.Event()
    threading.Thread(target=_read_jobs, args=(jobs, busy), daemon=True).start()
    experiments: dict[str, Experiment] = {}
    try:
        with suppress(Exception):  # if the work cannot be imported, the first job says why
            import_module(sys.argv[1].partition(":")[0])
        while line := jobs.get():
            event = _run_job(Job.from_json(line), experiments, send)
            busy.clear()
            send(event)
    except KeyboardInterrupt:
        send({"event": "stopped"})
        return 130
    return 0


def _run_job(job: Job, experiments: dict[str, Experiment], send: Send) -> dict[str, Any]:
    sent_at = 0.0

    def progress(event: dict[str, Any]) -> None:
        nonlocal sent_at
        if time.monotonic() - sent_at > PROGRESS_SECONDS:
            sent_at = time.monotonic()
            send({"event": "progress", **event})

    try:
        # The module may bring plug-ins that the experiment names.
        import_module(job.options.perform.partition(":")[0])
        settings = json.dumps(job.experiment)
        if settings not in experiments:
            experiments[settings] = parse(job.experiment)
        return {"event": run_cell(job, experiments[settings], progress)}
    except Exception as error:
        message, exit_code = explain(error)
        return {"event": "failed", "message": message, "exit_code": exit_code}


def _take_stdout() -> IO[str]:
    """Return the real stdout, and send everything that is printed to stderr."""
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return own


def _sender(output: IO[str]) -> Send:
    def send(event: dict[str, Any]) -> None:
        with suppress(BrokenPipeError):  # the parent is gone: `_read_jobs` ends this process
            print(json.dumps(event, default=float), file=output, flush=True)

    return send


def _read_jobs(jobs: "queue.Queue[str | None]", busy: threading.Event) -> None:
    """Read jobs; if the parent goes while one is running, interrupt it as Ctrl-C would."""
    for line in sys.stdin:
        busy.set()
        jobs.put(line)
    jobs.put(None)
    if busy.is_set():
        os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    sys.exit(main())
