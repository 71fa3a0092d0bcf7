"""A process that does cells: ``python -m lmcompare.execution.worker`` reads jobs on stdin, says on stdout how they go.

One JSON object a line, both ways. In: ``cells.Job``. Out: ``{"event": "progress", ...}`` now and then, and for each job
one of 'done', 'busy' (another run does this cell), 'failed' (with 'message' and 'exit_code') or 'stopped' (SIGINT).
Whatever else is printed goes to stderr.
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

from lmcompare.execution.cells import Job, do, explain
from lmcompare.experiments.experiment import Experiment, parse

EVERY = 0.2
"""Seconds between two lines of progress."""


def main() -> int:
    """Do jobs until stdin ends; return the exit code."""
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a parent in the background would have it ignored
    say = _speak(_take_stdout())
    jobs: queue.Queue[str | None] = queue.Queue()
    busy = threading.Event()
    threading.Thread(target=_listen, args=(jobs, busy), daemon=True).start()
    read: dict[str, Experiment] = {}
    try:
        with suppress(Exception):  # if the work cannot be imported, the first job says why
            import_module(sys.argv[1].partition(":")[0])
        while line := jobs.get():
            answer = _answer(Job.from_json(line), read, say)
            busy.clear()
            say(answer)
    except KeyboardInterrupt:
        say({"event": "stopped"})
        return 130
    return 0


def _answer(
    job: Job, read: dict[str, Experiment], say: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    spoken = 0.0

    def progress(event: dict[str, Any]) -> None:
        nonlocal spoken
        if time.monotonic() - spoken > EVERY:
            spoken = time.monotonic()
            say({"event": "progress", **event})

    try:
        import_module(
            job.perform.partition(":")[0]
        )  # it may bring plug-ins that the experiment names
        said = json.dumps(job.experiment)
        if said not in read:
            read[said] = parse(job.experiment)
        return {"event": do(job, read[said], progress)}
    except Exception as error:
        message, exit_code = explain(error)
        return {"event": "failed", "message": message, "exit_code": exit_code}


def _take_stdout() -> IO[str]:
    """Return the real stdout, and let everything that prints to it go to stderr."""
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return own


def _speak(output: IO[str]) -> Callable[[dict[str, Any]], None]:
    def say(event: dict[str, Any]) -> None:
        with suppress(BrokenPipeError):  # the parent is gone: `_listen` ends this process
            print(json.dumps(event, default=float), file=output, flush=True)

    return say


def _listen(jobs: "queue.Queue[str | None]", busy: threading.Event) -> None:
    """Read jobs; if the parent goes while one is being done, interrupt it as Ctrl-C would."""
    for line in sys.stdin:
        busy.set()
        jobs.put(line)
    jobs.put(None)
    if busy.is_set():
        os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    sys.exit(main())
