"""Who follows a topic notices when aiokafka reads no more, and begins anew."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from broken_reading import BACKGROUND, end_reading
from kafka_log import make_topic, write
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
    """Counts what comes."""

    def __init__(self, taken: list[bytes | None]) -> None:
        self._taken = taken

    async def open(self) -> int:
        return 0

    async def take(self, records: "list[ConsumerRecord[bytes, bytes]]", reached: int) -> None:
        self._taken += [record.value for record in records]

    def room(self) -> int:
        return 1

    async def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("kind", BACKGROUND)
async def test_a_verifiers_host_joins_its_group_anew(kafka_bootstrap: str, unique: str, kind: type) -> None:
    before = asyncio.all_tasks()
    await make_topic(kafka_bootstrap, unique)
    bus, stopping, taken = Bus(kafka_bootstrap), asyncio.Event(), list[bytes | None]()
    host = LaneHost(bus, unique, unique, lambda _partition: IdleLane(taken))
    running = asyncio.create_task(host.run(stopping))
    await wait_until(lambda: host.started.is_set() or running.done(), 60, "its share")
    first = host._consumer
    assert first is not None
    await end_reading(first, kind)
    await wait_until(lambda: host._consumer is not first or running.done(), 60, "another consumer")
    await write(bus, unique, [b"a record"])
    await wait_until(lambda: taken or running.done(), 60, "the record")
    stopping.set()
    await running
    await wait_until(lambda: not asyncio.all_tasks() - before, 60, "what the first had open to be closed")


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
