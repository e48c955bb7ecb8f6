"""Reads what Kafka holds of one repository's images: events, readiness, arrivals, transfers, positions."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from aiokafka import TopicPartition

from farshore.bus.clients import Bus
from farshore.bus.committed import committed_positions, offsets_in
from farshore.bus.incarnation import topic_incarnation
from farshore.bus.partition_of import partition_of
from farshore.bus.range_reader import RangeReader
from farshore.bus.topics import ARRIVALS, EVENTS, READINESS, TRANSFERS, Topic
from farshore.records.arrivals import Arrival, Generation
from farshore.records.cloudevent import MalformedRecordError
from farshore.records.events import ANNOUNCED_KINDS, Event
from farshore.records.readiness import EVERYWHERE, Readiness
from farshore.records.transfers import TransferRecord
from farshore.topology import Relationship
from farshore_cli.images.judge import Known

_ANNOUNCED = frozenset(f"io.farshore.{kind}.v1".encode() for kind in ANNOUNCED_KINDS)
_Record = Any  # aiokafka's ConsumerRecord: the package has no types


class ImageReader:
    """Feeds what is `known`, all of one repository in `registry`; each reading goes on where the last one ended.

    An asynchronous context manager. Entering and reading raise FarshoreError or one of KAFKA_FAILURES.
    """

    def __init__(self, bus: Bus, registry: str, known: list[Known]) -> None:
        self._bus = bus
        self._registry = registry
        self._known = known
        self._repository = known[0].wanted.repository.encode()
        self._stack = AsyncExitStack()
        self._incarnation = ""
        self._logs: dict[str, tuple[TopicPartition, RangeReader]] = {}
        self._positions: dict[str, int] = {}

    async def __aenter__(self) -> Self:
        producer = self._bus.producer()
        try:
            await producer.start()
            self._incarnation = await topic_incarnation(producer.client, EVENTS.name)
            for topic, key in (
                (EVENTS, self._registry.encode()),
                (ARRIVALS, self._repository),
                (READINESS, self._repository),
            ):
                number = partition_of(key, sorted(await producer.partitions_for(topic.name)))
                place = TopicPartition(topic.name, number)
                self._logs[topic.name] = place, await self._stack.enter_async_context(RangeReader(self._bus, place))
        except BaseException:
            await self._stack.aclose()
            raise
        finally:
            await producer.stop()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def read(self) -> None:
        """What was announced and said, up to the ends as they are now."""
        async for record in self._new(READINESS):
            self._take_readiness(record)
        # afterwards: of what was said the event is known then
        async for record in self._new(EVENTS):
            self._take_event(record)

    async def read_ways(self, relationships: list[Relationship]) -> None:
        """How it came to the sites: arrivals, positions, transfers. Call it after `read`."""
        async for record in self._new(ARRIVALS):
            self._take_arrival(record)
        groups = {one.consumer_group: one.site for one in relationships}
        found = await committed_positions(self._bus, list(groups), self._logs[EVENTS.name][0])
        positions = {groups[group]: offset for group, offset in offsets_in(self._incarnation, found).items()}
        wanted = {way.transfer for known in self._known for way in known.arrived.values() if way.transfer}
        for known in self._known:
            known.positions = positions
        for one in relationships if wanted else []:
            await self._read_transfers(one, wanted)

    async def _read_transfers(self, relationship: Relationship, wanted: set[str]) -> None:
        place = TopicPartition(
            TRANSFERS.name, partition_of(relationship.name.encode(), list(range(TRANSFERS.partitions)))
        )
        async with RangeReader(self._bus, place) as log:
            async for record in log.records(await log.oldest(), await log.stable_end()):
                if record.key != relationship.name.encode():
                    continue
                try:
                    transfer = TransferRecord.from_json(record.value or b"", TRANSFERS.name)
                except MalformedRecordError:
                    continue
                if transfer.transfer in wanted and transfer.phase in ("finished", "failed"):
                    for known in self._known:
                        known.transfers[transfer.transfer] = transfer

    async def _new(self, topic: Topic) -> AsyncIterator[_Record]:
        _, log = self._logs[topic.name]
        start = max(self._positions.get(topic.name, 0), await log.oldest())
        end = await log.stable_end()
        async for record in log.records(start, end):
            yield record
        self._positions[topic.name] = max(start, end)

    def _take_event(self, record: _Record) -> None:
        headers = dict(record.headers)
        if record.key != self._registry.encode() or headers.get("ce_subject") != self._repository:
            return
        if headers.get("ce_type") not in _ANNOUNCED:
            return
        try:
            event = Event.from_json(record.value or b"", f"{EVENTS.name}@{record.offset}")
        except MalformedRecordError:
            return  # coalescer and verifier pass it by as well
        for known in self._known:
            known.hear_event(event, record.offset)

    def _take_readiness(self, record: _Record) -> None:
        if dict(record.headers).get("ce_subject") != self._repository or not record.value:
            return
        try:
            said = Readiness.from_json(record.value, f"{READINESS.name}@{record.offset}")
            generation = Generation.parse(said.generation, READINESS.name)
        except MalformedRecordError:
            return  # it makes nothing ready
        if said.registry == self._registry and said.site != EVERYWHERE:
            offset = generation.offset if generation.incarnation == self._incarnation else -1
            for known in self._known:
                known.hear_readiness(said, offset)

    def _take_arrival(self, record: _Record) -> None:
        if record.key != self._repository:
            return
        try:
            arrival = Arrival.from_record(record.headers, record.value, f"{ARRIVALS.name}@{record.offset}")
        except MalformedRecordError:
            return
        for known in self._known:
            announced = known.announced
            if announced is not None and arrival.generation.offset == announced.offset:
                known.arrived[arrival.site] = arrival.passage
