"""A network of one's own: Ray binds to every address that it finds, and nobody else shall reach it."""

import fcntl
import socket
import struct


def bring_up() -> None:
    """In a new network namespace loopback starts down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, 0x8914, struct.pack("16sh", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS: IFF_UP, IFF_RUNNING


def is_alone() -> bool:
    """Whether this process has loopback and nothing else."""
    return [name for _, name in socket.if_nameindex()] == ["lo"]
