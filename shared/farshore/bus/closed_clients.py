"""Tells those who wait for a Kafka client's metadata that it was closed: aiokafka 0.14 lets them wait for ever."""

import asyncio

from aiokafka.client import AIOKafkaClient


def without_waiting_for_closed(client: AIOKafkaClient) -> None:
    """Have what asks `client` for other metadata hear, once it is closed, that there are none, as while Kafka is away.

    A producer is closed by one of several who send with it, when it has failed; another may just look for its topic.
    """
    close, force_update = client.close, client.force_metadata_update
    closed = False

    def force_unless_closed() -> asyncio.Future[bool]:
        return _nothing_new() if closed else force_update()

    async def close_and_tell() -> None:
        nonlocal closed
        closed = True
        try:
            await close()
        finally:
            waited_for, client._md_update_fut = client._md_update_fut, None
            if waited_for is not None and not waited_for.done():
                waited_for.set_result(False)

    client.close, client.force_metadata_update = close_and_tell, force_unless_closed


def _nothing_new() -> asyncio.Future[bool]:
    answer = asyncio.get_running_loop().create_future()
    answer.set_result(False)
    return answer
