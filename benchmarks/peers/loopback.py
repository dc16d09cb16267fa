"""A network namespace of one's own has loopback and nothing else, and that one starts down. Needs nothing of ours.

    unshare --net python -m benchmarks.peers.loopback MODULE ARGUMENTS...

runs a module there. At its end the CPU seconds of its own process, without those that it started, are written to the
file that BENCH_OWN_CPU names.
"""

import fcntl
import os
import runpy
import socket
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path


def bring_up() -> None:
    """Outside of such a namespace this changes nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh", b"lo", 0x1 | 0x40)  # IFF_UP | IFF_RUNNING
        with suppress(PermissionError):
            fcntl.ioctl(control, 0x8914, request)  # SIOCSIFFLAGS


if __name__ == "__main__":
    bring_up()
    del sys.argv[0]
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    finally:
        if note := os.environ.get("BENCH_OWN_CPU"):
            Path(note).write_text(str(time.process_time()))
