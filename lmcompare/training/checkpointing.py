"""Checkpoints of a run, and its interruption: at one step, by all of its processes."""

import json
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator


def any_process(accelerator: Accelerator, flag: bool) -> bool:
    """Return whether the flag of any process is set, so that all save at one step, or none does."""
    if accelerator.num_processes == 1:
        return flag
    return bool(accelerator.reduce(torch.tensor(float(flag), device=accelerator.device), "sum") > 0)


def save_checkpoint(accelerator: Accelerator, folder: Path, progress: dict[str, Any]) -> None:
    """Write a checkpoint beside the last one, then replace it: a crash leaves one of the two."""
    new = folder.with_name(folder.name + ".new")
    accelerator.save_state(str(new), safe_serialization=False)
    if accelerator.is_main_process:
        (new / "meter.json").write_text(json.dumps(progress))
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)
    accelerator.wait_for_everyone()


def load_checkpoint(accelerator: Accelerator, folder: Path) -> dict[str, Any] | None:
    """Restore what was saved and return its ``progress``; None if there is no checkpoint."""
    if not (folder / "meter.json").is_file():
        return None
    accelerator.load_state(str(folder))
    progress: dict[str, Any] = json.loads((folder / "meter.json").read_text())
    return progress


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """Turn Ctrl-C into a flag that the loop reads between steps, so that no step is torn."""
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return
    previous = signal.signal(signal.SIGINT, lambda *_: interrupted.set())
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, previous)
