"""One partition of `farshore.readiness`: what single sites say in, what all of them say out, exactly once."""

import asyncio
import contextlib
import logging
from collections.abc import Collection
from datetime import UTC, datetime

from aiokafka import ConsumerRecord, TopicPartition
from opentelemetry.trace import Span

from farshore.bus.clients import Bus
from farshore.bus.closing import STOP_SECONDS, close_within
from farshore.bus.end_of_log import end_of_log
from farshore.bus.exactly_once import ExactlyOnceStep, Position
from farshore.bus.outgoing import OutgoingRecord
from farshore.bus.range_reader import RangeReader
from farshore.records.cloudevent import MalformedRecordError
from farshore.records.readiness import EVERYWHERE, Readiness, ReadinessState
from farshore.telemetry import event, extract_context
from farshore.topology import Topology
from farshore_verifier import metrics
from farshore_verifier.announce import (
    LARGEST_RECORD_BYTES,
    dead_letter_record,
    everywhere_statement,
    record_bytes,
    record_name,
)
from farshore_verifier.everywhere import MOST_IMAGES, EverywhereTable, Image, Rebuild, Sighting
from farshore_verifier.sending import begin_sending, until_sent

log = logging.getLogger(__name__)

GROUP = "farshore.verifier.everywhere"
IDLE_COMMIT_SECONDS = 1.0
LOOK_UP_SECONDS = 5.0
"""How long images may be in doubt before the log is read again for them, unless that takes long itself."""
MOST_ANNOUNCED_AT_ONCE = 500
_ROOM = 500


