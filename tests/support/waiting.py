"""Waiting for a condition with a deadline, in place of sleeping."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

_POLL_SECONDS = 0.02
_BUSY_MACHINE = 6
"""Deadlines are written for a quiet machine and stretched by this: one that passes costs nothing."""
_LONGEST_SECONDS = 480.0
"""Below pytest's own time-out, which doesn't say what was waited for."""

T = TypeVar("T")


@overload
async def wait_until(condition: Callable[[], Awaitable[T]], within_seconds: float, what: str) -> T: ...
@overload
async def wait_until(condition: Callable[[], T], within_seconds: float, what: str) -> T: ...
async def wait_until(condition: Callable[[], object], within_seconds: float, what: str) -> object:
    """Ask `condition`, a function or a coroutine function, until its answer is true, and return that answer.

    Fails the test with `what` and the last answer when that takes longer than `within_seconds` on a quiet machine.
    """
    patience = min(within_seconds * _BUSY_MACHINE, _LONGEST_SECONDS)
    deadline = time.monotonic() + patience
    while True:
        answer = condition()
        value = await answer if inspect.isawaitable(answer) else answer
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"after {patience:g} s still waiting for {what}; last answer: {value!r}")
        await asyncio.sleep(_POLL_SECONDS)
