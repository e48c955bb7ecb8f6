"""Child processes that never outlive their parent."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def spawn(
    command: Sequence[str],
    *,
    log_file: Path,
    environ: Mapping[str, str] | None = None,
    orphaned: signal.Signals = signal.SIGKILL,
) -> subprocess.Popen[bytes]:
    """Start `command` with its output appended to `log_file`.

    The kernel sends the child the signal `orphaned` when this process dies, however it dies. It watches the *thread*
    that calls spawn: call it from the main thread, or from one that lives as long as the child should.
    The child has its own session, so that Ctrl-C reaches only the parent, which ends its children in order.
    """
    log_file.parent.mkdir(parents=True, exist_ok=True)
    parent = os.getpid()

    def tie_to_parent() -> None:
        if _LIBC is None:
            return
        _LIBC.prctl(_PR_SET_PDEATHSIG, orphaned)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    with log_file.open("ab") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=None if environ is None else dict(environ),
            start_new_session=True,
            preexec_fn=tie_to_parent,
        )


def end(process: subprocess.Popen[bytes], *, within_seconds: float) -> int:
    """Ask `process` to end, kill it when it has not within `within_seconds`, and return its exit code."""
    if process.poll() is None:
        process.terminate()
        try:
            return process.wait(within_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


def tail(log_file: Path, lines: int = 20) -> str:
    """The last lines of a log, for an error message."""
    if not log_file.exists():
        return "(no log)"
    with log_file.open("rb") as log:
        log.seek(0, os.SEEK_END)
        log.seek(max(0, log.tell() - 64 * 1024))
        text = log.read().decode(errors="replace")
    return "\n".join(text.splitlines()[-lines:]) or "(empty log)"
