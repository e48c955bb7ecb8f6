"""Reads what readiness says of each name, and what `farshore.events` last announced of it, up to their ends."""

from collections.abc import Collection
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from farshore.bus.clients import Bus
from farshore.bus.closing import stop_consumer
from farshore.bus.incarnation import topic_incarnation
from farshore.bus.partition_of import partition_of
from farshore.bus.topics import EVENTS, READINESS
from farshore.errors import FarshoreError, RetryClass
from farshore.records.arrivals import Generation
from farshore.records.cloudevent import MalformedRecordError
from farshore.records.events import ANNOUNCED_KINDS, Event
from farshore.records.readiness import EVERYWHERE, Readiness
from farshore.records.reconciles import RECONCILE_TYPE, ReconcileRequested
from farshore_reconciler.facts import Announced, ImageName, Said
from farshore_reconciler.knowledge import Knowledge

_AT_ONCE = 2000
_SILENCE_SECONDS = 30.0
_ANNOUNCED_TYPES = frozenset(f"io.farshore.{kind}.v1".encode() for kind in ANNOUNCED_KINDS)
_Record = Any  # aiokafka's ConsumerRecord: the package has no types


class LogReader:
    """Feeds `knowledge`; each `catch_up` goes on where the last one ended."""

    def __init__(self, bus: Bus, producer: AIOKafkaProducer, registries: Collection[str], knowledge: Knowledge) -> None:
        self._bus = bus
        self._producer = producer
        self._registries = frozenset(registries)
        self._knowledge = knowledge
        self._positions: dict[TopicPartition, int] = {}
        self._incarnation = ""
        self._lost_before: dict[tuple[str, str], int] = {}

    def lost_before(self, registry: str) -> dict[str, int]:
        """By site: what was announced before this offset, and the site hasn't decided, never reaches it any more."""
        return {site: before for (name, site), before in self._lost_before.items() if name == registry}

    async def catch_up(self) -> None:
        """Read to the ends as they are now. Raises FarshoreError when Kafka falls silent or the topic is another."""
        incarnation = await topic_incarnation(self._producer.client, EVENTS.name)
        if self._incarnation not in ("", incarnation):
            reason = "the topic was made again meanwhile"
            raise FarshoreError("read", EVENTS.name, reason, retry=RetryClass.REDISCOVER, hint="run it again")
        self._incarnation = incarnation
        consumer = self._bus.reader()
        partitions = await self._partitions()
        consumer.assign(partitions)
        try:
            await consumer.start()
            await self._read(consumer, partitions)
        finally:
            await stop_consumer(consumer)

    async def _partitions(self) -> list[TopicPartition]:
        """All of readiness, and those of the events that hold the registries: events are keyed by registry."""
        numbers = sorted(await self._producer.partitions_for(EVENTS.name))
        of_registries = {partition_of(name.encode(), numbers) for name in self._registries}
        readiness = sorted(await self._producer.partitions_for(READINESS.name))
        return [TopicPartition(READINESS.name, number) for number in readiness] + [
            TopicPartition(EVENTS.name, number) for number in sorted(of_registries)
        ]

    async def _read(self, consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
        oldest = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        behind = set()
        for partition in partitions:
            start = max(self._positions.get(partition, 0), oldest[partition])
            consumer.seek(partition, start)
            self._positions[partition] = start
            if start < ends[partition]:
                behind.add(partition)
            else:
                consumer.pause(partition)
        silent = 0.0
        while behind:
            batches = await consumer.getmany(*behind, timeout_ms=500, max_records=_AT_ONCE)
            moved = False
            for partition, records in batches.items():
                self._take(partition, records)
            for partition in sorted(behind):
                position = await consumer.position(partition)
                moved = moved or position > self._positions[partition]
                self._positions[partition] = position
                if position >= ends[partition]:
                    consumer.pause(partition)
                    behind.discard(partition)
            silent = 0.0 if moved else silent + 0.5
            if silent >= _SILENCE_SECONDS:
                place = ", ".join(f"{partition.topic}/{partition.partition}" for partition in sorted(behind))
                reason = f"Kafka sent nothing for {_SILENCE_SECONDS:g} s"
                raise FarshoreError("read", place, reason, retry=RetryClass.RETRY_SOON)

    def _take(self, partition: TopicPartition, records: list[_Record]) -> None:
        found: dict[str, list[tuple[ImageName, Said | Announced]]] = {}
        for record in records:
            taken = self._said(record) if partition.topic == READINESS.name else self._announced(record)
            if taken is not None:
                found.setdefault(taken[0], []).append((taken[1], taken[2]))
        for registry, facts in found.items():
            self._knowledge.hear(registry, facts)

    def _said(self, record: _Record) -> tuple[str, ImageName, Said] | None:
        parts = (record.key or b"").split(b"/", 2)
        if len(parts) != 3 or parts[1] == EVERYWHERE.encode() or record.value is None:
            return None
        if parts[0].decode(errors="replace") not in self._registries:
            return None
        where = f"{record.topic}/{record.partition}@{record.offset}"
        try:
            readiness = Readiness.from_json(record.value, where)
            generation = Generation.parse(readiness.generation, where)
        except MalformedRecordError:
            return None  # it makes nothing ready, so it makes nothing known
        offset = generation.offset if generation.incarnation == self._incarnation else -1
        said = Said(readiness.site, readiness.state, readiness.digest, readiness.generation, offset)
        return readiness.registry, ImageName.of(readiness.repository, readiness.digest, readiness.tag), said

    def _announced(self, record: _Record) -> tuple[str, ImageName, Announced] | None:
        registry = (record.key or b"").decode(errors="replace")
        kind = dict(record.headers).get("ce_type")
        if registry in self._registries and kind == RECONCILE_TYPE.encode():
            self._note_lost(record)
        if registry not in self._registries or kind not in _ANNOUNCED_TYPES:
            return None
        try:
            event = Event.from_json(record.value or b"", f"{record.topic}/{record.partition}@{record.offset}")
        except MalformedRecordError:
            return None  # the coalescer and the verifier pass it by as well
        announced = Announced(record.offset, event.kind, event.digest, event.id)
        return registry, ImageName.of(event.repository, event.digest, event.tag), announced

    def _note_lost(self, record: _Record) -> None:
        try:
            request = ReconcileRequested.from_json(record.value or b"", f"{record.topic}/{record.partition}")
        except MalformedRecordError:
            return
        for site in request.sites if request.before is not None else ():
            place = (request.registry, site)
            self._lost_before[place] = max(request.before or 0, self._lost_before.get(place, 0))
