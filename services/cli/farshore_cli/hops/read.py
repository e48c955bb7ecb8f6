"""Reads from Kafka how far each relationship lags, and what its transfers came to."""

import time
from collections import defaultdict
from collections.abc import Iterable

from aiokafka import TopicPartition

from farshore.bus.clients import Bus
from farshore.bus.committed import committed_positions, offsets_in
from farshore.bus.incarnation import topic_incarnation
from farshore.bus.partition_of import partition_of
from farshore.bus.range_reader import RangeLostError, RangeReader
from farshore.bus.topics import EVENTS, TRANSFERS
from farshore.records.about_registry import is_about_registry
from farshore.records.cloudevent import MalformedRecordError
from farshore.records.transfers import TransferRecord
from farshore.topology import Relationship
from farshore_cli.hops.hop import Lag, Traffic, traffic_of
from farshore_cli.recent import recent_records

_MOST_RECORDS = 10_000
"""How many records of other registries are looked through for the oldest event of one; beyond, its age is unknown."""


async def read_lags(bus: Bus, relationships: Iterable[Relationship]) -> dict[str, Lag]:
    """How far each relationship lags, by name; one that has no position yet is left out.

    Raises FarshoreError or one of KAFKA_FAILURES.
    """
    by_partition: defaultdict[int, list[Relationship]] = defaultdict(list)
    for one in relationships:
        by_partition[partition_of(one.registry.encode(), range(EVENTS.partitions))].append(one)
    client = bus.client()
    try:
        await client.bootstrap()
        incarnation = await topic_incarnation(client, EVENTS.name)
    finally:
        await client.close()
    found: dict[str, Lag] = {}
    for number, some in by_partition.items():
        partition = TopicPartition(EVENTS.name, number)
        committed = await committed_positions(bus, [one.consumer_group for one in some], partition)
        positions = offsets_in(incarnation, committed)
        async with RangeReader(bus, partition) as log:
            end = await log.stable_end()
            for one in some:
                position = positions.get(one.consumer_group)
                if position is not None:
                    found[one.name] = Lag(max(0, end - position), await _age(log, one.registry, position, end))
    return found


async def read_traffic(bus: Bus, seconds: float) -> dict[str, Traffic]:
    """What the transfers of the last `seconds` came to, by relationship; fails as `read_lags` does."""
    records = []
    async for kind, value in recent_records(bus, TRANSFERS, seconds):
        if kind is not None and kind.startswith(b"io.farshore.transfer."):
            try:
                records.append(TransferRecord.from_json(value, TRANSFERS.name))
            except MalformedRecordError:
                continue
    return traffic_of(records)


async def _age(log: RangeReader, registry: str, start: int, end: int) -> float | None:
    """How long ago the registry's oldest event of [start, end) was written, by Kafka's clock; 0 where there is none."""
    seen = 0
    try:
        async for record in log.records(start, end):
            if record.key == registry.encode() and not is_about_registry(record.headers):
                return max(0.001, time.time() - float(record.timestamp) / 1000)
            seen += 1
            if seen >= _MOST_RECORDS:
                return None
    except RangeLostError:
        return None
    return 0.0
