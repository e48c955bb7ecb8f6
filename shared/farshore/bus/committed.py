"""Reads committed positions of consumer groups without joining them, from the log that Kafka keeps them in.

Asked for a position, a group coordinator answers from memory, and Kafka 4.4 may put one to work that hasn't read its
log: the end of a reading that began before the last change of leader counts as the end of the one that began after it.
Such a coordinator tells, stable and without an error, a position from long ago, or none. It writes rightly, though:
what was acknowledged is in the log. docs/adr/0008 has the whole story.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import BrokerResponseError, KafkaError, LeaderNotAvailableError, OffsetOutOfRangeError, for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.structs import OffsetAndMetadata

from farshore.bus.clients import Bus
from farshore.bus.offsets_topic import CONSUMER_OFFSETS, offsets_partition
from farshore.bus.positions_log import Ended, Moved, NewestFirst
from farshore.errors import FarshoreError, RetryClass

PATIENCE_SECONDS = 60.0
"""How long positions are asked for again while Kafka can't tell them, and how long reading its log may take."""
AGAIN_SECONDS = 0.02
TRANSACTION_OPEN = "a transaction that moves it is open"

_STRETCH = 4096
"""How many offsets are looked through first, from the end; then four times as many, and so on."""
_BYTES = 2 * 1024 * 1024  # of one fetch: reading it shouldn't hold up the event loop for long
_EARLIEST, _LATEST = -2, -1
_OFFSET_NOT_AVAILABLE = 78  # Kafka protocol, error codes; aiokafka 0.14 doesn't know this one


async def committed_positions(
    bus: Bus, groups: Iterable[str], partition: TopicPartition
) -> dict[str, OffsetAndMetadata | None]:
    """Each group's committed offset on `partition`, or None where it never committed one (or Kafka forgot it).

    Nothing that was committed before the call is missing from the answer, nor can anything be added to it later by
    whoever was fenced before the call: a leader tells the end of its log only once all that was acknowledged before is
    known to be replicated (KIP-207). An open transaction that moves a position is waited for. Takes longer where a
    group hasn't committed for long: more of the log is read. Raises FarshoreError: retry soon while Kafka can't say;
    operator where it refuses to.
    """
    wanted = set(groups)
    found: dict[str, OffsetAndMetadata | None] = {}
    reason = "Kafka doesn't answer"
    if not wanted:
        return found
    client = bus.client()
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await client.bootstrap()
            while wanted - found.keys():
                try:
                    found |= await _read(client, sorted(wanted - found.keys()), partition)
                    reason = TRANSACTION_OPEN
                except KafkaError as error:
                    if isinstance(error, BrokerResponseError) and not error.retriable:
                        raise FarshoreError(
                            "read position", min(wanted - found.keys()), str(error), retry=RetryClass.OPERATOR
                        ) from error
                    reason = str(error) or type(error).__name__
                    await client.force_metadata_update()
                if wanted - found.keys():
                    await asyncio.sleep(AGAIN_SECONDS)
    except TimeoutError as error:
        raise FarshoreError("read position", min(wanted - found.keys()), reason, retry=RetryClass.RETRY_SOON) from error
    finally:
        await client.close()
    return found


async def _read(
    client: AIOKafkaClient, groups: list[str], partition: TopicPartition
) -> dict[str, OffsetAndMetadata | None]:
    """The positions of those groups whose newest one is decided."""
    await client.coordinator_lookup(CoordinationType.GROUP, groups[0])  # makes Kafka create the topic if there is none
    await client.add_topic(CONSUMER_OFFSETS)
    numbers = client.cluster.partitions_for_topic(CONSUMER_OFFSETS)
    if not numbers:
        raise LeaderNotAvailableError(f"{CONSUMER_OFFSETS} isn't there yet, or may not be read")
    by_partition: defaultdict[int, list[str]] = defaultdict(list)
    for group in groups:
        by_partition[offsets_partition(group, len(numbers))].append(group)
    found: dict[str, OffsetAndMetadata | None] = {}
    for number, some in by_partition.items():
        leader = client.cluster.leader_for_partition(TopicPartition(CONSUMER_OFFSETS, number))
        if leader is None or leader < 0:
            raise LeaderNotAvailableError(f"{CONSUMER_OFFSETS} {number} has no leader")
        search = NewestFirst(some, partition)
        await _search(_Log(client, leader, number), search)
        found |= {group: search.found.get(group) for group in some if group not in search.undecided}
    return found


class _Log:
    """A partition of the topic of positions."""

    def __init__(self, client: AIOKafkaClient, leader: int, number: int) -> None:
        self._client = client
        self._leader = leader
        self._number = number

    async def bound(self, which: int) -> int:
        """Where it begins or ends; not at the end of what is stable, which anybody's open transaction holds back."""
        response = await self._client.send(
            self._leader, OffsetRequest(-1, 0, [(CONSUMER_OFFSETS, [(self._number, which)])])
        )
        ((_, ((_, code, _, offset, *_),)),) = response.topics
        _check(code)
        return int(offset)

    async def fetch(self, offset: int) -> bytes:
        """Some records from the batch of `offset` on, of open and aborted transactions too."""
        response = await self._client.send(
            self._leader, FetchRequest(500, 1, _BYTES, 0, [(CONSUMER_OFFSETS, [(self._number, offset, _BYTES)])])
        )
        ((_, ((_, code, *_, data),)),) = response.topics
        _check(code)
        return bytes(data)


async def _search(log: _Log, search: NewestFirst) -> None:
    """Look through `log` from its end backwards, until no group's position is missing or there is no more of it."""
    begin, until = await log.bound(_EARLIEST), await log.bound(_LATEST)
    stretch = _STRETCH
    while until > begin and not search.complete:
        since = max(begin, until - stretch)
        entries: list[Moved | Ended] = []
        at = since
        while at < until:
            some, at = search.read(await log.fetch(at))
            if at < 0:
                raise LeaderNotAvailableError(f"{CONSUMER_OFFSETS} ends before {until} now")
            entries += some
        search.add([entry for entry in entries if since <= entry.at < until])
        until, stretch = since, stretch * 4


def _check(code: int) -> None:
    """Raise the KafkaError of an answer's `code`."""
    if code in (_OFFSET_NOT_AVAILABLE, OffsetOutOfRangeError.errno):
        raise LeaderNotAvailableError("what the new leader has isn't known yet to be replicated")
    if code:
        raise for_code(code)
