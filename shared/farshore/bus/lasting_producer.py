"""A producer that outlives its failures, for single records outside of transactions."""

import asyncio
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaProducer

from farshore.bus.clients import Bus
from farshore.bus.closing import STOP_SECONDS, close_within
from farshore.bus.failures import KAFKA_FAILURES
from farshore.records.cloudevent import Headers


class LastingProducer:
    """Opens an idempotent producer when there is something to write, and another after one has failed.

    An idempotent producer repeats by itself what can be repeated. After any other failure its sequence numbers no
    longer fit what the broker has, and everything later would fail too.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._producer: AIOKafkaProducer | None = None
        self._opening = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._producer is not None:
            await self._close(self._producer)

    async def send_and_wait(self, topic: str, value: bytes, *, key: bytes, headers: Headers) -> None:
        """Write one record; raises one of KAFKA_FAILURES where Kafka refuses it. Waits while Kafka is away."""
        producer = await self._open()
        try:
            await producer.send_and_wait(topic, value, key=key, headers=headers)
        except KAFKA_FAILURES:
            await self._close(producer)
            raise

    async def partitions_for(self, topic: str) -> set[int]:
        """The numbers of the topic's partitions; raises one of KAFKA_FAILURES."""
        return set(await (await self._open()).partitions_for(topic))

    async def _open(self) -> AIOKafkaProducer:
        async with self._opening:
            if self._producer is None:
                producer = self._bus.producer()
                try:
                    await producer.start()
                except BaseException:
                    await close_within(STOP_SECONDS, producer.stop())
                    raise
                self._producer = producer
            return self._producer

    async def _close(self, producer: AIOKafkaProducer) -> None:
        if self._producer == producer:
            self._producer = None
            await close_within(STOP_SECONDS, producer.stop())
