"""Committed positions are read from Kafka's own log of them, whoever wrote them and however far back that was."""

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import OffsetAndMetadata
from kafka_log import make_topic

from farshore.bus.clients import Bus
from farshore.bus.committed import committed_positions
from farshore.bus.exactly_once import ExactlyOnceStep, Position

pytestmark = pytest.mark.integration


@pytest.fixture
async def place(kafka_bootstrap: str, unique: str) -> TopicPartition:
    await make_topic(kafka_bootstrap, unique, partitions=1)
    return TopicPartition(unique, 0)


async def test_one_that_is_far_behind_others_is_found(
    kafka_bootstrap: str, place: TopicPartition, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = Bus(kafka_bootstrap)
    group, others = f"{place.topic}-idle", [f"{place.topic}-{number}" for number in range(4)]
    async with ExactlyOnceStep(bus, place.topic) as step:
        await step.commit([], [Position(group, place, 3, "long ago")])
        for offset in range(12):
            for other in others:
                await step.commit([], [Position(other, place, offset)])
        monkeypatch.setattr("farshore.bus.internal_log._STRETCH", 2)
        found = await step.positions([group, *others], place)
    assert found == {group: (3, "long ago")} | dict.fromkeys(others, (11, ""))


async def test_one_that_a_consumer_committed_counts_and_one_that_was_taken_back_does_not(
    kafka_bootstrap: str, place: TopicPartition
) -> None:
    bus = Bus(kafka_bootstrap)
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka_bootstrap, group_id=place.topic, enable_auto_commit=False)
    consumer.assign([place])
    await consumer.start()
    producer = bus.transactional_producer(place.topic)
    await producer.start()
    try:
        await consumer.commit({place: OffsetAndMetadata(7, "plain")})
        await producer.begin_transaction()
        await producer.send_offsets_to_transaction({place: OffsetAndMetadata(0, "")}, place.topic)
        await producer.abort_transaction()
    finally:
        await consumer.stop()
        await producer.stop()
    assert await committed_positions(bus, [place.topic], place) == {place.topic: (7, "plain")}
