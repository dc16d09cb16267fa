"""One process in an image's files as a careful cluster would run it: no rights, no network, a read-only root."""

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CAPABILITIES = ("bounding", "effective", "inheritable", "permitted", "ambient")
HIDDEN = ("/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/proc/scsi")
READ_ONLY = ("/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
NO_CONTROL_GROUPS = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"', "sh")
"""Limits of memory and processor are the cluster's to set. crun refuses a machine that mixes versions 1 and 2 even when
it is told to use neither; so it is shown neither."""

DATA = "/data"
"""The one folder that outlives the process."""


@dataclass(frozen=True)
class Ended:
    """How a process ended. `seconds` is time by the clock."""

    code: int
    output: str
    seconds: float


def specification(
    image: Mapping[str, Any], root: Path, data: Path, arguments: Sequence[str], entrypoint: Sequence[str] | None = None
) -> dict[str, Any]:
    """A container by the OCI runtime specification 1.0.2.

    Args:
        image: the image's own configuration: user, environment, entrypoint, working directory.
        root: the image's files.
        data: a folder of the machine, shown as `DATA`.
        arguments: what follows the entrypoint.
        entrypoint: instead of the image's own.
    """
    uid, _, gid = str(image["User"]).partition(":")
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {"uid": int(uid), "gid": int(gid or uid)},
            "args": [*(image["Entrypoint"] if entrypoint is None else entrypoint), *arguments],
            "env": list(image["Env"]),
            "cwd": image["WorkingDir"],
            "capabilities": {kind: [] for kind in CAPABILITIES},
            "noNewPrivileges": True,
        },
        "root": {"path": str(root), "readonly": True},
        "hostname": "scorer",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {
                "destination": "/sys",
                "type": "sysfs",
                "source": "sysfs",
                "options": ["ro", "nosuid", "noexec", "nodev"],
            },
            _tmpfs("/dev", "mode=755", "size=65536k", "nosuid", "strictatime"),
            _tmpfs("/dev/shm", "mode=1777", "size=65536k", "nosuid", "noexec", "nodev"),
            _tmpfs("/tmp", "mode=1777", "nosuid", "nodev"),
            {"destination": DATA, "type": "bind", "source": str(data), "options": ["rbind", "rw", "nosuid", "nodev"]},
        ],
        "linux": {
            # A network namespace of its own with nothing in it: the demo says that nothing is sent anywhere.
            "namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts", "network")],
            "maskedPaths": list(HIDDEN),
            "readonlyPaths": list(READ_ONLY),
        },
    }


def run(specified: Mapping[str, Any], folder: Path, *, echo: bool = False) -> Ended:
    """Start it by crun and wait.

    Args:
        specified: what `specification` gave.
        folder: for the runtime's own files.
        echo: print every line as it comes, too.
    """
    bundle = folder / "bundle"
    bundle.mkdir(parents=True, exist_ok=True)
    (bundle / "config.json").write_text(json.dumps(specified), encoding="utf-8")
    name = f"scorer-{uuid.uuid4().hex[:12]}"
    command = [*NO_CONTROL_GROUPS, "crun", "--root", str(folder / "crun"), "--cgroup-manager=disabled", "run"]
    command += ["--bundle", str(bundle), name]
    started, lines = time.monotonic(), []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if echo:
                sys.stdout.write(line)
                sys.stdout.flush()
    return Ended(process.returncode, "".join(lines), time.monotonic() - started)


def _tmpfs(destination: str, *options: str) -> dict[str, Any]:
    return {"destination": destination, "type": "tmpfs", "source": "tmpfs", "options": list(options)}
