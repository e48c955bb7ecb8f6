"""Runs work that has to be ended in order, whatever ends it: the shared frame of `up` and `demo`."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from farshore_cli import exit_codes

T = TypeVar("T")
_LOOPBACK = "127.0.0.1,localhost"


@dataclass(slots=True)
class Interruption:
    """Which signal asked for the end, if any."""

    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    cause: signal.Signals | None = None
    again: Callable[[], None] | None = None
    """Called on every further signal."""

    def arrived(self, number: signal.Signals) -> None:
        """A signal came."""
        if self.cause is not None and self.again is not None:
            self.again()
        self.cause = self.cause or number
        self.wanted.set()

    @property
    def exit_code(self) -> int:
        """Ctrl-C is told apart from SIGTERM, which is how a supervisor ends a service that did nothing wrong."""
        return exit_codes.INTERRUPTED if self.cause is signal.SIGINT else exit_codes.OK


def run_until_interrupted(main: Callable[[Interruption], Awaitable[int]]) -> int:
    """Run `main`, which ends soon after `wanted` is set; returns its exit code."""
    # requests, below netapp-ontap, would otherwise send calls to 127.0.0.1 to a proxy
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(filter(None, [os.environ.get("NO_PROXY"), _LOOPBACK]))

    async def with_signals() -> int:
        interruption = Interruption()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, interruption.arrived, number)
        return await main(interruption)

    return asyncio.run(with_signals())


async def unless_interrupted(work: Coroutine[Any, Any, T], interruption: Interruption) -> T | None:
    """Do `work` and return its result; on a signal cancel it and return None, unless it ended by itself."""
    task = asyncio.create_task(work)
    waiter = asyncio.create_task(interruption.wanted.wait())
    try:
        await asyncio.wait({task, waiter}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0)  # work that waits for the same signal may end by itself
        if not task.done():
            task.cancel()
        await asyncio.wait({task})
        return None if task.cancelled() else task.result()
    finally:
        waiter.cancel()
