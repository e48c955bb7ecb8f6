"""Ends what fetches for a consumer, as aiokafka ends it by itself: in silence."""

from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.protocol.fetch import FetchRequest
from waiting import wait_until


async def end_reading(consumer: AIOKafkaConsumer) -> None:
    """Return once `consumer`, which is started, fetches no more; all else that it does goes on."""
    send = consumer._client.send

    async def fail_to_fetch(node: object, request: object, **options: Any) -> Any:
        if isinstance(request, FetchRequest):
            raise RuntimeError("nobody foresaw this")
        return await send(node, request, **options)

    consumer._client.send = fail_to_fetch
    await wait_until(consumer._fetcher._fetch_task.done, 60, "the fetching to end")
