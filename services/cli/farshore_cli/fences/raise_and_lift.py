"""Raises one fence, hears from the coalescer what became of it, and lifts it."""

import asyncio
import secrets
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from farshore.bus.clients import Bus
from farshore.bus.closing import stop_consumer
from farshore.bus.failures import KAFKA_FAILURES
from farshore.bus.partition_of import partition_of
from farshore.bus.topics import EVENTS, TRANSFERS
from farshore.records.cloudevent import CloudEvent, MalformedRecordError
from farshore.records.fences import STATUS_TYPES, FenceLifted, FencePhase, FenceRaised, FenceStatus

_POLL_SECONDS = 0.5
LIFT_WITHIN_SECONDS = 30.0


class Fence:
    """An asynchronous context manager for one fence of a registry, a new one or one that has been raised; entering it
    raises nothing."""

    def __init__(self, bus: Bus, registry: str, identity: str | None = None) -> None:
        self.registry = registry
        self.id = identity or f"{registry}-{secrets.token_hex(4)}"
        self._bus = bus
        self._producer: AIOKafkaProducer = bus.producer()
        self._consumer: AIOKafkaConsumer = bus.reader()
        self._resources = AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            self._resources.push_async_callback(self._producer.stop)
            await self._producer.start()
            self._resources.push_async_callback(stop_consumer, self._consumer)
            await self._consumer.start()
            numbers = sorted(await self._producer.partitions_for(TRANSFERS.name))
            place = TopicPartition(TRANSFERS.name, partition_of(self.registry.encode(), numbers))
            self._consumer.assign([place])
            self._consumer.seek(place, (await self._consumer.end_offsets([place]))[place])
        except BaseException:
            await self._resources.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._resources.aclose()

    async def go_up(self, limit_seconds: int, reason: str) -> None:
        """Raise it."""
        now = datetime.now(UTC)
        record = FenceRaised(fence=self.id, registry=self.registry, limit_seconds=limit_seconds, reason=reason, at=now)
        await self._write(record.to_cloudevent())

    async def until(self, *phases: FencePhase) -> FencePhase:
        """Wait until the coalescer says one of `phases` of it."""
        while True:
            batches = await self._consumer.getmany(timeout_ms=int(_POLL_SECONDS * 1000))
            for record in (record for records in batches.values() for record in records):
                status = status_of(dict(record.headers).get("ce_type"), record.value)
                if status is not None and status.fence == self.id and status.phase in phases:
                    return status.phase

    async def lift(self) -> bool:
        """Lift it; False where Kafka doesn't take that in time: it lets go by itself then."""
        record = FenceLifted(fence=self.id, registry=self.registry, at=datetime.now(UTC)).to_cloudevent()
        try:
            async with asyncio.timeout(LIFT_WITHIN_SECONDS):
                await self._write(record)
        except (TimeoutError, *KAFKA_FAILURES):
            return False
        return True

    async def _write(self, record: CloudEvent) -> None:
        key = self.registry.encode()
        await self._producer.send_and_wait(EVENTS.name, record.data, key=key, headers=record.headers())


def status_of(kind: bytes | None, value: bytes | None) -> FenceStatus | None:
    """What a record of `farshore.transfers` says of a fence, if it does."""
    if kind not in STATUS_TYPES:
        return None
    try:
        return FenceStatus.from_json(value or b"", TRANSFERS.name)
    except MalformedRecordError:
        return None
