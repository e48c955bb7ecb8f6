"""Starts parts in order, starts again what ends by itself, and ends all in reverse order."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from farshore.errors import FarshoreError, RetryClass
from farshore_cli.supervisor.backoff import next_delay
from farshore_cli.supervisor.part import Notice, Part, PartFailedError, Stage, describe_exit, ended_as_asked
from farshore_cli.tools.child import spawn

_POLL_SECONDS = 0.05
_STARTING_STOP_SECONDS = 1.0
"""How long a part may take to end that isn't ready yet."""


@dataclass(frozen=True, slots=True)
class Process:
    """A running part: what endpoints.json says of it."""

    name: str
    site: str | None
    pid: int
    log: str


@dataclass(slots=True)
class _Running:
    part: Part
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    was_ready: bool = False
    """Since it was started last."""
    watcher: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process is not None and self.process.poll() is None else None


class Supervisor:
    """Keeps the parts of a stack running. Use it from the main thread's event loop only.

    The kernel kills a part when the thread that started it ends (see `tools.child.spawn`), so nothing is left behind
    however this process dies. `tell` is called with what happens, from the loop.
    """

    def __init__(self, tell: Callable[[Notice], None]) -> None:
        self._tell = tell
        self._tiers: list[list[_Running]] = []
        self._hurry = False

    def processes(self) -> list[Process]:
        """What runs now, in the order in which it was started."""
        return [
            Process(running.part.name, running.part.site, running.pid, str(running.part.log_file))
            for running in self._all()
            if running.pid is not None
        ]

    async def start(self, *parts: Part) -> None:
        """Start `parts` at once and return when all are ready; from then on they are kept running.

        Raises PartFailedError for the first that fails; the others are left as they are: call `stop`.
        """
        await self.start_tiers(parts)

    async def start_tiers(self, *tiers: Sequence[Part]) -> None:
        """The same for parts that can start at once, but have to end one tier after the other, the last one first."""
        added = [[_Running(part) for part in tier] for tier in tiers]
        self._tiers += added
        tasks = [asyncio.create_task(self._bring_up(running)) for tier in added for running in tier]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def start_apart(self, part: Part) -> None:
        """Start a part that nobody waits for; it is kept running all the same, and ends before the others."""
        running = _Running(part)
        self._tiers.append([running])
        self._spawn(running)
        running.watcher = asyncio.create_task(self._bring_up_apart(running), name=f"watch {part.name}")

    async def stop(self) -> None:
        """End all parts, last started first; a part that doesn't end in its time is killed."""
        while self._tiers:
            tier = self._tiers[-1]
            await asyncio.gather(*(self._end(running) for running in tier))
            self._tiers.pop()

    async def stop_part(self, name: str) -> None:
        """End one part, and leave it so until `start_part`. Raises KeyError for a name that isn't known."""
        await self._end(self._named(name))

    async def start_part(self, name: str) -> None:
        """Start a part that `stop_part` ended. Raises PartFailedError, KeyError."""
        await self._bring_up(self._named(name))

    def hurry(self) -> None:
        """Make a `stop` that is under way kill instead of wait."""
        self._hurry = True

    def _named(self, name: str) -> _Running:
        for running in self._all():
            if running.part.name == name:
                return running
        raise KeyError(name)

    def _all(self) -> Iterator[_Running]:
        for tier in self._tiers:
            yield from tier

    async def _bring_up(self, running: _Running) -> None:
        self._spawn(running)
        await self._until_ready(running)
        running.watcher = asyncio.create_task(self._watch(running), name=f"watch {running.part.name}")

    async def _bring_up_apart(self, running: _Running) -> None:
        await self._is_well(running)
        await self._watch(running)

    def _spawn(self, running: _Running) -> None:
        part = running.part
        running.process = spawn(
            part.command,
            log_file=part.log_file,
            environ={**os.environ, **part.environ},
            orphaned=part.orphaned,
        )
        running.started_at = time.monotonic()
        running.was_ready = False
        self._tell(Notice(part.name, Stage.STARTING, running.pid))

    async def _until_ready(self, running: _Running) -> None:
        part, process = running.part, running.process
        assert process is not None
        deadline = running.started_at + part.ready_within_seconds
        while not await part.ready():
            if (code := process.poll()) is not None:
                raise PartFailedError(part, f"it ended with {describe_exit(code)}", exit_code=code)
            if time.monotonic() > deadline:
                raise PartFailedError(part, f"not ready after {part.ready_within_seconds:g} s")
            await asyncio.sleep(_POLL_SECONDS)
        if (code := process.poll()) is not None:  # somebody else answered at its address
            raise PartFailedError(part, f"it ended with {describe_exit(code)}", exit_code=code)
        await self._announce_start(part, process.pid, deadline)
        running.was_ready = True
        self._tell(Notice(part.name, Stage.READY, process.pid, f"{time.monotonic() - running.started_at:.1f} s"))

    async def _announce_start(self, part: Part, pid: int, deadline: float) -> None:
        """Whoever has to know of the pid may be starting again itself."""
        while part.started is not None:
            try:
                await part.started(pid)
            except FarshoreError as error:
                if error.retry is not RetryClass.RETRY_SOON or time.monotonic() > deadline:
                    raise PartFailedError(part, f"it answers, but: {error}") from error
            else:
                return
            await asyncio.sleep(_POLL_SECONDS)

    async def _watch(self, running: _Running) -> None:
        delay: float | None = None
        well = True
        while True:
            code = await self._exit_code(running)
            killed = well and code == -signal.SIGKILL
            delay = next_delay(delay, time.monotonic() - running.started_at, killed=killed)
            again = f"{describe_exit(code)}; starting it again in {delay:g} s"
            self._tell(Notice(running.part.name, Stage.ENDED, None, again))
            await self._spawn_again(running, delay)
            well = await self._is_well(running)

    async def _spawn_again(self, running: _Running, delay: float) -> None:
        """After `delay` seconds, and again after as long where the system has no process or no file to spare."""
        while True:
            await asyncio.sleep(delay)
            try:
                self._spawn(running)
            except OSError as error:
                reason = f"can't be started: {error.strerror or error}; trying again in {delay:g} s"
                self._tell(Notice(running.part.name, Stage.ENDED, None, reason))
            else:
                return

    async def _is_well(self, running: _Running) -> bool:
        """Whether a part gets ready, or was only killed by somebody else while it started; else it is killed."""
        try:
            await self._until_ready(running)
        except PartFailedError as failure:
            self._tell(Notice(running.part.name, Stage.STARTING, running.pid, str(failure)))
            self._kill(running)
            return failure.exit_code == -signal.SIGKILL
        return True

    async def _exit_code(self, running: _Running) -> int:
        process = running.process
        assert process is not None
        while True:
            if (code := process.poll()) is not None:
                _kill_group(process.pid)  # its children would have its port
                return code
            await asyncio.sleep(_POLL_SECONDS)

    async def _end(self, running: _Running) -> None:
        if running.watcher is not None:
            running.watcher.cancel()
            await asyncio.gather(running.watcher, return_exceptions=True)
            running.watcher = None
        process = running.process
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
            await self._give_time(running)
        killed = running.pid is not None
        self._kill(running)
        code = await self._exit_code(running)
        running.process = None
        detail = "" if ended_as_asked(code) else describe_exit(code)
        if killed:
            detail = "killed: it didn't end in time" if running.was_ready else "killed: it was still starting"
        self._tell(Notice(running.part.name, Stage.STOPPED, None, detail))

    async def _give_time(self, running: _Running) -> None:
        patience = running.part.stop_within_seconds
        if not running.was_ready:  # it has nothing to lose yet, and Kafka doesn't heed SIGTERM while it starts
            patience = min(patience, _STARTING_STOP_SECONDS)
        deadline = time.monotonic() + patience
        while running.pid is not None:
            if self._hurry or time.monotonic() > deadline:
                return
            await asyncio.sleep(_POLL_SECONDS)

    def _kill(self, running: _Running) -> None:
        if running.pid is not None:
            _kill_group(running.pid)


def _kill_group(leader: int) -> None:
    """Kill a part and what it may have started: it leads a session, and so a process group, of its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
