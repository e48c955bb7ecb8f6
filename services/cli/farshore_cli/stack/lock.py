"""One `farshore up` at a time for a state folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from farshore.errors import ConfigurationError


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold the lock in `file`; the kernel lets go of it however the holder ends. Raises ConfigurationError."""
    with file.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            raise ConfigurationError(
                "lock",
                str(file.parent),
                f"farshore runs there already, as process {holder}",
                hint="end that one, or give another --state-dir",
            ) from None
        handle.truncate(0)
        handle.write(f"{os.getpid()}\n")
        handle.flush()
        yield
