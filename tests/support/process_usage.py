"""What a process has used, as Linux counts it."""

import os
from pathlib import Path


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    """Resident memory of a process."""
    return _status_mib(pid, "VmRSS")


def most_resident_mib(pid: int) -> float:
    """The most that its resident memory has been."""
    return _status_mib(pid, "VmHWM")


def forget_most_resident(pid: int) -> None:
    """Let `most_resident_mib` begin anew. Source: proc(5), clear_refs."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _status_mib(pid: int, name: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024
