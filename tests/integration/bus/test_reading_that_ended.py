"""Who follows a topic notices when aiokafka fetches no more, which aiokafka itself tells nobody."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from broken_reading import end_reading
from kafka_log import make_topic
from waiting import wait_until

from farshore.bus.clients import Bus
from farshore.bus.closing import stop_consumer
from farshore.bus.reading import ReadingEndedError
from farshore_coalescer.coalescer import Lanes, _follow
from farshore_verifier.host import LaneHost

pytestmark = pytest.mark.integration


class NoLanes:
    joined = True

    def __init__(self) -> None:
        self.running: dict[TopicPartition, object] = {}

    async def start_missing(self) -> None:
        """None is missing."""

    def check(self) -> None:
        """None can fail."""


class IdleLane:
    async def open(self) -> int:
        return 0

    async def take(self, records: "list[ConsumerRecord[bytes, bytes]]", reached: int) -> None:
        """Nothing comes."""

    def room(self) -> int:
        return 1

    async def close(self) -> None:
        """Nothing is open."""


async def test_a_verifiers_host_ends(kafka_bootstrap: str, unique: str) -> None:
    await make_topic(kafka_bootstrap, unique)
    host = LaneHost(Bus(kafka_bootstrap), unique, unique, lambda _partition: IdleLane())
    running = asyncio.create_task(host.run(asyncio.Event()))
    await wait_until(lambda: host.started.is_set() or running.done(), 60, "its share")
    await end_reading(host._consumer)
    with pytest.raises(ReadingEndedError, match="nobody foresaw this"):
        async with asyncio.timeout(300):
            await running


async def test_a_coalescers_following_ends(kafka_bootstrap: str, unique: str) -> None:
    await make_topic(kafka_bootstrap, unique)
    consumer = Bus(kafka_bootstrap).reader()
    consumer.assign([TopicPartition(unique, 0)])
    await consumer.start()
    try:
        await consumer.seek_to_beginning()
        following = asyncio.create_task(_follow(cast(Any, SimpleNamespace()), consumer, cast(Lanes, NoLanes())))
        await end_reading(consumer)
        with pytest.raises(ReadingEndedError, match="nobody foresaw this"):
            async with asyncio.timeout(300):
                await following
    finally:
        await stop_consumer(consumer)
