"""The range reader on a real Kafka: exactly the range, in bounded chunks, whatever lies between the records."""

from collections.abc import AsyncIterator

import pytest
from aiokafka import TopicPartition
from kafka_log import delete_before, make_topic, write, write_transaction

from farshore.bus.clients import Bus
from farshore.bus.end_of_log import end_of_log
from farshore.bus.range_reader import RangeLostError, RangeReader
from farshore.errors import FarshoreError, RetryClass

pytestmark = pytest.mark.integration


@pytest.fixture
def bus(kafka_bootstrap: str) -> Bus:
    return Bus(kafka_bootstrap)


@pytest.fixture
async def place(bus: Bus, unique: str) -> TopicPartition:
    await make_topic(bus.bootstrap_servers, unique)
    return TopicPartition(unique, 0)


@pytest.fixture
async def reader(bus: Bus, place: TopicPartition) -> AsyncIterator[RangeReader]:
    async with RangeReader(bus, place) as entered:
        yield entered


async def read(reader: RangeReader, start: int, end: int, *, most: int = 2000) -> list[tuple[int, bytes | None]]:
    """Offsets and values of the range; fails when the reader doesn't go on or goes beyond the end."""
    found: list[tuple[int, bytes | None]] = []
    while start < end:
        reached, chunk = await reader.chunk(start, end, most=most)
        assert start < reached <= end
        assert len(chunk) <= most
        assert all(start <= record.offset < reached for record in chunk)
        found += [(record.offset, record.value) for record in chunk]
        start = reached
    return found


def numbered(start: int, end: int) -> list[tuple[int, bytes]]:
    return [(number, b"%d" % number) for number in range(start, end)]


async def test_a_range_is_read_exactly(bus: Bus, place: TopicPartition, reader: RangeReader) -> None:
    await write(bus, place.topic, (b"%d" % number for number in range(50)))
    for start, end in [(0, 50), (0, 1), (49, 50), (10, 20)]:
        assert await read(reader, start, end) == numbered(start, end)


@pytest.mark.parametrize("most", [1, 7, 49, 50, 51])
async def test_a_range_comes_in_chunks_of_the_wanted_size(
    bus: Bus, place: TopicPartition, reader: RangeReader, most: int
) -> None:
    await write(bus, place.topic, (b"%d" % number for number in range(50)))
    assert await read(reader, 5, 45, most=most) == numbered(5, 45)


async def test_ranges_forwards_backwards_and_overlapping_can_alternate(
    bus: Bus, place: TopicPartition, reader: RangeReader
) -> None:
    await write(bus, place.topic, (b"%d" % number for number in range(100)))
    one, other = 0, 40
    for _ in range(8):  # as two relationships of a lane do, each at its own place
        reached, chunk = await reader.chunk(one, 90, most=5)
        assert [record.offset for record in chunk] == list(range(one, reached))
        one = reached
        reached, chunk = await reader.chunk(other, 100, most=3)
        assert [record.offset for record in chunk] == list(range(other, reached))
        other = reached
    for start, end in [(90, 100), (0, 10), (5, 15), (0, 100)]:
        assert await read(reader, start, end) == numbered(start, end)


async def test_records_written_later_are_read_after_the_end_was_reached(
    bus: Bus, place: TopicPartition, reader: RangeReader
) -> None:
    for batch in range(3):
        await write(bus, place.topic, (b"%d" % number for number in range(batch * 5, batch * 5 + 5)))
        assert await read(reader, batch * 5, batch * 5 + 5) == numbered(batch * 5, batch * 5 + 5)


async def test_what_is_beyond_the_end_is_never_returned(bus: Bus, place: TopicPartition, reader: RangeReader) -> None:
    await write(bus, place.topic, (b"%d" % number for number in range(1000)))  # one batch, fetched as a whole
    for end in (1, 499, 999):
        assert await read(reader, 0, end) == numbered(0, end)


