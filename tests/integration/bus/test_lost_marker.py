"""A transaction whose marker Kafka lost is what its coordinator wrote down: kept or not, and told to everybody."""

from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata
from kafka_log import make_topic
from lost_marker import lose_last_marker

from farshore.bus.clients import Bus
from farshore.bus.committed import committed_positions
from farshore.bus.exactly_once import ExactlyOnceStep, Position
from farshore_cli.tools.kafka import Broker

pytestmark = [pytest.mark.integration, pytest.mark.faults]


@pytest.mark.parametrize(("kept", "offset"), [(True, 7), (False, 5)])
async def test_a_position_whose_transaction_lost_its_marker(
    tmp_path: Path, unique: str, kept: bool, offset: int
) -> None:
    with Broker(tmp_path / "kafka", tmp_path / "kafka.log") as broker:
        bus, partition = Bus(broker.bootstrap), TopicPartition(unique, 0)
        await make_topic(broker.bootstrap, unique, partitions=1)
        async with ExactlyOnceStep(bus, unique) as step:
            await step.commit([], [Position(unique, partition, 5, "five")])
        producer = bus.transactional_producer(unique)
        await producer.start()
        await producer.begin_transaction()
        await producer.send_offsets_to_transaction({partition: OffsetAndMetadata(7, "seven")}, unique)
        await (producer.commit_transaction() if kept else producer.abort_transaction())
        await producer.stop()
        await committed_positions(bus, [unique], partition)  # the marker follows the answer; it has to be there
        broker.kill()
        lose_last_marker(tmp_path / "kafka", unique)
        broker.start()
        async with ExactlyOnceStep(bus, unique) as step:
            found = await step.positions([unique], partition)
        assert {group: at.offset for group, at in found.items() if at} == {unique: offset}
        assert await committed_positions(bus, [unique], partition) == found
        async with ExactlyOnceStep(bus, unique) as step:
            await step.commit([], [Position(unique, partition, 9, "nine")])
        assert await committed_positions(bus, [unique], partition) == {unique: (9, "nine")}
