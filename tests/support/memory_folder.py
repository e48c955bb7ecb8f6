"""Whether the tests' files can lie in memory: on disk, simulated clusters above all take long."""

import os
from pathlib import Path

_FOLDER = Path("/dev/shm")  # noqa: S108 - pytest makes a folder of the user's own below it
_NEEDED_BYTES = 12 * 1024**3
"""Several times what tests have there at once (a test of pulls has 2 GiB), so that processes have room beside them."""


def memory_folder(needed: int = _NEEDED_BYTES) -> Path | None:
    """A folder in memory, where one has `needed` bytes to spare and lets programs run; None where there is none."""
    try:
        found = os.statvfs(_FOLDER)
    except OSError:
        return None
    if found.f_flag & (os.ST_NOEXEC | os.ST_RDONLY) or not os.access(_FOLDER, os.W_OK):
        return None
    return _FOLDER if min(found.f_bavail * found.f_frsize, available_memory()) >= needed else None


def available_memory() -> int:
    """Bytes that processes may still take, of the machine and of this process's container.

    Source: proc_meminfo(5); the kernel's cgroup-v2.rst and cgroup-v1/memory.rst.
    """
    available = _counts(Path("/proc/meminfo")).get("MemAvailable", 0) * 1024
    for group, limit, used, stat, reclaimable in (
        (Path("/sys/fs/cgroup"), "memory.max", "memory.current", "memory.stat", "inactive_file"),
        (
            Path("/sys/fs/cgroup/memory"),
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
            "memory.stat",
            "total_inactive_file",
        ),
    ):
        try:
            most, now = int((group / limit).read_text()), int((group / used).read_text())
        except (OSError, ValueError):  # not this kind of group, or "max"
            continue
        available = min(available, most - now + _counts(group / stat).get(reclaimable, 0))
    return available


def _counts(file: Path) -> dict[str, int]:
    """Names and numbers of a file with one of each a line."""
    try:
        lines = [line.replace(":", " ").split() for line in file.read_text().splitlines()]
    except OSError:
        return {}
    return {words[0]: int(words[1]) for words in lines if len(words) > 1 and words[1].isdecimal()}
