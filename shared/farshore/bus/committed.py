"""Reads committed positions of consumer groups without joining them, from the log that Kafka keeps them in.

Asked for a position, a group coordinator answers from memory, and Kafka 4.4 may put one to work that hasn't read its
log: the end of a reading that began before the last change of leader counts as the end of the one that began after it.
Such a coordinator tells, stable and without an error, a position from long ago, or none. It writes rightly, though:
what was acknowledged is in the log. docs/adr/0008 has the whole story.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import BrokerResponseError, KafkaError
from aiokafka.structs import OffsetAndMetadata

from farshore.bus.clients import Bus
from farshore.bus.closing import STOP_SECONDS, close_within
from farshore.bus.internal_log import InternalLog, partition_count
from farshore.bus.internal_topics import CONSUMER_OFFSETS, TRANSACTION_STATE, coordinating_partition
from farshore.bus.positions_log import NewestFirst
from farshore.bus.transactions_log import NewestEnds
from farshore.errors import FarshoreError, RetryClass

PATIENCE_SECONDS = 60.0
"""How long positions are asked for again while Kafka can't tell them, and how long reading its log may take."""
AGAIN_SECONDS = 0.02

Positions = dict[str, OffsetAndMetadata | None]


@dataclass(slots=True)
class Found:
    """Each group's position, and which of them rest on what the transactions' coordinator wrote down, not on a marker
    in the log of positions: others can't tell them until the position is moved again."""

    positions: Positions = field(default_factory=dict)
    unmarked: set[str] = field(default_factory=set)


async def committed_positions(bus: Bus, groups: Iterable[str], partition: TopicPartition) -> Positions:
    """Each group's committed offset on `partition`, or None where it never committed one (or Kafka forgot it).

    Nothing that was committed before the call is missing from the answer, nor can anything be added to it later by
    whoever was fenced before the call: a leader tells the end of its log only once all that was acknowledged before is
    known to be replicated (KIP-207). An open transaction that moves a position is waited for. Takes longer where a
    group hasn't committed for long: more of the log is read. Raises FarshoreError: retry soon while Kafka can't say;
    operator where it refuses to.
    """
    return (await find_positions(bus, groups, partition)).positions


def offsets_in(incarnation: str, positions: Positions) -> dict[str, int]:
    """How far relationships' groups came in this incarnation of `farshore.events`; who has not begun is left out.

    The coalescer commits the incarnation beside the offset; a position without text was set by a tool of Kafka's.
    """
    return {
        group: position.offset
        for group, position in positions.items()
        if position is not None and position.metadata in ("", incarnation)
    }


async def find_positions(
    bus: Bus, groups: Iterable[str], partition: TopicPartition, transactional_id: str | None = None
) -> Found:
    """As `committed_positions`. Give `transactional_id` if all of its transactions are known to have ended, as they are
    for whoever has just started a producer with it: how one ended is then told also where Kafka lost the marker."""
    wanted = set(groups)
    found = Found()
    reason = "Kafka doesn't answer"
    if not wanted:
        return found
    client = bus.client()
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await client.bootstrap()
            while missing := sorted(wanted - found.positions.keys()):
                try:
                    await _read(client, missing, partition, transactional_id, found)
                    reason = "a transaction that moves it is open"
                except KafkaError as error:
                    if isinstance(error, BrokerResponseError) and not error.retriable:
                        raise FarshoreError(
                            "read position", missing[0], str(error), retry=RetryClass.OPERATOR
                        ) from error
                    reason = str(error) or type(error).__name__
                    await client.force_metadata_update()
                if wanted - found.positions.keys():
                    await asyncio.sleep(AGAIN_SECONDS)
    except TimeoutError as error:
        group = min(wanted - found.positions.keys())
        raise FarshoreError("read position", group, reason, retry=RetryClass.RETRY_SOON) from error
    finally:
        await close_within(STOP_SECONDS, client.close())
    return found


async def _read(
    client: AIOKafkaClient, groups: list[str], partition: TopicPartition, transactional_id: str | None, found: Found
) -> None:
    """Add the positions of those groups whose newest one is decided."""
    await client.coordinator_lookup(CoordinationType.GROUP, groups[0])  # makes Kafka create the topic if there is none
    count = await partition_count(client, CONSUMER_OFFSETS)
    by_partition: defaultdict[int, list[str]] = defaultdict(list)
    for group in groups:
        by_partition[coordinating_partition(group, count)].append(group)
    for number, some in by_partition.items():
        place = TopicPartition(CONSUMER_OFFSETS, number)
        search = await _search(client, place, NewestFirst(some, partition))
        found.positions |= search.found
        found.positions |= dict.fromkeys(set(some) - search.found.keys() - search.undecided.keys())
        if search.undecided and transactional_id is not None:
            ends = await _ends(client, NewestEnds(transactional_id, place, search.undecided.values()))
            again = await _search(client, place, NewestFirst(search.undecided, partition, ends))
            decided = search.undecided.keys() - again.undecided.keys()
            found.positions |= {group: again.found.get(group) for group in decided}
            found.unmarked |= decided


async def _search(client: AIOKafkaClient, place: TopicPartition, search: NewestFirst) -> NewestFirst:
    await InternalLog(client, place).look_through(search)
    return search


async def _ends(client: AIOKafkaClient, search: NewestEnds) -> dict[int, bool]:
    """Whether the newest transaction of each producer was kept, where the log says so."""
    number = coordinating_partition(search.transactional_id, await partition_count(client, TRANSACTION_STATE))
    await InternalLog(client, TopicPartition(TRANSACTION_STATE, number)).look_through(search)
    return search.kept
