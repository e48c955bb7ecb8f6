"""The exactly-once step on a real Kafka: records and position together or neither, and no zombie gets through."""

import asyncio
import random

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata
from kafka_log import make_topic, read_all

from farshore.bus.clients import Bus
from farshore.bus.committed import committed_positions
from farshore.bus.exactly_once import ExactlyOnceStep, FencedError, Position
from farshore.bus.outgoing import OutgoingRecord
from farshore.errors import FarshoreError, RetryClass

pytestmark = pytest.mark.integration


@pytest.fixture
def bus(kafka_bootstrap: str) -> Bus:
    return Bus(kafka_bootstrap)


@pytest.fixture
async def topic(bus: Bus, unique: str) -> str:
    await make_topic(bus.bootstrap_servers, unique, partitions=3)
    return unique


def record(topic: str, value: bytes, **more: bytes) -> OutgoingRecord:
    return OutgoingRecord(topic, b"key", value, [("name", b"text")], **more)


def position(topic: str, offset: int, metadata: str = "") -> Position:
    return Position(f"group-{topic}", TopicPartition(topic, 0), offset, metadata)


async def values(bus: Bus, topic: str) -> list[bytes]:
    return sorted([found.value or b"" for number in range(3) for found in await read_all(bus, topic, number)])


async def committed(bus: Bus, topic: str) -> OffsetAndMetadata | None:
    group = f"group-{topic}"
    return (await committed_positions(bus, [group], TopicPartition(topic, 0)))[group]


async def test_records_and_position_are_committed_together(bus: Bus, topic: str) -> None:
    async with ExactlyOnceStep(bus, topic) as step:
        await step.commit([record(topic, b"%d" % number) for number in range(5)], [position(topic, 17, "snapshot x")])
    assert await values(bus, topic) == [b"0", b"1", b"2", b"3", b"4"]
    assert await committed(bus, topic) == OffsetAndMetadata(17, "snapshot x")
    (found, *_) = [found for number in range(3) for found in await read_all(bus, topic, number)]
    assert (found.key, found.headers) == (b"key", (("name", b"text"),))


async def test_a_position_can_move_without_records(bus: Bus, topic: str) -> None:
    async with ExactlyOnceStep(bus, topic) as step:
        await step.commit([], [position(topic, 3)])
    assert await committed(bus, topic) == OffsetAndMetadata(3, "")


async def test_positions_on_several_partitions_move_together(bus: Bus, topic: str) -> None:
    group = f"group-{topic}"
    async with ExactlyOnceStep(bus, topic) as step:
        await step.commit([], [Position(group, TopicPartition(topic, number), 10 + number) for number in range(3)])
    for number in range(3):
        found = await committed_positions(bus, [group, f"{group}-other"], TopicPartition(topic, number))
        assert found == {group: OffsetAndMetadata(10 + number, ""), f"{group}-other": None}


async def test_positions_of_two_groups_are_refused_before_anything_is_written(bus: Bus, topic: str) -> None:
    place = TopicPartition(topic, 0)
    async with ExactlyOnceStep(bus, topic) as step:
        with pytest.raises(ValueError, match="one group"):
            await step.commit([record(topic, b"x")], [Position(f"{topic}-{name}", place, 1) for name in "ab"])
        await step.commit([record(topic, b"y")], [])
    assert await values(bus, topic) == [b"y"]


async def test_what_fails_on_the_way_leaves_neither_records_nor_position(bus: Bus, topic: str) -> None:
    too_large = [record(topic, b"lost"), record(topic, b"x" * 2_000_000)]
    async with ExactlyOnceStep(bus, topic) as step:
        await step.commit([record(topic, b"kept")], [position(topic, 1)])
        with pytest.raises(FarshoreError):
            await step.commit(too_large, [position(topic, 2)])
        assert await values(bus, topic) == [b"kept"]
        assert await committed(bus, topic) == OffsetAndMetadata(1, "")
        with pytest.raises(FarshoreError, match="an earlier commit of this step"):
            await step.commit([], [position(topic, 9)])
    async with ExactlyOnceStep(bus, topic) as step:
        await step.commit([record(topic, b"next")], [position(topic, 2)])
    assert await values(bus, topic) == [b"kept", b"next"]
    assert await committed(bus, topic) == OffsetAndMetadata(2, "")


async def test_a_record_too_large_for_kafka_is_not_worth_trying_again(bus: Bus, topic: str) -> None:
    async with ExactlyOnceStep(bus, topic) as step:
        with pytest.raises(FarshoreError, match="MessageSizeTooLarge") as caught:
            await step.commit([record(topic, b"x" * 2_000_000)], [])
    assert caught.value.retry is RetryClass.FINAL


