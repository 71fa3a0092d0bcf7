"""How training is stopped and its state is kept: at one step, by all of its processes."""

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


def agreed(accelerator: Accelerator, said: bool) -> bool:
    """Return whether any process says so: a checkpoint is written by all of them, at one step, or hangs."""
    if accelerator.num_processes == 1:
        return said
    return bool(accelerator.reduce(torch.tensor(float(said), device=accelerator.device), "sum") > 0)


def save_checkpoint(accelerator: Accelerator, folder: Path, meter: dict[str, Any]) -> None:
    """Write a checkpoint beside the last one, then put it in its place: a crash leaves one of the two."""
    fresh = folder.with_name(folder.name + ".new")
    accelerator.save_state(str(fresh), safe_serialization=False)
    if accelerator.is_main_process:
        (fresh / "meter.json").write_text(json.dumps(meter))
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    accelerator.wait_for_everyone()


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """Turn Ctrl-C into a flag that the loop looks at between steps, so that no step is torn."""
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    before = signal.signal(signal.SIGINT, lambda *_: flag.set())
    try:
        yield flag
    finally:
        signal.signal(signal.SIGINT, before)
