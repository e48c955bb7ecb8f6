"""The worker's side of the pipes to the process that looks after it (`workers.py`)."""

import asyncio
import os
import sys

from farshore.service import Service
from farshore.together import together
from farshore_receiver.serve import receive
from farshore_receiver.settings import ReceiverSettings

WORKER = "--worker"
"""The argument that makes a process a worker."""
READY = b"ready\n"
NOT_READY = b"not ready\n"
BEATS = 10
"""How often a worker says one of these within its time-out."""


async def work(service: Service, settings: ReceiverSettings) -> None:
    """Receive, tell on standard output whether Kafka can be written to, again and again, and stop when standard input
    ends.

    Standard input ends with the process that looks after this one, however that ended: no worker is left behind.
    """
    os.set_blocking(sys.stdout.fileno(), False)

    def tell() -> None:
        try:
            os.write(sys.stdout.fileno(), READY if service.ready else NOT_READY)
        except BlockingIOError:  # a full pipe: who looks after this process stands still
            pass
        except OSError:  # nobody listens any more, and standard input says so too
            service.stopping.set()

    def report(ready: bool) -> None:
        if ready != service.ready:
            service.ready = ready
            tell()

    async def beat() -> None:
        while True:
            tell()
            await asyncio.sleep(settings.worker_timeout / BEATS)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: _UntilItEnds(service.stopping), sys.stdin)
    try:
        await together(receive(service, settings, report), beside=[beat()])
    finally:
        transport.close()


class _UntilItEnds(asyncio.Protocol):
    def __init__(self, ended: asyncio.Event) -> None:
        self._ended = ended

    def connection_lost(self, _error: Exception | None) -> None:
        self._ended.set()
