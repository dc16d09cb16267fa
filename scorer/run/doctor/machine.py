"""What this machine, or the container on it, has to offer."""

import platform
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from scorer import machine
from scorer.output.manifest import versions
from scorer.run.doctor.finding import Finding, fail, ok, warn

DEVICES = Path("/dev")

GIB = 2**30
LEAST_MEMORY = 2 * GIB
"""Runs at 64 pixels took up to 1.2 GB, at 224 pixels up to 3.6 GB."""

LEAST_DISK = 2 * GIB
"""Published files are built on the local disk: up to 5 million rows, some 0.5 GB, and their copy on the way out."""


def findings() -> Iterator[Finding]:
    """Versions, cores, memory, GPUs, disk."""
    shown = ", ".join(f"{name} {version}" for name, version in versions().items())
    yield ok("versions", f"{shown}, Python {platform.python_version()}")
    yield cores()
    yield memory()
    yield gpus(DEVICES)
    yield disk(tempfile.gettempdir())


def cores() -> Finding:
    """Cores that may be used, by affinity and quota."""
    usable, seen = machine.usable_cores(), machine.all_cores()
    return ok("cores", f"{usable:g} of {seen} cores may be used" if usable < seen else f"{seen} cores")


def memory() -> Finding:
    """Memory that may be used, by the machine and by the limit of the container."""
    limit = machine.memory()
    text = f"{limit / GIB:,.1f} GiB may be used, {min(machine.free_memory(), limit) / GIB:,.1f} GiB of it free at most"
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
