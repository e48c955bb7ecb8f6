"""What readiness says of one site's images, and its end."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from aiokafka import TopicPartition

from farshore.bus.clients import Bus
from farshore.bus.end_of_log import end_of_log
from farshore.bus.partition_of import partition_of
from farshore.bus.range_reader import RangeReader
from farshore.bus.topics import READINESS
from farshore.records.cloudevent import MalformedRecordError
from farshore.records.readiness import Readiness, ReadinessState
from farshore.telemetry import next_traceparent

Wanted = Callable[[Readiness], bool]


async def ready_images(bus: Bus, site: str, wanted: Wanted) -> list[Readiness]:
    """The images of which `ready` is the last word at `site`, and that are `wanted`. Raises KAFKA_FAILURES."""
    producer = bus.producer()
    try:
        await producer.start()
        partitions = sorted(await producer.partitions_for(READINESS.name))
    finally:
        await producer.stop()
    last: dict[bytes, Readiness] = {}
    for number in partitions:
        await _read(bus, TopicPartition(READINESS.name, number), site, wanted, last)
    return list(last.values())


async def _read(bus: Bus, place: TopicPartition, site: str, wanted: Wanted, last: dict[bytes, Readiness]) -> None:
    end = await end_of_log(bus, place)
    async with RangeReader(bus, place) as reader:
        async for record in reader.records(await reader.oldest(), end):
            headers = dict(record.headers)
            if headers.get("ce_site") != site.encode() or record.key is None:
                continue
            last.pop(record.key, None)
            if headers.get("ce_state") != ReadinessState.READY.encode():
                continue
            try:
                statement = Readiness.from_json(record.value or b"", f"{place.topic}/{place.partition}")
            except MalformedRecordError:
                continue  # it makes nothing ready
            if wanted(statement):
                last[record.key] = statement


async def revoke(bus: Bus, statements: Iterable[Readiness], reason: str) -> int:
    """Say of each image that its site serves it no longer; returns of how many. Repeating it harms nothing. Raises
    KAFKA_FAILURES."""
    producer = bus.producer()
    now = datetime.now(UTC)
    acknowledgements = []
    try:
        await producer.start()
        partitions = sorted(await producer.partitions_for(READINESS.name))
        for statement in statements:
            gone = statement.model_copy(
                update={
                    "state": ReadinessState.REVOKED,
                    "reason": reason,
                    "level": None,
                    "platforms": [],
                    "bytes_verified": 0,
                    "receipt": None,
                    "ready_at": now,
                }
            )
            record = gone.to_cloudevent(traceparent=next_traceparent(None))
            acknowledgements.append(
                await producer.send(
                    READINESS.name,
                    record.data,
                    key=gone.key.encode(),
                    headers=record.headers(),
                    partition=partition_of(gone.partition_by, partitions),
                )
            )
        for acknowledgement in acknowledgements:
            await acknowledgement
    finally:
        await producer.stop()
    return len(acknowledgements)
