"""Several receivers behind one port, and the process that looks after them.

Each worker listens on the same port by itself (SO_REUSEPORT): the kernel shares out connections, and a worker that dies
takes only its own along. This process holds the port, starts again what ended, and answers for all at the management
port: their counters added up, ready while at least one is.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from starlette.requests import Request
from starlette.responses import Response

from farshore.errors import ConfigurationError
from farshore.service import EX_CONFIG, Service, address_of, open_listener, serve_http
from farshore.telemetry import event
from farshore_receiver.metrics import replaced_workers
from farshore_receiver.settings import ReceiverSettings
from farshore_receiver.worker import READY, WORKER

log = logging.getLogger(__name__)

_LIVED_WELL_SECONDS = 10.0
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
_START_SECONDS = 120.0
"""Until a worker's first word; a slow machine needs some of that."""
_SILENCES = 2
"""In so many parts its time-out has to pass: when this process itself stood still, it reads what was said meanwhile
before it judges."""
_STOP_SECONDS = 9.0
"""A clean stop takes less; what takes longer is killed before the supervisor of this process loses its patience."""


async def look_after_workers(service: Service, settings: ReceiverSettings) -> None:
    """Have `settings.workers` workers until the service stops. Raises ConfigurationError for their settings too."""
    with tempfile.TemporaryDirectory(prefix="farshore-receiver-") as metrics_folder, _held_port(service) as address:
        environ = {**os.environ, "FARSHORE_LISTEN": address, "PROMETHEUS_MULTIPROC_DIR": metrics_folder}
        workers = Workers(service, environ, metrics_folder, settings.worker_timeout)

        async def metrics(_request: Request) -> Response:
            registry = CollectorRegistry()
            MultiProcessCollector(registry, path=metrics_folder)  # type: ignore[no-untyped-call]
            registry.register(replaced_workers)
            return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

        tasks = [asyncio.create_task(workers.keep_running(number)) for number in range(settings.workers)]
        tasks.append(asyncio.create_task(serve_http(service, listen=settings.management_listen, metrics=metrics)))
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        service.stopping.set()
        await asyncio.wait(tasks)
        for task in tasks:
            task.result()


@contextlib.contextmanager
def _held_port(service: Service) -> Iterator[str]:
    """The address that the workers share, kept from others: bound, and not listened on, so no connection comes here."""
    listener = open_listener(service.settings.listen, share_port=True)
    with socket.socket(listener.family) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(listener.getsockname())
        listener.close()
        yield address_of(holder)


class Workers:
    """The processes, by their numbers."""

    def __init__(
        self, service: Service, environ: Mapping[str, str], metrics_folder: str, timeout_seconds: float
    ) -> None:
        self._service = service
        self._environ = environ
        self._metrics_folder = metrics_folder
        self._timeout = timeout_seconds
        self._ready: set[int] = set()
        self._hung: set[int] = set()
        self._worked = False
        """Whether a worker was ready once."""

    async def keep_running(self, number: int) -> None:
        """Have worker `number` for as long as the service runs, then end it."""
        stopping = self._service.stopping
        pause = _FIRST_PAUSE_SECONDS
        while not stopping.is_set():
            started = time.monotonic()
            code = await self._run_one(number)
            if stopping.is_set():
                break
            if code == EX_CONFIG and not self._worked:  # later the others go on: what is wrong now wasn't at the start
                raise ConfigurationError("start worker", str(number), "it refused its settings, see its own line")
            event(log, logging.ERROR, "a worker ended, another one is started", worker=number, code=code)
            replaced_workers.labels("hung" if number in self._hung else "ended").inc()
            self._hung.discard(number)
            pause = _FIRST_PAUSE_SECONDS if time.monotonic() - started > _LIVED_WELL_SECONDS else pause * 2
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), min(pause, _LONGEST_PAUSE_SECONDS))

    async def _run_one(self, number: int) -> int:
        """The exit code of one process."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "farshore_receiver",
            WORKER,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=self._environ,
        )
        event(log, logging.INFO, "worker started", worker=number, worker_pid=process.pid)
        end = asyncio.create_task(_end_with(self._service.stopping, process))
        try:
            assert process.stdout is not None
            if not await self._listen(number, process.stdout):
                event(log, logging.ERROR, "a worker hangs, it is killed", worker=number, worker_pid=process.pid)
                self._hung.add(number)
                process.kill()
            return await process.wait()
        finally:
            end.cancel()
            self._tell(number, False)
            mark_process_dead(process.pid, self._metrics_folder)  # type: ignore[no-untyped-call]

    async def _listen(self, number: int, said: asyncio.StreamReader) -> bool:
        """Take in what a worker says; False when it hangs, True when it says no more because it ends."""
        silences, patience = 0, _START_SECONDS
        while True:
            try:
                async with asyncio.timeout(patience / _SILENCES):
                    line = await said.readline()
            except TimeoutError:
                silences += 1
                if silences == _SILENCES:
                    return False
                continue
            if not line:
                return True
            self._tell(number, line == READY)
            silences, patience = 0, self._timeout

    def _tell(self, number: int, ready: bool) -> None:
        (self._ready.add if ready else self._ready.discard)(number)
        self._service.ready = bool(self._ready)
        self._worked = self._worked or ready


async def _end_with(stopping: asyncio.Event, process: asyncio.subprocess.Process) -> None:
    """SIGTERM when the service stops, SIGKILL to what doesn't end by that."""
    await stopping.wait()
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
        await asyncio.sleep(_STOP_SECONDS)
        process.kill()
