"""Room for connections: each is an open file, and a process begins with few of them."""

import logging
import resource

from farshore.telemetry import event

log = logging.getLogger(__name__)

_KEPT_FREE = 128
"""For Kafka, logs, libraries."""


def room_for_connections(wanted: int) -> int:
    """Raise this process's limit of open files as far as it may; how many of `wanted` connections fit then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + wanted // 8 + _KEPT_FREE
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    room = max(1, (soft - _KEPT_FREE) * 8 // 9)
    event(log, logging.WARNING, "fewer connections: the limit of open files is low", connections=room, open_files=soft)
    return room
