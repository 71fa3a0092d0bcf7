"""How many workers fit the machine, and their environment. Imports no torch."""

import math
import os
import platform
import sys
from contextlib import suppress
from pathlib import Path

from lmcompare.execution.cell_keys import library_version

ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": "8589934592",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
    "MALLOC_TOP_PAD_": "268435456",
    "MALLOC_MMAP_MAX_": "0",
    "THP_MEM_ALLOC_ENABLE": "1",
}
"""Environment on glibc: a worker keeps freed memory instead of returning it at every step."""


def cpu_count() -> int:
    """Return how many cores this process may use: its affinity, capped by its container's quota."""
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        count = min(count, max(1, math.ceil(int(quota) / int(period))))
    return count


def _uses_accelerator(device: str | None) -> bool:
    """Return whether cells will run on something other than the CPU, as far as torch-free code can
    tell.
    """
    if device is not None:
        return device != "cpu"
    if platform.system() == "Darwin":
        return platform.machine() == "arm64"
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    cpu_build = library_version("torch").endswith("+cpu")
    return Path("/dev/nvidiactl").exists() and not hidden and not cpu_build


def default_workers(device: str | None) -> int:
    """Return one worker for an accelerator; on CPU two, or one for every four cores."""
    return 1 if _uses_accelerator(device) else min(cpu_count(), max(2, cpu_count() // 4))


def worker_environment(workers: int, device: str | None) -> dict[str, str]:
    """Return a worker's environment: this one, its share of the cores, the allocator on CPU."""
    environment = dict(os.environ)
    threads = max(1, cpu_count() // workers)
    limit = environment.get("OMP_NUM_THREADS", "")
    if limit.isdigit() and limit != "0":
        threads = min(threads, int(limit))
    environment["OMP_NUM_THREADS"] = str(threads)
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    if platform.libc_ver()[0] == "glibc" and not _uses_accelerator(device):
        environment = ALLOCATOR | environment
    return environment
