"""What a worker is told of the machine."""

import pytest

from lmcompare.execution import machine
from lmcompare.execution.machine import cpu_count, worker_environment


def test_a_worker_has_its_share_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cpu_count", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("MALLOC_TOP_PAD_", raising=False)
    assert worker_environment(2, "cpu")["OMP_NUM_THREADS"] == "4"
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert worker_environment(2, "cpu")["OMP_NUM_THREADS"] == "1"
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    assert worker_environment(2, "cpu")["OMP_NUM_THREADS"] == "4"
    assert "MALLOC_TOP_PAD_" not in worker_environment(1, "cuda")
    monkeypatch.setattr(machine.platform, "libc_ver", lambda: ("glibc", "2.36"))
    assert worker_environment(2, "cpu")["MALLOC_TOP_PAD_"] == "268435456"
    monkeypatch.setenv("MALLOC_TOP_PAD_", "1")
    assert worker_environment(2, "cpu")["MALLOC_TOP_PAD_"] == "1"
    monkeypatch.setattr(machine.platform, "libc_ver", lambda: ("", ""))
    monkeypatch.delenv("MALLOC_TOP_PAD_")
    assert "MALLOC_TOP_PAD_" not in worker_environment(2, "cpu")
    assert cpu_count() >= 1
