"""What this machine, or the container on it, has to offer."""

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from scorer.output.manifest import versions
from scorer.run.doctor.finding import Finding, fail, ok, warn
from scorer.settings import Speed

CGROUP = Path("/sys/fs/cgroup")
DEVICES = Path("/dev")

GIB = 2**30
LEAST_MEMORY = 2 * GIB
"""Runs at 64 pixels took up to 1.2 GB, at 224 pixels up to 3.6 GB."""

LEAST_DISK = 2 * GIB
"""Published files are built on the local disk: up to 5 million rows, some 0.5 GB, and their copy on the way out."""


def findings(speed: Speed) -> Iterator[Finding]:
    """Versions, cores, memory, GPUs, disk."""
    shown = ", ".join(f"{name} {version}" for name, version in versions().items())
    yield ok("versions", f"{shown}, Python {platform.python_version()}")
    yield cores(speed, CGROUP)
    yield memory(CGROUP)
    yield gpus(DEVICES)
    yield disk(tempfile.gettempdir())


def cores(speed: Speed, cgroup: Path) -> Finding:
    """Cores that may be used, by affinity and quota."""
    seen, allowed = os.cpu_count() or 1, len(os.sched_getaffinity(0))
    quota = _quota(cgroup)
    usable = min(float(allowed), quota or float(allowed))
    text = f"{usable:g} of {seen} cores may be used" if usable < seen else f"{seen} cores"
    if usable < seen and not speed.decode_threads:
        advice = f"One thread a core is started, {seen} here. Set speed.decode_threads={max(1, round(usable))}."
        return warn("cores", text, advice)
    return ok("cores", text)


def memory(cgroup: Path) -> Finding:
    """Memory that may be used, by the machine and by the limit of the container."""
    total, free = _meminfo("MemTotal"), _meminfo("MemAvailable")
    limit = min(total, _limit(cgroup) or total)
    text = f"{limit / GIB:,.1f} GiB may be used, {min(free, limit) / GIB:,.1f} GiB of it free at most"
    if limit < LEAST_MEMORY:
        return warn("memory", text, "Give the job 2 GiB for images at 64 pixels, 4 GiB at 224.")
    return ok("memory", text)


def gpus(devices: Path) -> Finding:
    """GPUs that the driver shows; whether TensorFlow sees them, the trial says."""
    found = sorted(path.name for path in devices.glob("nvidia[0-9]*"))
    return ok("gpu", f"{len(found)} ({', '.join(found)})" if found else "none; the CPU computes")


def disk(folder: str) -> Finding:
    """The folder for temporary files."""
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"1")
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return fail("disk", error, f"Make {folder} writable, or name another folder in TMPDIR.")
    text = f"{free / GIB:,.1f} GiB free in {folder}"
    if free < LEAST_DISK:
        return warn("disk", text, "Published files are built there. Make room, or name another folder in TMPDIR.")
    return ok("disk", text)


def _quota(cgroup: Path) -> float | None:
    """Cores by the quota of the container: cgroup version 2, then 1."""
    with suppress(OSError, ValueError):
        quota, period = (cgroup / "cpu.max").read_text(encoding="ascii").split()
        return None if quota == "max" else int(quota) / int(period)
    with suppress(OSError, ValueError):
        quota = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text(encoding="ascii")
        period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text(encoding="ascii")
        return int(quota) / int(period) if int(quota) > 0 else None
    return None


def _limit(cgroup: Path) -> int | None:
    """Bytes by the limit of the container: cgroup version 2, then 1."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):  # "max" is no number: no limit
            return int((cgroup / name).read_text(encoding="ascii"))
    return None


def _meminfo(name: str) -> int:
    """Bytes, as the kernel counts them."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":"))
