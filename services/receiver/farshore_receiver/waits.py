"""Waiting with a limit, thousands of times a second: one timer for all waits in place of one for each."""

import asyncio
from collections import deque

Outcome = Exception | None
"""How what was waited for ended: None is well, TimeoutError is that it hasn't."""


class Waits:
    """Futures that end by themselves with a TimeoutError, as their result, after the same number of seconds.

    They run out in the order in which they began, so that the oldest decides when the timer has to look again. Errors
    are results, not exceptions: a wait that its owner left alone complains to nobody.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._line: deque[tuple[float, asyncio.Future[Outcome]]] = deque()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> asyncio.Future[Outcome]:
        """A wait that begins now; whoever ends it looks first whether it is done."""
        wait: asyncio.Future[Outcome] = self._loop.create_future()
        self._line.append((self._loop.time() + self._seconds, wait))
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._look)
        return wait

    def _look(self) -> None:
        now = self._loop.time()
        while self._line:
            ends_at, wait = self._line[0]
            if not wait.done():
                if ends_at > now:
                    break
                wait.set_result(TimeoutError())
            self._line.popleft()
        self._timer = self._loop.call_at(self._line[0][0], self._look) if self._line else None
