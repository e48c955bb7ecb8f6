"""Tasks that end together: where one fails, the others are cancelled, and its failure is raised.

No asyncio.TaskGroup: it cancels the task that waits, which Python 3.11.2 leaves half cancelled, so that the next
time-out there is a cancellation; and what it raises is wrapped in a group.
"""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

Work = Coroutine[Any, Any, object]
T = TypeVar("T")


def failure_of(task: asyncio.Task[T]) -> BaseException | None:
    """What a task that nobody cancelled failed with; a RuntimeError where it ended as cancelled all the same.

    Libraries let out cancellations of their own, and what ends by one would be missing without a word.
    """
    if task.cancelled():
        return RuntimeError(f"{task.get_coro()!r} was cancelled, and nobody asked for that")
    return task.exception()


def result_of(task: asyncio.Task[T]) -> T:
    """What a task that nobody cancelled came to; raises what `failure_of` says."""
    failure = failure_of(task)
    if failure is not None:
        raise failure
    return task.result()


def is_cancelled() -> bool:
    """Whether somebody asked the task that runs this to end; a CancelledError alone doesn't say so."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class Together:
    """The tasks: start some, and `wait` for all; what runs may start further ones."""

    def __init__(self) -> None:
        self._works: set[asyncio.Task[object]] = set()
        self._beside: set[asyncio.Task[object]] = set()
        self._over = asyncio.Event()
        self._ending = False
        self._failure: BaseException | None = None

    def start(self, work: Work, *, beside: bool = False) -> None:
        """Do `work` in a task of its own; what is `beside` the others is cancelled when they have ended."""
        task = asyncio.create_task(work)
        (self._beside if beside else self._works).add(task)
        task.add_done_callback(self._ended)

    async def wait(self) -> None:
        """Until all have ended, or one has failed: that is raised once the others, cancelled, have ended too.

        When this is cancelled, so are they.
        """
        try:
            if self._works:
                await self._over.wait()
        finally:
            self._ending = True
            left = self._works | self._beside
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left)
        if self._failure is not None:
            raise self._failure

    def _ended(self, task: asyncio.Task[object]) -> None:
        self._works.discard(task)
        self._beside.discard(task)
        if not (self._ending and task.cancelled()):
            self._failure = self._failure or failure_of(task)
        if self._failure is not None or not self._works:
            self._over.set()


async def together(*works: Work, beside: Iterable[Work] = ()) -> None:
    """Do `works` at once, as `Together` does; returns when all of them have ended."""
    tasks = Together()
    for work in works:
        tasks.start(work)
    for work in beside:
        tasks.start(work, beside=True)
    await tasks.wait()
