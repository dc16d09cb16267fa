"""A container's limits count where they are below the machine's; what is freed is kept."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scorer import machine


@pytest.fixture
def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    return tmp_path


def test_without_limits_all_cores_of_the_affinity_and_all_memory_may_be_used(cgroup: Path) -> None:
    assert (machine.cores(), machine.usable_cores()) == (8, 8.0)
    (cgroup / "cpu.max").write_text("max 100000\n")
    (cgroup / "memory.max").write_text("max\n")
    assert machine.cores() == 8
    assert machine.memory() == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    ("quota", "usable", "cores"), [("50000", 0.5, 1), ("150000", 1.5, 2), ("200000", 2, 2), ("1600000", 8, 8)]
)
@pytest.mark.parametrize("version", [1, 2])
def test_a_quota_counts_and_a_part_of_a_core_is_one(
    cgroup: Path, version: int, quota: str, usable: float, cores: int
) -> None:
    if version == 2:
        (cgroup / "cpu.max").write_text(f"{quota} 100000\n")
    else:
        (cgroup / "cpu").mkdir()
        (cgroup / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
        (cgroup / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert (machine.usable_cores(), machine.cores()) == (usable, cores)


@pytest.mark.parametrize("name", ["memory.max", "memory/memory.limit_in_bytes"])
def test_a_memory_limit_counts_where_it_is_below_the_machines_memory(cgroup: Path, name: str) -> None:
    whole = machine.memory()
    (cgroup / name).parent.mkdir(exist_ok=True)
    (cgroup / name).write_text(f"{whole // 2}\n")
    assert machine.memory() == whole // 2
    (cgroup / name).write_text(f"{whole * 2}\n")
    assert machine.memory() == whole


def test_busy_seconds_are_those_of_all_processes_without_the_idle_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stat").write_text("cpu  100 20 30 9000 700 4 5 6 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n")
    monkeypatch.setattr(machine, "PROC", tmp_path)
    assert machine.busy_seconds() == 165 / os.sysconf("SC_CLK_TCK")


def test_what_this_process_computes_is_part_of_what_the_machine_does() -> None:
    before, own = machine.busy_seconds(), time.process_time()
    while time.process_time() - own < 0.2:
        sum(range(10_000))
    assert machine.busy_seconds() - before > 0.1


FAULTS = """
import ctypes, resource, threading
from scorer.machine import keep_freed_memory

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.memset.argtypes, libc.free.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t], [ctypes.c_void_p]

def batches():
    for _ in range(10):
        layer = libc.malloc(40 << 20)
        libc.memset(layer, 1, 40 << 20)
        libc.free(layer)

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def measured():
    batches()
    before = faults()
    batches()
    print(faults() - before)

assert keep_freed_memory()
measured()
thread = threading.Thread(target=measured)
thread.start()
thread.join()
"""


def test_memory_that_a_batch_frees_serves_the_next_without_a_page_fault_on_every_thread() -> None:
    answer = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    pages = 10 * (40 << 20) // os.sysconf("SC_PAGE_SIZE")
    main, other = map(int, answer.stdout.split())
    assert max(main, other) < pages / 100
