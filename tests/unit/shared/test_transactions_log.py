"""How a transaction ended is the newest thing that Kafka's log of transactions says of it."""

import struct

import pytest
from aiokafka import TopicPartition

from farshore.bus.transactions_log import NewestEnds, Stood, stood_of

PLACE = TopicPartition("__consumer_offsets", 3)
OTHER = TopicPartition("__consumer_offsets", 4)


def stood(at: int, kept: bool | None, producer: int = 7, partition: TopicPartition = PLACE) -> Stood:
    return Stood(at, producer, kept, frozenset({partition, TopicPartition("arrivals", 0)}))


def search(*stretches: list[Stood], producers: tuple[int, ...] = (7,)) -> NewestEnds:
    """`stretches` in the log's order."""
    found = NewestEnds("id", PLACE, producers)
    for stretch in reversed(stretches):
        found.add(stretch)
    return found


@pytest.mark.parametrize("kept", [True, False])
def test_the_newest_transaction_over_the_partition_counts(kept: bool) -> None:
    found = search([stood(0, not kept)], [stood(1, None), stood(2, kept)], [stood(3, None, partition=OTHER)])
    assert found.kept == {7: kept}
    assert found.complete


def test_one_that_is_open_is_not_taken_for_the_one_before() -> None:
    found = search([stood(0, None), stood(1, True), stood(2, None)])
    assert found.kept == {}
    assert found.complete


def test_one_over_another_partition_says_nothing_and_more_has_to_be_read() -> None:
    found = search([stood(0, True, partition=OTHER)])
    assert found.kept == {}
    assert not found.complete


def test_each_producer_has_its_own() -> None:
    found = search([stood(0, True, producer=7), stood(1, False, producer=8)], producers=(7, 8, 9))
    assert found.kept == {7: True, 8: False}
    assert not found.complete


@pytest.mark.parametrize(
    ("state", "kept"), [(0, None), (1, None), (2, True), (3, False), (4, None), (5, None), (6, None), (7, None)]
)
def test_only_prepared_ends_are_ends(state: int, kept: bool | None) -> None:
    """Complete ones name no partitions, so nobody knows which transaction they complete."""
    assert stood_of(5, struct.pack(">hqhibi", 0, 7, 2, 60_000, state, -1)) == Stood(5, 7, kept, frozenset())


def test_the_older_version_of_a_record_is_read() -> None:
    value = struct.pack(">hqhib", 0, 7, 2, 60_000, 2) + struct.pack(">i", 2)
    value += struct.pack(">h", len(PLACE.topic)) + PLACE.topic.encode() + struct.pack(">iii", 2, 3, 4)
    value += struct.pack(">h", 1) + b"x" + struct.pack(">ii", 1, 0) + bytes(16)
    assert stood_of(1, value) == Stood(1, 7, True, frozenset({PLACE, OTHER, TopicPartition("x", 0)}))


def test_the_newer_version_of_a_record_is_read() -> None:
    tags = bytes([1, 0, 3]) + b"abc"  # one field, number 0, three bytes
    value = struct.pack(">hqhib", 1, 7, 2, 60_000, 3) + bytes([3])
    value += bytes([len(PLACE.topic) + 1]) + PLACE.topic.encode() + bytes([3]) + struct.pack(">ii", 3, 4) + tags
    value += bytes([2]) + b"x" + bytes([2]) + struct.pack(">i", 0) + bytes([0]) + bytes(16) + tags
    assert stood_of(1, value) == Stood(1, 7, False, frozenset({PLACE, OTHER, TopicPartition("x", 0)}))


def test_a_record_without_partitions_is_read_in_both_versions() -> None:
    assert stood_of(1, struct.pack(">hqhibi", 0, 7, 2, 60_000, 4, -1) + bytes(16)).partitions == frozenset()
    assert stood_of(1, struct.pack(">hqhib", 1, 7, 2, 60_000, 4) + bytes([0]) + bytes(17)).partitions == frozenset()
