"""Closes Kafka clients in bounded time: while Kafka is away they would wait for it longer than a stop may take.

What a client was asked for ends by itself, also when nobody waits any more.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from aiokafka import AIOKafkaConsumer

from farshore.bus.failures import KAFKA_FAILURES

STOP_SECONDS = 1.0
"""What the end of a service, or of one of its lanes, may wait for Kafka."""

_going_on: set[asyncio.Task[Any]] = set()


async def close_within(seconds: float, closing: Coroutine[Any, Any, Any]) -> None:
    """Carry out `closing`; what takes longer goes on by itself, and ends with the process if not before.

    What it raises says that the connection is gone, and is not raised again.
    """
    await asyncio.wait({_by_itself(closing)}, timeout=seconds)


async def stop_consumer(consumer: AIOKafkaConsumer, seconds: float = STOP_SECONDS) -> None:
    """Close `consumer`, as `close_within` does."""
    await close_within(seconds, _stop(consumer))


async def _stop(consumer: AIOKafkaConsumer) -> None:
    """aiokafka 0.14 cancels its own reading; one that waits to try a dead broker again lets that out, as if whoever
    closes had been cancelled, and leaves what comes behind it open. So it does with what its reading ended by.
    """
    try:
        await consumer.stop()
    except (asyncio.CancelledError, *KAFKA_FAILURES):
        fetcher = consumer._fetcher
        reading = {fetcher._fetch_task, *fetcher._pending_tasks} if fetcher is not None else set()
        for task in reading:
            task.cancel()
        if reading:
            await asyncio.wait(reading)
        await consumer._client.close()


async def asked_for(doing: Coroutine[Any, Any, None]) -> None:
    """Wait for `doing`, which goes on by itself when this is cancelled: what it raises then is nobody's.

    aiokafka's own waiting is such, but for that last point: asyncio complains of what was raised and never taken.
    """
    await asyncio.shield(_by_itself(doing))


def _by_itself(doing: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task = asyncio.create_task(doing)
    _going_on.add(task)
    task.add_done_callback(_going_on.discard)
    task.add_done_callback(take_exception)
    return task


def take_exception(future: asyncio.Future[Any]) -> None:
    """For `add_done_callback`: asyncio doesn't complain when nobody awaits `future` any more and it fails."""
    if not future.cancelled():
        future.exception()
