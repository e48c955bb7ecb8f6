"""What farshore's topics and Kafka's own topic of positions hold, read from the beginning, for the auditor to judge.

Positions are read from `__consumer_offsets`, not polled: it holds every commit in order, also those that came and went
between two polls, and nothing has to run while faults are at work.
"""

import struct
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from kafka_log import read_from_the_beginning

from farshore.bus.clients import Bus
from farshore.bus.topics import ARRIVALS, DEADLETTER, EVENTS, READINESS
from farshore.errors import FarshoreError
from farshore.records.about_registry import is_about_registry
from farshore.records.arrivals import Arrival
from farshore.records.deadletters import DeadLetter, Redriven, parse_dead_letter
from farshore.records.events import Event
from farshore.records.readiness import Readiness

CONSUMER_OFFSETS = "__consumer_offsets"
TOPICS = (EVENTS, ARRIVALS, READINESS, DEADLETTER)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Logged(Generic[T]):
    """Something with its place in its topic."""

    partition: int
    offset: int
    what: T


@dataclass(frozen=True, slots=True)
class Commit:
    """A group's position on a partition as it was committed; None: Kafka was told to forget it."""

    group: str
    topic: str
    partition: int
    offset: int | None


@dataclass
class Evidence:
    """All that was written, in each partition's order."""

    events: list[Logged[Event]] = field(default_factory=list)
    arrivals: list[Logged[Arrival]] = field(default_factory=list)
    statements: list[Logged[Readiness]] = field(default_factory=list)
    letters: list[Logged[DeadLetter]] = field(default_factory=list)
    marks: list[Logged[Redriven]] = field(default_factory=list)
    commits: list[Commit] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    records: int = 0

    def take(self, record: "ConsumerRecord[bytes, bytes]") -> None:
        """Take in the next record of one of the topics."""
        self.records += 1
        where = f"{record.topic}/{record.partition}@{record.offset}"
        try:
            self._parse(record, where)
        except FarshoreError as error:
            self.unreadable.append(f"{where}: {error}")

    def _parse(self, record: "ConsumerRecord[bytes, bytes]", where: str) -> None:
        place = (record.partition, record.offset)
        value = record.value or b""
        match record.topic:
            case EVENTS.name if is_about_registry(record.headers):
                pass  # requests and the like: no content, nothing to arrive
            case EVENTS.name:
                self.events.append(Logged(*place, Event.from_json(value, where)))
            case ARRIVALS.name:
                self.arrivals.append(Logged(*place, Arrival.from_record(record.headers, value, where)))
            case READINESS.name:
                self.statements.append(Logged(*place, Readiness.from_json(value, where)))
            case DEADLETTER.name:
                letter = parse_dead_letter(record.headers, value, where)
                if isinstance(letter, Redriven):
                    self.marks.append(Logged(*place, letter))
                else:
                    self.letters.append(Logged(*place, letter))
            case _:
                commit = parse_commit(record.key or b"", record.value)
                if commit is not None:
                    self.commits.append(commit)


def parse_commit(key: bytes, value: bytes | None) -> Commit | None:
    """A record of `__consumer_offsets`; None where it speaks of a group's members.

    Source: Kafka's OffsetCommitKey.json (versions 0 and 1: group, topic, partition) and OffsetCommitValue.json (in
    every version the offset stands first).
    """
    (version,) = struct.unpack_from(">h", key)
    if version > 1:
        return None
    group, at = _string(key, 2)
    topic, at = _string(key, at)
    (partition,) = struct.unpack_from(">i", key, at)
    return Commit(group, topic, partition, None if value is None else struct.unpack_from(">q", value, 2)[0])


def _string(data: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from(">h", data, at)
    return data[at + 2 : at + 2 + length].decode(), at + 2 + length


async def collect(bus: Bus) -> Evidence:
    """All evidence up to now."""
    evidence = Evidence()
    places = [TopicPartition(topic.name, number) for topic in TOPICS for number in range(topic.partitions)]
    places += [TopicPartition(CONSUMER_OFFSETS, number) for number in await _partitions(bus, CONSUMER_OFFSETS)]
    for record in await read_from_the_beginning(bus, places):
        evidence.take(record)
    return evidence


async def _partitions(bus: Bus, topic: str) -> list[int]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bus.bootstrap_servers)
    try:
        await admin.start()
        (description,) = await admin.describe_topics([topic])
        return [entry["partition"] for entry in description["partitions"]]
    finally:
        await admin.close()
