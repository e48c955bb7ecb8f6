"""Publishes arrivals: streams a range of events to `farshore.arrivals`, chunk by chunk, each with the new position."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from aiokafka import ConsumerRecord, TopicPartition
from opentelemetry import trace
from opentelemetry.context import Context

from farshore.bus.exactly_once import ExactlyOnceStep, Position
from farshore.bus.lasting_producer import LastingProducer
from farshore.bus.outgoing import OutgoingRecord
from farshore.bus.range_reader import RangeLostError, RangeReader
from farshore.bus.topics import ARRIVALS
from farshore.records.about_registry import ABOUT_REGISTRY_TYPES
from farshore.records.arrivals import ArrivalHeaders, Passage
from farshore.telemetry import current_traceparent, exporting
from farshore.telemetry.spans import sends, span
from farshore.telemetry.traces import links_to
from farshore.topology import Relationship
from farshore_coalescer.deduplicate import WINDOW, Recent
from farshore_coalescer.fell_off import ask_for_reconcile
from farshore_coalescer.messages import Publish
from farshore_coalescer.snapshot_names import Log

CHUNK = 2000
"""Records a transaction: what a transaction costs is then little beside its records, and memory stays bounded."""

_TRACER = trace.get_tracer("farshore.coalescer")


_Announced = tuple[ConsumerRecord[bytes, bytes], dict[str, bytes | None]]
"""A record of `farshore.events`, and its headers by name."""


class Reached(NamedTuple):
    """A committed position; `lost`: it was moved past what Kafka no longer has."""

    position: int
    lost: bool = False


class Publisher:
    """Publishes for all relationships of one partition. Chunks of different relationships take turns.

    `reader`, `step` and `producer` are entered. A failure of `step` ends the lane, since only Kafka then
    knows the position.
    """

    def __init__(
        self,
        log: Log,
        partition: TopicPartition,
        reader: RangeReader,
        step: ExactlyOnceStep,
        producer: LastingProducer,
    ) -> None:
        self._log = log
        self._partition = partition
        self._reader = reader
        self._step = step
        self._producer = producer
        self._turn = asyncio.Lock()
        self._recent: dict[str, tuple[int, Recent]] = {}

    async def publish(
        self, relationship: Relationship, action: Publish, brought_by: Context | None = None
    ) -> AsyncIterator[Reached]:
        """Publish `[action.start, action.end)`; yields each committed position. `brought_by` is the transfer's span.

        What retention deleted before it was published can't be: a reconcile is asked for, and the position moves to
        the oldest record there is, which may lie beyond `action.end`.
        """
        passage = Passage(
            site=relationship.site,
            snapshot=action.proof.name,
            snapshot_version=action.proof.version,
            transfer=action.transfer,
            arrived_at=datetime.now(UTC),
        )
        position = action.start
        if action.start == action.end:  # nothing new: the position is only written again, lest Kafka forget it
            async with self._turn:
                await self._commit(relationship, [], position)
            yield Reached(position)
        while position < action.end:
            async with self._turn:
                try:
                    recent = await self._window_before(relationship, position)
                    reached, chunk = await self._reader.chunk(position, action.end, most=CHUNK)
                except RangeLostError as error:
                    if position < error.oldest:
                        position = await self._move_to_oldest(relationship, position, error.oldest)
                        yield Reached(position, lost=True)
                    elif error.wanted >= error.oldest:  # not before the log's beginning, so beyond its end
                        raise
                    continue
                self._recent.pop(relationship.name)  # what it takes in counts only once it is committed
                announced = self._announced(relationship, recent, chunk)
                if announced and exporting():
                    await self._send_traced(relationship, passage, announced, reached, brought_by)
                else:
                    await self._send(relationship, passage, announced, reached)
                self._recent[relationship.name] = (reached, recent)
            position = reached
            yield Reached(position)

    async def _move_to_oldest(self, relationship: Relationship, position: int, oldest: int) -> int:
        await ask_for_reconcile(self._producer, self._log, relationship, position, oldest)
        await self._commit(relationship, [], oldest)
        return oldest

    async def _window_before(self, relationship: Relationship, position: int) -> Recent:
        """The ids of the records before `position`, from memory or from the log."""
        kept = self._recent.get(relationship.name)
        if kept is not None and kept[0] == position:
            return kept[1]
        recent = Recent()
        start = max(position - WINDOW, await self._reader.oldest())
        async for record in self._reader.records(start, position):
            if record.key == relationship.registry.encode():
                recent.is_repeated(record.offset, dict(record.headers).get("ce_id", b""))
        self._recent[relationship.name] = (position, recent)
        return recent

    @staticmethod
    def _announced(
        relationship: Relationship, recent: Recent, chunk: list[ConsumerRecord[bytes, bytes]]
    ) -> list[_Announced]:
        """The records of `chunk` that lead to an arrival, with their headers."""
        registry = relationship.registry.encode()
        found: list[_Announced] = []
        for record in chunk:
            if record.key != registry or record.value is None:
                continue
            headers = dict(record.headers)
            if headers.get("ce_type") in ABOUT_REGISTRY_TYPES:
                continue
            if not recent.is_repeated(record.offset, headers.get("ce_id", b"")):
                found.append((record, headers))
        return found

    async def _send(
        self, relationship: Relationship, passage: Passage, announced: list[_Announced], reached: int
    ) -> None:
        """Commit the arrivals of these events with the position."""
        headers = ArrivalHeaders(passage, self._log.incarnation, self._log.partition)
        arrivals = [_arrival(record, known, headers) for record, known in announced]
        await self._commit(relationship, arrivals, reached)

    async def _send_traced(
        self,
        relationship: Relationship,
        passage: Passage,
        announced: list[_Announced],
        reached: int,
        brought_by: Context | None,
    ) -> None:
        """The same in a span that links to the events' own."""
        attributes = {
            **sends(ARRIVALS.name),
            "messaging.batch.message_count": len(announced),
            "farshore.relationship": relationship.name,
        }
        links = links_to(_text(known.get("traceparent")) for _, known in announced)
        name = f"send {ARRIVALS.name}"
        with span(_TRACER, name, trace.SpanKind.PRODUCER, attributes, context=brought_by, links=links):
            passage = replace(passage, batch_trace=current_traceparent())
            await self._send(relationship, passage, announced, reached)

    async def _commit(self, relationship: Relationship, arrivals: list[OutgoingRecord], position: int) -> None:
        place = Position(relationship.consumer_group, self._partition, position, self._log.incarnation)
        await self._step.commit(arrivals, [place])


def _arrival(
    record: ConsumerRecord[bytes, bytes], known: Mapping[str, bytes | None], headers: ArrivalHeaders
) -> OutgoingRecord:
    repository = known.get("ce_subject") or b""
    return OutgoingRecord(
        topic=ARRIVALS.name,
        key=repository,
        value=record.value or b"",
        headers=headers.of(
            known.get("ce_id") or b"",
            known.get("ce_source") or b"",
            repository,
            record.offset,
            known.get("traceparent"),
        ),
    )


def _text(raw: bytes | None) -> str | None:
    return raw.decode(errors="replace") if raw else None
