"""Free TCP ports on the loopback."""

import fcntl
import os
import random
import socket
import tempfile
from functools import cache
from pathlib import Path

_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST = 15_000
_claimed: set[int] = set()


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """`count` different ports that nobody listens on now, and that `claim` gives to this process.

    They lie below the range that the kernel gives to outgoing connections: a client that keeps knocking at a
    dead server's port inside that range can be given this very port as its own, connect to itself, and keep
    the server from coming back.
    """
    highest = _first_ephemeral_port()
    candidates = random.SystemRandom().sample(range(_LOWEST, highest), k=highest - _LOWEST)
    chosen: list[int] = []
    for port in candidates:
        if len(chosen) == count:
            break
        if port not in _claimed and is_free(port, host) and claim(port):
            chosen.append(port)
    return chosen


def free_port(host: str = "127.0.0.1") -> int:
    """One such port."""
    return free_ports(1, host)[0]


def claim(port: int) -> bool:
    """Keep `port` from the other processes of this user that choose ports, for as long as this process lives.

    Between choosing a port and listening on it lie seconds, and whoever listens may be restarted. False when another
    process has it. The claim is the lock of one byte in a file, which the kernel takes back from a process that ends;
    where there can't be such a file, nothing is kept.
    """
    file = _claims()
    if file is not None:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except OSError:
            return False
    _claimed.add(port)
    return True


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether nobody listens on `port` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


@cache
def _claims() -> int | None:
    """The file's descriptor, which stays open: closing it would give up all claims."""
    path = Path(tempfile.gettempdir(), f"farshore-ports-{os.getuid()}")
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        return None


def _first_ephemeral_port() -> int:
    try:
        lowest = int(_EPHEMERAL_RANGE.read_text().split()[0])
    except OSError:
        lowest = 32_768
    return lowest if lowest > _LOWEST + 1_000 else 65_535
