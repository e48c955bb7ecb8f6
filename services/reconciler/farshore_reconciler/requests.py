"""Follows `farshore.events` for requests to reconcile; what has been done is a committed offset for each registry."""

import asyncio
from collections.abc import Collection
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from farshore.bus.clients import Bus
from farshore.bus.closing import STOP_SECONDS, close_within, stop_consumer
from farshore.bus.committed import committed_positions
from farshore.bus.exactly_once import ExactlyOnceStep, Position
from farshore.bus.incarnation import topic_incarnation
from farshore.bus.partition_of import partition_of
from farshore.bus.reading import check_reading
from farshore.bus.topics import EVENTS, create_missing_topics
from farshore.records.reconciles import RECONCILE_TYPE

_POLL_SECONDS = 1.0


def group_of(registry: str) -> str:
    """The consumer group whose offset says up to where requests of the registry have been met. It has no members."""
    return f"farshore.reconciler.{registry}"


class Requests:
    """An asynchronous context manager; raises FarshoreError or one of KAFKA_FAILURES when Kafka can't be used.

    A group that never committed begins with the oldest record, as one does whose position fell off the log: requests
    may be among what is gone, so that counts as one.
    """

    def __init__(self, bus: Bus, registries: Collection[str]) -> None:
        self._bus = bus
        self._registries = list(registries)
        self._partitions: dict[str, TopicPartition] = {}
        self._starts: dict[str, int] = {}
        self._incarnation = ""
        self._asked: set[str] = set()
        self._consumer: AIOKafkaConsumer = bus.reader()

    async def __aenter__(self) -> Self:
        try:
            await create_missing_topics(self._bus)
            await self._consumer.start()
            await self._find_partitions()
            await self._seek()
        except BaseException:
            await stop_consumer(self._consumer)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await stop_consumer(self._consumer)

    async def _find_partitions(self) -> None:
        client = self._bus.client()
        try:
            await client.bootstrap()
            self._incarnation = await topic_incarnation(client, EVENTS.name)
            await client.add_topic(EVENTS.name)
            numbers = sorted(client.cluster.partitions_for_topic(EVENTS.name) or ())
        finally:
            await close_within(STOP_SECONDS, client.close())
        for name in self._registries:
            number = partition_of(name.encode(), numbers)
            self._partitions[name] = TopicPartition(EVENTS.name, number)

    async def _seek(self) -> None:
        partitions = sorted(set(self._partitions.values()))
        self._consumer.assign(partitions)
        oldest = await self._consumer.beginning_offsets(partitions)
        for partition in partitions:
            groups = {group_of(name): name for name, place in self._partitions.items() if place == partition}
            # not behind a fence: what another reconciler meets meanwhile is met twice, which changes nothing
            for group, committed in (await committed_positions(self._bus, groups, partition)).items():
                start = oldest[partition]
                if committed is not None and committed.metadata == self._incarnation:
                    start = committed.offset
                if start < oldest[partition]:
                    self._asked.add(groups[group])
                self._starts[groups[group]] = max(start, oldest[partition])
            self._consumer.seek(partition, min(self._starts[name] for name in groups.values()))

    @property
    def asked(self) -> frozenset[str]:
        """The registries with requests that haven't been met."""
        return frozenset(self._asked)

    async def wait(self, seconds: float) -> None:
        """Read on for `seconds`, or until there is a new request."""
        clock = asyncio.get_running_loop().time
        until = clock() + seconds
        before = len(self._asked)
        while len(self._asked) == before and clock() < until:
            await self._read(min(until - clock(), _POLL_SECONDS))

    async def catch_up(self) -> None:
        """Read up to where the log ends now: one run meets all that has been asked for by then."""
        partitions = sorted(set(self._partitions.values()))
        ends = await self._consumer.end_offsets(partitions)
        while any([await self._consumer.position(partition) < ends[partition] for partition in partitions]):
            await self._read(_POLL_SECONDS)

    async def _read(self, seconds: float) -> None:
        check_reading(self._consumer)
        try:
            batches = await self._consumer.getmany(timeout_ms=int(seconds * 1000))
        except OffsetOutOfRangeError:
            await self._consumer.seek_to_beginning()
            self._asked |= set(self._partitions)
            return
        for record in (record for records in batches.values() for record in records):
            name = (record.key or b"").decode(errors="replace")
            if dict(record.headers).get("ce_type") != RECONCILE_TYPE.encode() or name not in self._starts:
                continue
            if record.offset >= self._starts[name]:
                self._asked.add(name)

    async def places(self) -> dict[str, int]:
        """Up to where each registry's requests have been read."""
        return {name: await self._consumer.position(partition) for name, partition in self._partitions.items()}

    async def met(self, places: dict[str, int], *, commit: bool = True) -> None:
        """The requests of these registries up to these places have been met: commit that, unless it was a dry run."""
        for name, place in places.items():
            self._asked.discard(name)
            if not commit:
                continue
            async with ExactlyOnceStep(self._bus, group_of(name)) as step:
                position = Position(group_of(name), self._partitions[name], place, self._incarnation)
                await step.commit([], [position])