async def test_a_cancelled_commit_leaves_nothing_and_spends_the_step(bus: Bus, topic: str) -> None:
    async with ExactlyOnceStep(bus, topic) as step:
        under_way = asyncio.create_task(
            step.commit([record(topic, b"%d" % number) for number in range(2000)], [position(topic, 2000)])
        )
        await asyncio.sleep(0)
        under_way.cancel()
        await asyncio.wait([under_way])
        assert under_way.cancelled()
        assert await committed(bus, topic) is None
        with pytest.raises(FarshoreError, match="an earlier commit of this step") as caught:
            await step.commit([], [position(topic, 9)])
        assert caught.value.retry is RetryClass.REDISCOVER
    async with ExactlyOnceStep(bus, topic) as step:
        await step.commit([record(topic, b"again")], [position(topic, 1)])
    assert await values(bus, topic) == [b"again"]


async def test_a_zombie_is_fenced_and_nothing_of_it_is_seen(bus: Bus, topic: str) -> None:
    async with ExactlyOnceStep(bus, topic) as zombie:
        await zombie.commit([record(topic, b"before")], [position(topic, 1)])
        async with ExactlyOnceStep(bus, topic) as owner:
            await owner.commit([record(topic, b"owner")], [position(topic, 2)])
            with pytest.raises(FencedError) as caught:
                await zombie.commit([record(topic, b"zombie")], [position(topic, 1)])
            assert caught.value.retry is RetryClass.REDISCOVER
            with pytest.raises(FencedError):  # and so it stays
                await zombie.commit([], [position(topic, 1)])
            await owner.commit([record(topic, b"owner again")], [position(topic, 3)])
    assert await values(bus, topic) == [b"before", b"owner", b"owner again"]
    assert await committed(bus, topic) == OffsetAndMetadata(3, "")


async def test_a_zombie_in_the_middle_of_its_transaction_is_fenced(bus: Bus, topic: str) -> None:
    middle = bus.transactional_producer(topic)
    await middle.start()
    try:
        await middle.begin_transaction()
        await middle.send_and_wait(topic, b"half", partition=0)
        async with ExactlyOnceStep(bus, topic) as owner:
            await owner.commit([record(topic, b"whole")], [position(topic, 1)])
    finally:
        await middle.stop()
    assert await values(bus, topic) == [b"whole"]


async def test_whoever_is_fenced_is_told_so_at_whatever_moment_it_happens(bus: Bus, topic: str) -> None:
    rng = random.Random(topic)
    for _ in range(20):
        async with ExactlyOnceStep(bus, topic) as zombie:
            writing = asyncio.create_task(_write_on(zombie, topic))
            await asyncio.wait({writing}, timeout=rng.uniform(0, 0.15))
            async with ExactlyOnceStep(bus, topic):
                with pytest.raises(FencedError):
                    await writing


async def _write_on(step: ExactlyOnceStep, topic: str) -> None:
    while True:
        await step.commit([record(topic, b"more", partition_by=b"%d" % number) for number in range(100)], [])


async def test_steps_with_different_ids_dont_disturb_one_another(bus: Bus, topic: str) -> None:
    async with ExactlyOnceStep(bus, f"{topic}-a") as one, ExactlyOnceStep(bus, f"{topic}-b") as other:
        for number in range(3):
            await one.commit([record(topic, b"a%d" % number)], [])
            await other.commit([record(topic, b"b%d" % number)], [])
    assert len(await values(bus, topic)) == 6


async def test_partition_by_decides_the_partition_in_place_of_the_key(bus: Bus, topic: str) -> None:
    async with ExactlyOnceStep(bus, topic) as step:
        await step.commit(
            [OutgoingRecord(topic, b"key-%d" % number, b"x", [], partition_by=b"repository") for number in range(20)],
            [],
        )
        await step.commit([OutgoingRecord(topic, b"repository", b"y", [])], [])
    sizes = [len(await read_all(bus, topic, number)) for number in range(3)]
    assert sorted(sizes) == [0, 0, 21]


async def test_a_step_that_isnt_entered_is_a_mistake(bus: Bus) -> None:
    with pytest.raises(RuntimeError):
        await ExactlyOnceStep(bus, "x").commit([], [])


async def test_positions_that_were_never_committed_are_none(bus: Bus, topic: str) -> None:
    assert await committed(bus, topic) is None
