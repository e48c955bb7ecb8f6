"""What a supervised process is, and what is said about it."""

import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from farshore.errors import FarshoreError, RetryClass
from farshore_cli.tools.child import tail


@dataclass(frozen=True, slots=True)
class Part:
    """One process of a stack. `environ` is added to the parent's environment."""

    name: str
    command: tuple[str, ...]
    log_file: Path
    ready: Callable[[], Awaitable[bool]]
    """Asked until it says True; answers False, and raises nothing, while the part isn't there yet."""
    site: str | None = None
    environ: Mapping[str, str] = field(default_factory=dict)
    started: Callable[[int], Awaitable[None]] | None = None
    """Called with the pid after each start, before the part counts as ready; again while it raises "retry soon"."""
    ready_within_seconds: float = 120.0
    stop_within_seconds: float = 30.0
    orphaned: signal.Signals = signal.SIGKILL
    """What the kernel sends it when the supervisor dies: a process that has children of its own has to end them."""


class Stage(StrEnum):
    """Where a part is in its life."""

    STARTING = "starting"
    READY = "ready"
    ENDED = "ended"
    """By itself: it is started again."""
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that happened to a part; `detail` is for people."""

    part: str
    stage: Stage
    pid: int | None
    detail: str = ""


class PartFailedError(FarshoreError):
    """A part that ended while starting or didn't become ready; the message shows the end of its log."""

    def __init__(self, part: Part, reason: str, *, exit_code: int | None = None) -> None:
        super().__init__(
            "start",
            part.name,
            f"{reason}; the end of {part.log_file}:\n{tail(part.log_file)}",
            retry=RetryClass.OPERATOR,
        )
        self.exit_code = exit_code


_AS_ASKED = (0, -signal.SIGTERM, 128 + signal.SIGTERM)
"""Exit codes of a process that ended on SIGTERM: by itself, by the signal, or as Java's runtime says it."""


def ended_as_asked(code: int) -> bool:
    """Whether a process that was sent SIGTERM ended in order."""
    return code in _AS_ASKED


def describe_exit(code: int) -> str:
    """`exit code 78`, or `signal SIGKILL`."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
