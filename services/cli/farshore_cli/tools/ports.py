"""Free TCP ports on the loopback."""

import random
import socket
from pathlib import Path

_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST = 15_000


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """`count` different ports that nobody listens on now.

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
        if is_free(port, host):
            chosen.append(port)
    return chosen


def free_port(host: str = "127.0.0.1") -> int:
    """One port that nobody listens on now."""
    return free_ports(1, host)[0]


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether nobody listens on `port` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _first_ephemeral_port() -> int:
    try:
        lowest = int(_EPHEMERAL_RANGE.read_text().split()[0])
    except OSError:
        lowest = 32_768
    return lowest if lowest > _LOWEST + 1_000 else 65_535
