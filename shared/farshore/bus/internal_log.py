"""Reads a partition of a topic that Kafka keeps for itself, from its leader, from the end backwards."""

from typing import Protocol, TypeVar

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import LeaderNotAvailableError, OffsetOutOfRangeError, for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest

_STRETCH = 4096
"""How many offsets are looked through first, from the end; then four times as many, and so on."""
_BYTES = 2 * 1024 * 1024  # of one fetch: reading it shouldn't hold up the event loop for long
_EARLIEST, _LATEST = -2, -1
_OFFSET_NOT_AVAILABLE = 78  # Kafka protocol, error codes; aiokafka 0.14 doesn't know this one


class Entry(Protocol):
    """What a record says, and its offset."""

    @property
    def at(self) -> int: ...


E = TypeVar("E", bound=Entry)


class NewestWanted(Protocol[E]):
    """Whoever looks for the newest of something."""

    @property
    def complete(self) -> bool:
        """Whether all that the older stretches say is out of date."""

    def read(self, data: bytes) -> tuple[list[E], int]:
        """Entries of what Kafka answered a fetch with, and the offset behind it, -1 if it is empty."""

    def add(self, stretch: list[E]) -> None:
        """Take in the entries of the stretch right before the ones added so far."""


async def partition_count(client: AIOKafkaClient, topic: str) -> int:
    """How many partitions `topic` has; raises LeaderNotAvailableError where there is none, or it may not be read."""
    await client.add_topic(topic)
    numbers = client.cluster.partitions_for_topic(topic)
    if not numbers:
        raise LeaderNotAvailableError(f"{topic} isn't there yet, or may not be read")
    return len(numbers)


class InternalLog:
    """One partition's log. Its methods raise KafkaError; `client` knows the topic."""

    def __init__(self, client: AIOKafkaClient, partition: TopicPartition) -> None:
        leader = client.cluster.leader_for_partition(partition)
        if leader is None or leader < 0:
            raise LeaderNotAvailableError(f"{partition.topic} {partition.partition} has no leader")
        self._client = client
        self._leader = leader
        self._partition = partition

    async def look_through(self, search: NewestWanted[E]) -> None:
        """Feed `search` one stretch of the log after the other, the last first, until it is complete or no more is
        there."""
        begin, until = await self._bound(_EARLIEST), await self._bound(_LATEST)
        stretch = _STRETCH
        while until > begin and not search.complete:
            since = max(begin, until - stretch)
            entries: list[E] = []
            at = since
            while at < until:
                some, at = search.read(await self._fetch(at))
                if at < 0:
                    raise LeaderNotAvailableError(f"{self._partition.topic} ends before {until} now")
                entries += some
            search.add([entry for entry in entries if since <= entry.at < until])
            until, stretch = since, stretch * 4

    async def _bound(self, which: int) -> int:
        """Where it begins or ends; not at the end of what is stable, which anybody's open transaction holds back."""
        topic, number = self._partition
        response = await self._client.send(self._leader, OffsetRequest(-1, 0, [(topic, [(number, which)])]))
        ((_, ((_, code, _, offset, *_),)),) = response.topics
        _check(code)
        return int(offset)

    async def _fetch(self, offset: int) -> bytes:
        """Some records from the batch of `offset` on, of open and aborted transactions too."""
        topic, number = self._partition
        response = await self._client.send(
            self._leader, FetchRequest(500, 1, _BYTES, 0, [(topic, [(number, offset, _BYTES)])])
        )
        ((_, ((_, code, *_, data),)),) = response.topics
        _check(code)
        return bytes(data)


def _check(code: int) -> None:
    """Raise the KafkaError of an answer's `code`."""
    if code in (_OFFSET_NOT_AVAILABLE, OffsetOutOfRangeError.errno):
        raise LeaderNotAvailableError("what the new leader has isn't known yet to be replicated")
    if code:
        raise for_code(code)
