"""`farshore up` as a process of its own, for tests that use, break or end a whole stack."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from farshore_cli.stack.layout import Layout
from farshore_cli.stack.ports import remembered_ports
from farshore_cli.tools.ports import claim

_UP_WITHIN_SECONDS = 500.0
_DOWN_WITHIN_SECONDS = 300.0


class LocalStack:
    """A stack in `state_dir`. As a context manager it is up inside, and killed after. `environ` is added to what its
    services see."""

    def __init__(self, state_dir: Path, *options: str, environ: Mapping[str, str] | None = None) -> None:
        self.state_dir = state_dir
        self._options = options
        self._environ = {**os.environ, **(environ or {})}
        self._process: subprocess.Popen[str] | None = None
        self._output = state_dir.with_name(f"{state_dir.name}.output")

    @property
    def endpoints(self) -> dict[str, Any]:
        """endpoints.json as it stands."""
        document: dict[str, Any] = json.loads((self.state_dir / "endpoints.json").read_text())
        return document

    @property
    def pid(self) -> int:
        """The process of `farshore up`."""
        assert self._process is not None
        return self._process.pid

    @property
    def output(self) -> str:
        """What `farshore up` printed so far, this run and earlier ones."""
        return self._output.read_text()

    def pid_of(self, part: str) -> int:
        """The process of a part, as endpoints.json has it."""
        return next(int(process["pid"]) for process in self.endpoints["processes"] if process["name"] == part)

    def log_of(self, part: str) -> str:
        """What a part printed."""
        return Layout(self.state_dir).log_file(part).read_text()

    def start(self) -> Self:
        """Return when endpoints.json is there; fails with what was printed."""
        command = [sys.executable, "-m", "farshore_cli", "up", "--state-dir", str(self.state_dir), *self._options]
        with self._output.open("a") as output:
            self._process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, text=True, env=self._environ
            )
        deadline = time.monotonic() + _UP_WITHIN_SECONDS
        while not (self.state_dir / "endpoints.json").exists():
            assert self._process.poll() is None, f"farshore up ended: {self.output}"
            assert time.monotonic() < deadline, f"farshore up is not ready: {self.output}"
            time.sleep(0.05)
        return self

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """End it in order; returns its exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        code = self._process.wait(_DOWN_WITHIN_SECONDS)
        self._keep_ports()
        return code

    def kill(self) -> None:
        """End it as a crash would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._keep_ports()
        (self.state_dir / "endpoints.json").unlink(missing_ok=True)

    def _keep_ports(self) -> None:
        """The next start is to find its ports free, whatever other tests start meanwhile."""
        for port in remembered_ports(Layout(self.state_dir).ports_file).values():
            claim(port)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()


def is_running(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def children(pid: int) -> list[int]:
    """The processes that `pid` started and that still run; none where it has ended."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def kill(pid: int) -> None:
    """kill -9."""
    os.kill(pid, signal.SIGKILL)
