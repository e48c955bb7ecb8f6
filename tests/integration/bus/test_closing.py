"""What closes while Kafka is dead ends, takes what it opened along, and cancels nobody."""

import asyncio
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from kafka_log import make_topic, write

from farshore.bus.clients import Bus
from farshore.bus.range_reader import RangeReader
from farshore.errors import FarshoreError
from farshore_cli.tools.kafka import Broker

pytestmark = pytest.mark.integration


async def test_a_reader_that_tries_a_dead_broker_again_and_again_closes_all_the_same(
    tmp_path: Path, unique: str
) -> None:
    """aiokafka lets out the cancellation of its own reading then: once a lane ended by it, and nothing said so."""
    with Broker(tmp_path / "kafka", tmp_path / "kafka.log") as broker:
        bus, place = Bus(broker.bootstrap), TopicPartition(unique, 0)
        await make_topic(broker.bootstrap, unique)
        await write(bus, unique, [b"0", b"1", b"2"])
        before = asyncio.all_tasks()
        async with RangeReader(bus, place) as reader:
            await reader.chunk(0, 2)
            broker.kill()
            with pytest.raises(FarshoreError, match="Kafka sent nothing"):
                await reader.chunk(0, 2, silence_seconds=1.0)
        assert asyncio.all_tasks() - before == set()
