"""Ends what works for a consumer in the background, as aiokafka ends it by itself: by what it doesn't foresee."""

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.group import HeartbeatRequest
from waiting import wait_until

BACKGROUND = (FetchRequest, HeartbeatRequest, OffsetFetchRequest)
"""What each of a group member's tasks asks for."""


async def end_reading(consumer: AIOKafkaConsumer, kind: type = FetchRequest) -> None:
    """Return once the task of `consumer`, which is started, that sends requests of this kind has ended; all others go
    on."""
    send, sent = consumer._client.send, asyncio.Event()
    seen: set[asyncio.Task[Any]] = set()

    async def fail(node: object, request: object, **options: Any) -> Any:
        if isinstance(request, kind) and not sent.is_set():
            sent.set()
            raise RuntimeError("nobody foresaw this")
        return await send(node, request, **options)

    consumer._client.send = fail
    if kind is OffsetFetchRequest:
        for place in consumer.assignment():
            consumer._subscription.subscription.assignment.state_value(place).fetch_committed()

    def has_ended() -> bool:
        seen.update(_background(consumer))
        return any(task.done() and not task.cancelled() and task.exception() is not None for task in seen)

    await wait_until(has_ended, 60, "it to end")


def _background(consumer: AIOKafkaConsumer) -> list["asyncio.Task[Any]"]:
    coordinator = consumer._coordinator
    group = [getattr(coordinator, name, None) for name in ("_heartbeat_task", "_commit_refresh_task")]
    return [consumer._fetcher._fetch_task, *(task for task in group if task is not None)]