async def test_transaction_markers_and_aborted_records_are_passed_over(
    bus: Bus, place: TopicPartition, reader: RangeReader
) -> None:
    producer = bus.transactional_producer(place.topic)
    await producer.start()
    try:
        await write_transaction(producer, place.topic, [b"a", b"b"])  # 0, 1, marker 2
        await write_transaction(producer, place.topic, [b"x", b"y"], commit=False)  # 3, 4, marker 5
        await write_transaction(producer, place.topic, [b"c"])  # 6, marker 7
    finally:
        await producer.stop()
    assert await end_of_log(bus, place) == 8
    assert await read(reader, 0, 8) == [(0, b"a"), (1, b"b"), (6, b"c")]
    assert await read(reader, 0, 8, most=1) == [(0, b"a"), (1, b"b"), (6, b"c")]
    for start, end in [(2, 3), (3, 5), (2, 6), (7, 8)]:
        assert await read(reader, start, end) == []


async def test_an_open_transaction_counts_for_the_end_but_isnt_read_until_it_is_decided(
    bus: Bus, place: TopicPartition, reader: RangeReader
) -> None:
    await write(bus, place.topic, [b"0"])
    producer = bus.transactional_producer(place.topic)
    await producer.start()
    try:
        await producer.begin_transaction()
        await producer.send_and_wait(place.topic, b"1", partition=0)
        assert await end_of_log(bus, place) == 2
        assert await read(reader, 0, 1) == [(0, b"0")]
        with pytest.raises(FarshoreError, match="sent nothing") as caught:
            await reader.chunk(1, 2, silence_seconds=0.5)
        assert caught.value.retry is RetryClass.RETRY_SOON
        await producer.commit_transaction()
        assert await read(reader, 1, 3) == [(1, b"1")]
    finally:
        await producer.stop()


async def test_a_range_whose_beginning_was_deleted_is_lost_and_says_what_is_left(
    bus: Bus, place: TopicPartition, reader: RangeReader
) -> None:
    await write(bus, place.topic, (b"%d" % number for number in range(20)))
    await delete_before(bus.bootstrap_servers, place, 12)
    assert await reader.oldest() == 12
    with pytest.raises(RangeLostError) as caught:
        await reader.chunk(5, 20)
    assert (caught.value.wanted, caught.value.oldest, caught.value.retry) == (5, 12, RetryClass.OPERATOR)
    assert await read(reader, 12, 20) == numbered(12, 20)


async def test_a_log_that_was_emptied_is_lost_too(bus: Bus, place: TopicPartition, reader: RangeReader) -> None:
    await write(bus, place.topic, [b"0", b"1"])
    await delete_before(bus.bootstrap_servers, place, 2)
    with pytest.raises(RangeLostError) as caught:
        await reader.chunk(0, 2)
    assert caught.value.oldest == 2


async def test_large_records_come_in_chunks_of_bounded_size(
    bus: Bus, place: TopicPartition, reader: RangeReader
) -> None:
    await write(bus, place.topic, (bytes(800_000) for _ in range(8)))
    sizes = []
    start = 0
    while start < 8:
        start, chunk = await reader.chunk(start, 8)
        sizes.append(sum(len(record.value or b"") for record in chunk))
    assert sum(sizes) == 8 * 800_000
    assert max(sizes) <= 2 * 1024 * 1024 + 800_000


async def test_the_records_of_a_range_come_one_by_one(bus: Bus, place: TopicPartition, reader: RangeReader) -> None:
    await write(bus, place.topic, (b"%d" % number for number in range(5000)))  # more than a chunk
    found = [(record.offset, record.value) async for record in reader.records(10, 4990)]
    assert found == numbered(10, 4990)
    assert [record async for record in reader.records(7, 7)] == []


async def test_who_stops_amid_a_range_can_read_on_elsewhere(
    bus: Bus, place: TopicPartition, reader: RangeReader
) -> None:
    await write(bus, place.topic, (b"%d" % number for number in range(50)))
    async for record in reader.records(0, 50):
        if record.offset == 3:
            break
    assert [(record.offset, record.value) async for record in reader.records(2, 6)] == numbered(2, 6)


async def test_a_reader_that_isnt_entered_is_a_mistake(bus: Bus) -> None:
    with pytest.raises(RuntimeError):
        await RangeReader(bus, TopicPartition("x", 0)).chunk(0, 1)
