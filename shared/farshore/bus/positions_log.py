"""What a stretch of Kafka's own topic of positions says; pure.

Source: Kafka 4.4, the records OffsetCommitKey (versions 0 and 1), OffsetCommitValue (0 to 4) and the end-transaction
marker.
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from aiokafka import TopicPartition
from aiokafka.record import MemoryRecords
from aiokafka.structs import OffsetAndMetadata

from farshore.bus.varint import varint

_KEY_VERSIONS = (0, 1)  # others are keys of something else, members of a group for instance
_COMMIT = 1


@dataclass(frozen=True, slots=True)
class Moved:
    """At `at` in the log `group`'s position became `to`, or was forgotten; in a transaction unless `producer` is -1."""

    at: int
    producer: int
    group: str
    to: OffsetAndMetadata | None


@dataclass(frozen=True, slots=True)
class Ended:
    """At `at` in the log the transaction that `producer` had open ended."""

    at: int
    producer: int
    kept: bool


class NewestFirst:
    """Finds the newest position of each of `groups` on `partition` in stretches of the log, the last stretch first.

    `kept` says how producers' transactions ended whose ends the log doesn't have.
    """

    def __init__(
        self, groups: Iterable[str], partition: TopicPartition, kept: Mapping[int, bool] = MappingProxyType({})
    ) -> None:
        self._groups = {_key(group, partition): group for group in groups}
        self._kept = dict(kept)
        self.found: dict[str, OffsetAndMetadata | None] = {}
        self.undecided: dict[str, int] = {}
        """The producer in whose transaction a group's newest position is."""

    @property
    def complete(self) -> bool:
        """Whether all that the older stretches say is out of date."""
        return len(self.found) + len(self.undecided) == len(self._groups)

    def read(self, data: bytes) -> tuple[list[Moved | Ended], int]:
        """What of `data`, which Kafka answered a fetch with, is of interest, and the offset behind it; -1 if empty."""
        entries: list[Moved | Ended] = []
        behind = -1
        batches = MemoryRecords(data)
        while (batch := batches.next_batch()) is not None:
            behind = batch.next_offset
            for record in batch:
                key = record.key or b""
                if batch.is_control_batch:
                    _version, kind = struct.unpack_from(">hh", key)
                    entries.append(Ended(record.offset, batch.producer_id, kind == _COMMIT))
                elif (group := self._groups.get(key[2:])) is not None and int.from_bytes(key[:2]) in _KEY_VERSIONS:
                    to = position_of(record.value) if record.value is not None else None
                    entries.append(Moved(record.offset, batch.producer_id, group, to))
        return entries, behind

    def add(self, stretch: list[Moved | Ended]) -> None:
        """Take in what `read` gave for the stretch right before the ones added so far."""
        for entry in reversed(stretch):
            if isinstance(entry, Ended):
                self._kept[entry.producer] = entry.kept
            elif entry.group in self.found or entry.group in self.undecided:
                continue
            elif entry.producer < 0 or self._kept.get(entry.producer):
                self.found[entry.group] = entry.to
            elif entry.producer not in self._kept:
                self.undecided[entry.group] = entry.producer


def position_of(value: bytes) -> OffsetAndMetadata:
    """The position in a record's value."""
    version, offset = struct.unpack_from(">hq", value)
    at = 10 + (4 if version >= 3 else 0)  # behind the leader's epoch
    if version >= 4:
        size, at = varint(value, at)
        size -= 1
    else:
        (size,), at = struct.unpack_from(">h", value, at), at + 2
    return OffsetAndMetadata(offset, value[at : at + size].decode())


def _key(group: str, partition: TopicPartition) -> bytes:
    names = b"".join(struct.pack(">h", len(name)) + name for name in (group.encode(), partition.topic.encode()))
    return names + struct.pack(">i", partition.partition)
