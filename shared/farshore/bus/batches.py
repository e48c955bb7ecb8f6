"""Records of one transaction as whole batches: several times quicker than handing them to aiokafka one by one."""

import asyncio
from collections.abc import Iterable

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder

from farshore.bus.closing import take_exception
from farshore.bus.outgoing import OutgoingRecord
from farshore.bus.partition_of import partition_of

MOST_REMEMBERED = 10_000
"""Keys whose partition is remembered."""


class Batches:
    """Writes records with a producer that is in a transaction; within a partition they keep their order."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._partitions = _Partitions(producer)

    async def send(self, records: Iterable[OutgoingRecord]) -> list[asyncio.Future[object]]:
        """Hand over all of `records`; what is returned is done, or raises KafkaError, when Kafka has answered."""
        open_batches: dict[tuple[str, int], BatchBuilder] = {}
        sent: list[asyncio.Future[object]] = []
        for record in records:
            place = (record.topic, await self._partitions.of(record))
            batch = open_batches.get(place)
            if batch is None:
                batch = open_batches[place] = self._producer.create_batch()
            elif not _append(batch, record):
                sent.append(await self._producer.send_batch(batch, record.topic, partition=place[1]))
                batch = open_batches[place] = self._producer.create_batch()
            else:
                continue
            if not _append(batch, record):
                raise MessageSizeTooLargeError(f"a record of {len(record.value)} bytes fits into no batch")
        for (topic, partition), batch in open_batches.items():
            sent.append(await self._producer.send_batch(batch, topic, partition=partition))
        for delivery in sent:
            delivery.add_done_callback(take_exception)  # where the transaction fails before, nobody awaits them
        return sent


def _append(batch: BatchBuilder, record: OutgoingRecord) -> bool:
    """Whether the record found room; an empty batch takes a record of any size, and Kafka may refuse it then."""
    added = batch.append(timestamp=None, key=record.key, value=record.value, headers=record.headers)
    return added is not None


class _Partitions:
    """The partition that Kafka's default partitioner gives a record, remembered: it hashes byte by byte in Python."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._numbers: dict[str, list[int]] = {}
        self._chosen: dict[tuple[str, bytes], int] = {}

    async def of(self, record: OutgoingRecord) -> int:
        """The partition for `partition_by`, or where that is None for the key."""
        name = (record.topic, record.key if record.partition_by is None else record.partition_by)
        found = self._chosen.get(name)
        if found is None:
            numbers = self._numbers.get(record.topic)
            if numbers is None:
                numbers = self._numbers[record.topic] = sorted(await self._producer.partitions_for(record.topic))
            if len(self._chosen) >= MOST_REMEMBERED:
                self._chosen.clear()
            found = self._chosen[name] = partition_of(name[1], numbers)
        return found
