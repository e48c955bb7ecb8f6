"""Reads a range of a partition in bounded chunks: what a backlog costs is one chunk, however long it is."""

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from farshore.bus.clients import Bus
from farshore.bus.closing import stop_consumer
from farshore.errors import FarshoreError, RetryClass


class RangeLostError(FarshoreError):
    """The range begins before the oldest record that Kafka still has."""

    def __init__(self, partition: TopicPartition, wanted: int, oldest: int) -> None:
        super().__init__(
            "read",
            f"{partition.topic}/{partition.partition}@{wanted}",
            f"Kafka's oldest record is {oldest}: the ones before have been deleted by retention",
            retry=RetryClass.OPERATOR,
            hint="the images of the lost range have to be announced again by a reconcile",
        )
        self.wanted = wanted
        self.oldest = oldest


class RangeReader:
    """Reads ranges of one partition, read committed unless told otherwise. Offsets of the range that hold no record
    are passed over."""

    def __init__(self, bus: Bus, partition: TopicPartition, *, committed: bool = True) -> None:
        self._committed = committed
        self._bus = bus
        self._partition = partition
        self._consumer: AIOKafkaConsumer | None = None
        self._next = -1

    async def __aenter__(self) -> Self:
        consumer = self._bus.reader(longest_poll_seconds=0.02, committed=self._committed)
        consumer.assign([self._partition])
        try:
            await consumer.start()
        except BaseException:
            await stop_consumer(consumer)
            raise
        self._consumer = consumer
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._consumer is not None:
            await stop_consumer(self._consumer)
            self._consumer = None

    async def oldest(self) -> int:
        """The offset of the oldest record that Kafka still has."""
        offsets = await self._started().beginning_offsets([self._partition])
        return int(offsets[self._partition])

    async def stable_end(self) -> int:
        """The offset after the last record that can be read: read committed, an open transaction holds it back."""
        offsets = await self._started().end_offsets([self._partition])
        return int(offsets[self._partition])

    async def records(self, start: int, end: int) -> AsyncIterator[ConsumerRecord[bytes, bytes]]:
        """Each record of [start, end), of which no more than a chunk is in memory; `end` and errors as in `chunk`."""
        while start < end:
            start, chunk = await self.chunk(start, end)
            for record in chunk:
                yield record

    async def chunk(
        self, start: int, end: int, *, most: int = 2000, silence_seconds: float = 30.0
    ) -> tuple[int, list[ConsumerRecord[bytes, bytes]]]:
        """The next records of [start, end), at most `most`, and the offset to go on from.

        `start` must be below `end`, `end` not beyond the log's end. The list may be empty where the range holds no
        records (transaction markers). Raises RangeLostError when `start` has been deleted, FarshoreError (retry soon)
        when Kafka sends nothing for `silence_seconds`.
        """
        consumer = self._started()
        if start != self._next:
            consumer.seek(self._partition, start)
            self._next = start
        consumer.resume(self._partition)
        try:
            async with asyncio.timeout(silence_seconds):
                while True:
                    batch = await consumer.getmany(self._partition, timeout_ms=200, max_records=most)
                    reached = await consumer.position(self._partition)
                    if reached > start:
                        break
        except OffsetOutOfRangeError as error:
            raise RangeLostError(self._partition, start, await self.oldest()) from error
        except TimeoutError as error:
            place = f"{self._partition.topic}/{self._partition.partition}@{start}"
            reason = f"Kafka sent nothing for {silence_seconds:g} s"
            raise FarshoreError("read", place, reason, retry=RetryClass.RETRY_SOON) from error
        self._next = reached
        if reached >= end:
            consumer.pause(self._partition)  # a long poll at the log's end would hold up the next seek
        return min(reached, end), [record for record in batch.get(self._partition, []) if record.offset < end]

    def _started(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise RuntimeError("the reader is not entered")
        return self._consumer
