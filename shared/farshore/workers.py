"""A bounded set of threads for calls that block: one cluster's client, one volume's files.

Not `ThreadPoolExecutor`: the interpreter waits for its threads at exit, so that a cluster or a volume that
doesn't answer would hold a service's end.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from farshore.errors import FarshoreError, RetryClass

Connection = TypeVar("Connection")
Result = TypeVar("Result")


class Workers(Generic[Connection]):
    """At most `size` daemon threads, each with its own connection from `connect`; further work waits its turn.

    What `connect` raises is raised by the work that it was needed for; the next tries again.
    """

    def __init__(
        self,
        name: str,
        size: int,
        connect: Callable[[], Connection],
        disconnect: Callable[[Connection], None] = lambda _connection: None,
    ) -> None:
        self._name = name
        self._size = size
        self._connect = connect
        self._disconnect = disconnect
        self._tasks: queue.SimpleQueue[tuple[Future[Any], Callable[[Connection], Any]] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._unfinished = 0
        self._counting = threading.Lock()
        self._closed = False

    async def run(self, work: Callable[[Connection], Result]) -> Result:
        """What `work` returns or raises, done in one of the threads. A caller that is cancelled while its work waits
        spares it; work that has begun goes on to its end unheard."""
        if self._closed:
            raise FarshoreError("call", self._name, "the client is closed", retry=RetryClass.FINAL)
        future: Future[Result] = Future()
        self._count(1)
        future.add_done_callback(lambda _future: self._count(-1))  # also of work that nobody waits for any more
        if self._unfinished > len(self._threads) < self._size:
            self._start()
        self._tasks.put((future, work))
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Let each thread end after what it is doing; does not wait for them."""
        self._closed = True
        for _ in self._threads:
            self._tasks.put(None)

    def _count(self, change: int) -> None:
        with self._counting:
            self._unfinished += change

    def _start(self) -> None:
        thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _serve(self) -> None:
        connection: Connection | None = None
        while (task := self._tasks.get()) is not None:
            future, work = task
            if not future.set_running_or_notify_cancel():
                continue
            try:
                if connection is None:
                    connection = self._connect()
                future.set_result(work(connection))
            except BaseException as error:  # noqa: BLE001 - the caller's to handle, whatever it is
                future.set_exception(error)
        if connection is not None:
            self._disconnect(connection)
