"""Reads of `farshore.events` what concerns a move: marks, the registry's last event; and writes the mark."""

from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaProducer, TopicPartition

from farshore.bus.clients import Bus
from farshore.bus.incarnation import topic_incarnation
from farshore.bus.partition_of import partition_of
from farshore.bus.range_reader import RangeReader
from farshore.bus.topics import EVENTS
from farshore.records.about_registry import ABOUT_REGISTRY_TYPES, is_about_registry
from farshore.records.cloudevent import MalformedRecordError
from farshore.records.events import Event
from farshore.records.moves import MARKED_TYPE, MoveMarked
from farshore_cli.moving.facts import LogSeen, Marked


class MoveLog:
    """The log of one registry, read once and then from where the last reading ended. `producer` is started."""

    def __init__(self, bus: Bus, producer: AIOKafkaProducer, registry: str) -> None:
        self._bus = bus
        self._producer = producer
        self._registry = registry
        self._reader: RangeReader | None = None
        self.partition = TopicPartition(EVENTS.name, 0)
        self._incarnation = ""
        self._next = -1
        self._last_event = -1
        self._marks: list[Marked] = []

    async def __aenter__(self) -> Self:
        numbers = sorted(await self._producer.partitions_for(EVENTS.name))
        self.partition = TopicPartition(EVENTS.name, partition_of(self._registry.encode(), numbers))
        self._incarnation = await topic_incarnation(self._producer.client, EVENTS.name)
        self._reader = await RangeReader(self._bus, self.partition).__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._reader is not None:
            await self._reader.__aexit__(kind, error, trace)

    async def read(self, fences: tuple[str, ...]) -> LogSeen:
        """All up to the log's end as it is now. Raises FarshoreError or one of KAFKA_FAILURES."""
        if self._reader is None:
            raise RuntimeError("the log is not entered")
        end = await self._reader.stable_end()
        oldest = await self._reader.oldest()
        async for record in self._reader.records(max(self._next, oldest), end):
            self._next = record.offset + 1
            if record.key == self._registry.encode():
                self._take(record.offset, dict(record.headers).get("ce_type"), record.value or b"")
        self._next = max(self._next, end)  # markers of transactions at the end are not read again
        marks = tuple(mark for mark in self._marks if mark.offset >= oldest)
        return LogSeen(
            self._incarnation, self.partition.partition, end, self._last_event, marks, fences if fences else ()
        )

    def _take(self, offset: int, kind: bytes | None, value: bytes) -> None:
        if kind == MARKED_TYPE.encode():
            try:
                self._marks.append(Marked(offset, MoveMarked.from_json(value, f"{EVENTS.name}@{offset}")))
            except MalformedRecordError:
                return  # nobody can have acted on it
        elif kind not in ABOUT_REGISTRY_TYPES:
            self._last_event = offset

    async def events(self, start: int, end: int) -> tuple[list[Event], bool]:
        """The registry's events of [start, end), and whether Kafka still has them all."""
        if self._reader is None:
            raise RuntimeError("the log is not entered")
        found: list[Event] = []
        oldest = await self._reader.oldest()
        async for record in self._reader.records(max(start, oldest), end):
            if record.key == self._registry.encode() and not is_about_registry(record.headers):
                try:
                    found.append(Event.from_json(record.value or b"", f"{EVENTS.name}@{record.offset}"))
                except MalformedRecordError:
                    continue  # the coalescer and the verifier pass it by as well
        return found, start >= oldest

    async def write(self, events: list[Event]) -> None:
        """Write events of the mover's own; returns once Kafka has them."""
        for event in events:
            record = event.to_cloudevent()
            key = self._registry.encode()
            await self._producer.send_and_wait(EVENTS.name, record.data, key=key, headers=record.headers())

    async def mark(self, record: MoveMarked) -> None:
        """Write a mark; returns once Kafka has it."""
        event = record.to_cloudevent()
        key = self._registry.encode()
        await self._producer.send_and_wait(EVENTS.name, event.data, key=key, headers=event.headers())
