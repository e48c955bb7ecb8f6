"""Stop the processes that write to a volume for the moment in which a snapshot is taken.

A process is named by its pid and its start time, so that a reused pid is never touched.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

STOP_WITHIN_SECONDS = 2.0
STOPPED_AT_MOST_SECONDS = 10.0


class Writer(NamedTuple):
    """A process that writes: `start_ticks` is field 22 of /proc/<pid>/stat (proc(5)), clock ticks since boot."""

    pid: int
    start_ticks: int


@dataclass(slots=True)
class Freeze:
    """Whether the writers stayed stopped: False when the upper bound let them go on early."""

    held: bool = True


class FreezeError(Exception):
    """The writers couldn't be stopped in time."""


def _fields(path: Path) -> list[str]:
    # The command name, field 2, is in parentheses and may hold anything; the fields after it start with the state.
    return path.read_text(errors="replace").rpartition(")")[2].split()


def find_writer(pid: int) -> Writer | None:
    """The process that has this pid now, or None."""
    try:
        fields = _fields(Path(f"/proc/{pid}/stat"))
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else Writer(pid, int(fields[19]))


def living(writers: Iterable[Writer]) -> list[Writer]:
    """Those that still run under the same start time."""
    return [writer for writer in writers if find_writer(writer.pid) == writer]


def resume(writers: Iterable[Writer]) -> None:
    """Let stopped processes go on; harmless for those that run."""
    for writer in living(writers):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(writer.pid, signal.SIGCONT)


def _all_threads_stopped(pid: int) -> bool:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return True
    for task in tasks:
        try:
            if _fields(task / "stat")[0] not in "TtZX":
                return False
        except (FileNotFoundError, ProcessLookupError):
            continue
    return True


@contextlib.contextmanager
def frozen(writers: Sequence[Writer], at_most_seconds: float = STOPPED_AT_MOST_SECONDS) -> Iterator[Freeze]:
    """Hold `writers` stopped for the body, but never longer than `at_most_seconds`.

    Raises FreezeError if they don't all stop in time. They run again whatever happens in the body.
    """
    freeze = Freeze()
    alive = living(writers)

    def let_go() -> None:
        freeze.held = False
        resume(alive)

    guard = threading.Timer(at_most_seconds, let_go)
    guard.daemon = True
    guard.start()
    try:
        for writer in alive:
            try:
                os.kill(writer.pid, signal.SIGSTOP)
            except ProcessLookupError:
                continue
            except PermissionError as error:
                raise FreezeError(f"not allowed to stop process {writer.pid}") from error
        deadline = time.monotonic() + min(STOP_WITHIN_SECONDS, at_most_seconds)
        while not all(_all_threads_stopped(writer.pid) for writer in alive):
            if time.monotonic() > deadline:
                raise FreezeError("the writers did not stop in time")
            time.sleep(0.0005)
        yield freeze
    finally:
        guard.cancel()
        resume(alive)
