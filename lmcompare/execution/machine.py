"""What the machine has room for, and what a worker's process is told of it. Knows nothing of torch."""

import math
import os
import platform
import sys
from contextlib import suppress
from pathlib import Path

from lmcompare.execution.plan import version_of

ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": "8589934592",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
    "MALLOC_TOP_PAD_": "268435456",
    "MALLOC_MMAP_MAX_": "0",
    "THP_MEM_ALLOC_ENABLE": "1",
}
"""Environment of a worker on glibc: it keeps freed memory instead of handing it back to the system at every step."""


def cores() -> int:
    """Return how many cores this process may use: those it is bound to, and no more than its container's share."""
    count = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
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
    return (
        Path("/dev/nvidiactl").exists() and not hidden and not version_of("torch").endswith("+cpu")
    )


def room_for(device: str | None) -> int:
    """Return how many workers there is room for: one to an accelerator, else two, or one to four cores."""
    return 1 if _accelerated(device) else min(cores(), max(2, cores() // 4))


def worker_environment(workers: int, device: str | None) -> dict[str, str]:
    """Return the environment of a worker: this one's, its share of the cores, glibc's settings on a CPU."""
    environment = dict(os.environ)
    share = max(1, cores() // workers)
    own = environment.get("OMP_NUM_THREADS", "")
    environment["OMP_NUM_THREADS"] = str(
        min(share, int(own)) if own.isdigit() and own != "0" else share
    )
    environment["PYTHONPATH"] = os.pathsep.join(
        path for path in sys.path if path
    )  # the same packages as here
    if platform.libc_ver()[0] == "glibc" and not _accelerated(device):
        environment = ALLOCATOR | environment
    return environment
