"""What a stretch of Kafka's own topic of transactions says; pure.

Source: Kafka 4.4, the records TransactionLogKey (version 0) and TransactionLogValue (0 and 1), and TransactionState.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from aiokafka import TopicPartition
from aiokafka.record import MemoryRecords

from farshore.bus.varint import varint

_KEPT = {2: True, 3: False}
"""States: the end is decided, and its marker is still to be written to each partition, which are named here last."""


@dataclass(frozen=True, slots=True)
class Stood:
    """At `at` in the log the transaction of `producer` stood over `partitions`; `kept` is None while it was open."""

    at: int
    producer: int
    kept: bool | None
    partitions: frozenset[TopicPartition]


class NewestEnds:
    """Finds how the newest transaction over `partition` of each of `producers`, all of one transactional id, ended.

    It is fed stretches of the log, the last stretch first. One that is still open is in `kept` as little as one that
    the log doesn't have.
    """

    def __init__(self, transactional_id: str, partition: TopicPartition, producers: Iterable[int]) -> None:
        self.transactional_id = transactional_id
        self.kept: dict[int, bool] = {}
        self._key = struct.pack(">hh", 0, len(transactional_id)) + transactional_id.encode()
        self._partition = partition
        self._wanted = set(producers)

    @property
    def complete(self) -> bool:
        """Whether all that the older stretches say is out of date."""
        return not self._wanted

    def read(self, data: bytes) -> tuple[list[Stood], int]:
        """What of `data`, which Kafka answered a fetch with, is of interest, and the offset behind it; -1 if empty."""
        entries: list[Stood] = []
        behind = -1
        batches = MemoryRecords(data)
        while (batch := batches.next_batch()) is not None:
            behind = batch.next_offset
            entries += [
                stood_of(record.offset, record.value)
                for record in batch
                if record.key == self._key and record.value is not None
            ]
        return entries, behind

    def add(self, stretch: list[Stood]) -> None:
        """Take in what `read` gave for the stretch right before the ones added so far."""
        for entry in reversed(stretch):
            if entry.producer in self._wanted and self._partition in entry.partitions:
                self._wanted.remove(entry.producer)
                if entry.kept is not None:
                    self.kept[entry.producer] = entry.kept


def stood_of(at: int, value: bytes) -> Stood:
    """A record's value; `at` is its offset."""
    version, producer, _epoch, _timeout, state = struct.unpack_from(">hqhib", value)
    read = _compact if version >= 1 else _plain
    return Stood(at, producer, _KEPT.get(state), frozenset(read(value, struct.calcsize(">hqhib"))))


def _plain(value: bytes, at: int) -> Iterable[TopicPartition]:
    """The partitions in a record of version 0."""
    (topics,), at = struct.unpack_from(">i", value, at), at + 4
    for _ in range(topics):  # -1 where there are none
        (size,), at = struct.unpack_from(">h", value, at), at + 2
        topic, at = value[at : at + size].decode(), at + size
        (count,), at = struct.unpack_from(">i", value, at), at + 4
        for number in struct.unpack_from(f">{count}i", value, at):
            yield TopicPartition(topic, number)
        at += 4 * count


def _compact(value: bytes, at: int) -> Iterable[TopicPartition]:
    """The partitions in a record of version 1; sizes are one more than they say, and 0 for nothing."""
    topics, at = varint(value, at)
    for _ in range(topics - 1):
        size, at = varint(value, at)
        topic, at = value[at : at + size - 1].decode(), at + size - 1
        count, at = varint(value, at)
        for number in struct.unpack_from(f">{count - 1}i", value, at):
            yield TopicPartition(topic, number)
        at = _behind_tags(value, at + 4 * (count - 1))


def _behind_tags(value: bytes, at: int) -> int:
    """What follows the tagged fields at `at`."""
    tags, at = varint(value, at)
    for _ in range(tags):
        _tag, at = varint(value, at)
        size, at = varint(value, at)
        at += size
    return at