class EverywhereLane:
    """The lane of `partition`. What it knows is rebuilt from the compacted partition whenever it is opened."""

    def __init__(
        self, bus: Bus, partition: TopicPartition, topology: Topology, *, most_images: int = MOST_IMAGES
    ) -> None:
        self._bus = bus
        self._partition = partition
        sites = {
            name: frozenset(replica.site for replica in registry.replicas)
            for name, registry in topology.registries.items()
        }
        self._sites = {name: places for name, places in sites.items() if places}
        self._table = EverywhereTable(self._sites, most_images)
        self._forgotten = 0
        self._look_up_at: float | None = None
        self._look_up_pause = LOOK_UP_SECONDS
        self._step = ExactlyOnceStep(bus, f"{GROUP}.{partition.topic}.{partition.partition}")
        self._resources = contextlib.AsyncExitStack()
        self._taking = asyncio.Lock()
        self._committed = 0
        self._committed_at = 0.0
        self._sending: list[Span] = []

    async def open(self) -> int:
        """Fence former owners, rebuild the table, and return the offset to read from."""
        await self._resources.enter_async_context(self._step)
        found = (await self._step.positions([GROUP], self._partition))[GROUP]
        async with RangeReader(self._bus, self._partition) as reader:
            self._committed = max(await reader.oldest(), found.offset if found else 0)
        await self._announce_all(await self._read_again(self._table, self._committed))
        self._note_forgotten()
        return self._committed

    async def take(self, records: "list[ConsumerRecord[bytes, bytes]]", reached: int) -> None:
        """Announce what `records` complete, in the transaction that commits `reached`."""
        async with self._taking:
            announced = [outgoing for record in records if (outgoing := self._take(record)) is not None]
            self._note_forgotten()
            idle = asyncio.get_running_loop().time() - self._committed_at >= IDLE_COMMIT_SECONDS
            if announced or (reached > self._committed and idle):
                await self._commit(announced, reached)
            if self._is_look_up_due():
                await self._look_up(reached)

    def _take(self, record: "ConsumerRecord[bytes, bytes]") -> OutgoingRecord | None:
        """What follows from the next record: that an image is everywhere, a dead letter, mostly nothing."""
        sighting = Sighting.from_record(record.key, record.headers)
        if sighting is None:
            return None
        try:
            statement = _statement(record, sighting) if self._table.completes(sighting) else None
        except MalformedRecordError as error:
            event(log, logging.ERROR, "readiness record refused", record=record_name(record), reason=error.reason)
            metrics.everywhere_refused.add(1)
            return dead_letter_record(record, "malformed", str(error), datetime.now(UTC))
        self._table.apply(sighting)
        return None if statement is None else self._announce(statement, record)

    def room(self) -> int:
        """Records are done with as soon as they are taken."""
        return _ROOM

    async def close(self) -> None:
        """Let a transaction under way end, then let go of the producer."""
        async with self._taking:
            await close_within(STOP_SECONDS, self._resources.aclose())

    async def _read_again(
        self, table: EverywhereTable, committed: int, images: Collection[Image] | None = None
    ) -> "list[ConsumerRecord[bytes, bytes]]":
        """Rebuild `table` from the log, for all images or some; returns what completed images and wasn't announced."""
        rebuild: Rebuild[ConsumerRecord[bytes, bytes]] = Rebuild(table, committed)
        end = await end_of_log(self._bus, self._partition)
        async with RangeReader(self._bus, self._partition) as reader:
            async for record in reader.records(await reader.oldest(), end):
                sighting = Sighting.from_record(record.key, record.headers)
                if sighting is None or (images is not None and (sighting.registry, sighting.image) not in images):
                    continue
                if not table.completes(sighting) or _is_sound(record, sighting):
                    rebuild.add(record.offset, sighting, record, _all_sites(record, sighting))
        return rebuild.unannounced()

    def _is_look_up_due(self) -> bool:
        if not self._table.doubtful:
            self._look_up_at = None
            return False
        now = asyncio.get_running_loop().time()
        self._look_up_at = self._look_up_at or now + self._look_up_pause
        return self._table.has_much_doubt or now >= self._look_up_at

    async def _look_up(self, reached: int) -> None:
        """Settle what is in doubt by reading the log again, up to `reached`, for these images only."""
        clock = asyncio.get_running_loop().time
        began = clock()
        images = self._table.doubtful
        found = EverywhereTable(self._sites, len(images))
        records = await self._read_again(found, reached, images)
        await self._announce_all(records, reached)
        self._table.settle(images, found)
        self._look_up_at = None
        self._look_up_pause = max(LOOK_UP_SECONDS, 10 * (clock() - began))
        metrics.everywhere_look_ups.add(1)

    def _note_forgotten(self) -> None:
        new = self._table.forgotten - self._forgotten
        if not new:
            return
        if not self._forgotten:
            message = "more images wait for a site than are remembered: the topic is read again when that site has them"
            event(log, logging.WARNING, message, partition=self._partition.partition, remembered=len(self._table))
        self._forgotten += new
        metrics.everywhere_forgotten.add(new)

    async def _announce_all(self, records: "list[ConsumerRecord[bytes, bytes]]", reached: int | None = None) -> None:
        position = self._committed if reached is None else reached
        for first in range(0, len(records), MOST_ANNOUNCED_AT_ONCE):
            some = records[first : first + MOST_ANNOUNCED_AT_ONCE]
            announced = [
                self._announce(Readiness.from_json(record.value or b"", record_name(record)), record) for record in some
            ]
            await self._commit(announced, position)

    def _announce(self, statement: Readiness, record: "ConsumerRecord[bytes, bytes]") -> OutgoingRecord:
        if statement.state is ReadinessState.READY:
            metrics.everywhere.add(1, {"registry": statement.registry})
        traceparent = dict(record.headers).get("traceparent", b"").decode(errors="replace") or None
        everywhere = everywhere_statement(statement, self._table.sites(statement.registry), datetime.now(UTC))
        outgoing, span = begin_sending(everywhere, extract_context(traceparent))
        self._sending.append(span)
        return outgoing

    async def _commit(self, announced: list[OutgoingRecord], reached: int) -> None:
        sending, self._sending = self._sending, []
        with until_sent(sending):
            await self._step.commit(announced, [Position(GROUP, self._partition, reached)])
        self._committed = reached
        self._committed_at = asyncio.get_running_loop().time()


def _statement(record: "ConsumerRecord[bytes, bytes]", sighting: Sighting) -> Readiness:
    """The record's value; MalformedRecordError where it isn't one that the verifier could have written."""
    if record_bytes(record) > LARGEST_RECORD_BYTES:
        raise MalformedRecordError(record_name(record), f"it has more than {LARGEST_RECORD_BYTES} bytes")
    statement = Readiness.from_json(record.value or b"", record_name(record))
    said = (statement.registry, statement.image, statement.site, statement.state, statement.event_id)
    if said != (sighting.registry, sighting.image, sighting.site, sighting.state, sighting.event_id):
        raise MalformedRecordError(record_name(record), "its value says something else than its key and headers")
    return statement


def _all_sites(record: "ConsumerRecord[bytes, bytes]", sighting: Sighting) -> frozenset[str] | None:
    """The sites that a record of every site speaks of; None where it is another record, or can't be read."""
    if sighting.site != EVERYWHERE:
        return None
    try:
        return frozenset(Readiness.from_json(record.value or b"", record_name(record)).sites)
    except MalformedRecordError:
        return None


def _is_sound(record: "ConsumerRecord[bytes, bytes]", sighting: Sighting) -> bool:
    try:
        _statement(record, sighting)
    except MalformedRecordError:
        return False  # a dead letter tells of it already
    return True
