"""A value that is made of files, and made again when they change: certificates, passwords and tokens are rotated."""

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from farshore.errors import ConfigurationError
from farshore.secrets import read_secret
from farshore.telemetry.logs import event

log = logging.getLogger(__name__)

T = TypeVar("T")
_LOOK_AGAIN_SECONDS = 1.0


class Reread(Generic[T]):
    """Call it for the value. `make` raises ConfigurationError; at the start that is the caller's.

    Later the last good value stays in force: while files are exchanged one by one they may not fit for a moment. The
    files are looked at once a second at most.
    """

    def __init__(
        self, paths: Sequence[Path], make: Callable[[], T], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._paths = paths
        self._make = make
        self._monotonic = monotonic
        self._seen = signatures(self._paths)
        self._value = make()
        self._next_look = monotonic() + _LOOK_AGAIN_SECONDS

    def __call__(self) -> T:
        """The value as the files are now."""
        now = self._monotonic()
        if now >= self._next_look:
            self._next_look = now + _LOOK_AGAIN_SECONDS
            seen = signatures(self._paths)
            if seen != self._seen:
                self._seen = seen
                self._make_again()
        return self._value

    def _make_again(self) -> None:
        try:
            self._value = self._make()
        except ConfigurationError as error:
            event(log, logging.ERROR, "a changed file can't be used, what was there before stays", reason=str(error))
        else:
            event(log, logging.INFO, "read again", files=[str(path) for path in self._paths])


def kept_secret(reference: str, *, setting: str) -> Reread[str]:
    """The secret behind `reference`; one in a file is read again when that changes."""
    kind, _, place = reference.partition(":")
    return Reread([Path(place)] if kind == "file" else [], lambda: read_secret(reference, setting=setting))


Signature = tuple[int, int, int]
"""What changes when a file is replaced or rewritten."""


def signatures(paths: Sequence[Path]) -> list[Signature | None]:
    """Each file's, as it is now; None where there is none."""
    return [_signature(path) for path in paths]


def _signature(path: Path) -> Signature | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
