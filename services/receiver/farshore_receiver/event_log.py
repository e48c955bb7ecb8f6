"""Events on their way into Kafka: those of concurrent requests share a batch, and a batch is acknowledged as one.

A record sent by itself costs a future, a metadata look-up and a place in a batch that aiokafka makes anyway. Here a
request only appends its bytes to the batch that is collecting. There is no time to wait for company: while a batch is
under way the next one collects, so batches grow with the load and a lone event goes at once.
"""

import asyncio
from collections.abc import Callable, Collection

from aiokafka import AIOKafkaProducer
from aiokafka.errors import ProducerClosed
from aiokafka.producer.message_accumulator import BatchBuilder

from farshore.bus.failures import KAFKA_FAILURES
from farshore.bus.partition_of import partition_of
from farshore.bus.topics import EVENTS
from farshore.records.events import Event
from farshore_receiver.encode import encode
from farshore_receiver.waits import Outcome, Waits


class Batch:
    """Records of one partition that Kafka acknowledges together."""

    def __init__(self, builder: BatchBuilder) -> None:
        self.builder = builder
        self.events: list[Event] = []
        self._waiting: list[asyncio.Future[Outcome]] = []

    def ended(self, waits: Waits) -> asyncio.Future[Outcome]:
        """A wait for the batch's end, as long as `waits` allows."""
        wait = waits.begin()
        self._waiting.append(wait)
        return wait

    def end(self, outcome: Outcome) -> None:
        """Tell those who wait."""
        for wait in self._waiting:
            if not wait.done():
                wait.set_result(outcome)


Settled = Callable[[Batch, Outcome], None]
"""Hears of each batch's end, before those who wait for it."""


class EventLog:
    """`farshore.events` as one producer writes it. `refresh` has to be called before the first append."""

    def __init__(self, producer: AIOKafkaProducer, settled: Settled) -> None:
        self._producer = producer
        self._settled = settled
        self._partitions: list[int] = []
        self._lanes: dict[int, _Lane] = {}
        self._lane_of: dict[bytes, _Lane] = {}

    def refresh(self, partitions: Collection[int]) -> None:
        """Take note of the topic's partitions; a key's own follows from their number, as for every Kafka client."""
        if len(partitions) != len(self._partitions):
            self._partitions = sorted(partitions)
            self._lane_of.clear()

    def lane(self, key: bytes) -> "_Lane | None":
        """Where records of this key go; None while the topic's partitions aren't known."""
        lane = self._lane_of.get(key)
        if lane is None and self._partitions:
            number = partition_of(key, self._partitions)
            lane = self._lanes.setdefault(number, _Lane(self._producer, number, self._settled))
            self._lane_of[key] = lane
        return lane

    def close(self) -> None:
        """After the producer's end: whatever is left wasn't acknowledged and won't be."""
        for lane in self._lanes.values():
            lane.close()


class _Lane:
    """One partition: a batch that collects, and at most one under way."""

    def __init__(self, producer: AIOKafkaProducer, partition: int, settled: Settled) -> None:
        self._producer = producer
        self._partition = partition
        self._settled = settled
        self._collecting: Batch | None = None
        self._delivery: asyncio.Task[None] | None = None
        self._taken = asyncio.Event()

    def append(self, event: Event, key: bytes, traceparent: str | None) -> Batch | None:
        """The batch that holds the event now; None when the one that collects is full: wait for `room`."""
        batch = self._collecting
        if batch is None:
            batch = self._collecting = Batch(self._producer.create_batch())
            if self._delivery is None:
                self._delivery = asyncio.create_task(self._deliver())
        value, headers = encode(event, traceparent)
        if batch.builder.append(timestamp=None, key=key, value=value, headers=headers) is None:
            return None
        batch.events.append(event)
        return batch

    async def room(self) -> None:
        """Return once the batch that collected is under way."""
        self._taken.clear()
        await self._taken.wait()

    async def _deliver(self) -> None:
        try:
            while self._collecting is not None:
                batch, self._collecting = self._collecting, None
                self._taken.set()
                await self._send(batch)
        finally:
            self._delivery = None

    async def _send(self, batch: Batch) -> None:
        outcome: Outcome = ProducerClosed()
        try:
            batch.builder.close()
            await (await self._producer.send_batch(batch.builder, EVENTS.name, partition=self._partition))
            outcome = None
        except KAFKA_FAILURES as error:
            outcome = error
        finally:
            self._settled(batch, outcome)
            batch.end(outcome)

    def close(self) -> None:
        if self._delivery is not None:
            self._delivery.cancel()
        batch, self._collecting = self._collecting, None
        if batch is not None:
            self._settled(batch, ProducerClosed())
            batch.end(ProducerClosed())
