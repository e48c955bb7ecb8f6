"""The producer that is replaced after a failure."""

import asyncio
import os

import pytest
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError
from kafka_log import admin_of, read_all
from waiting import wait_until

from farshore.bus import clients
from farshore.bus.clients import Bus
from farshore.bus.lasting_producer import LastingProducer

pytestmark = pytest.mark.integration


async def make_narrow_topic(bootstrap: str, name: str) -> None:
    """One that refuses what is longer than 1000 bytes, which an idempotent producer doesn't survive."""
    async with admin_of(bootstrap) as admin:
        await admin.create_topics([NewTopic(name, 1, 1, topic_configs={"max.message.bytes": "1000"})])


async def test_it_writes_on_after_a_failure_that_an_idempotent_producer_does_not_survive(
    kafka_bootstrap: str, unique: str
) -> None:
    await make_narrow_topic(kafka_bootstrap, unique)
    bus = Bus(kafka_bootstrap)
    async with LastingProducer(bus) as producer:
        for value in (b"before", os.urandom(5000), b"after", b"after that"):
            if len(value) > 1000:
                with pytest.raises(KafkaError):
                    await producer.send_and_wait(unique, value, key=b"key", headers=[])
            else:
                await producer.send_and_wait(unique, value, key=b"key", headers=[])
        assert await producer.partitions_for(unique) == {0}
    assert [record.value for record in await read_all(bus, unique)] == [b"before", b"after", b"after that"]


async def test_who_still_looks_for_a_topic_hears_that_the_producer_was_replaced(
    kafka_bootstrap: str, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "SILENCE_MS", 3_000)  # so long a topic is looked for
    missing = f"{unique}.missing"
    await make_narrow_topic(kafka_bootstrap, unique)
    async with LastingProducer(Bus(kafka_bootstrap)) as producer:
        await producer.send_and_wait(unique, b"before", key=b"key", headers=[])
        looking = asyncio.create_task(producer.send_and_wait(missing, b"value", key=b"key", headers=[]))
        first = producer._producer
        assert first is not None
        await wait_until(lambda: missing in first.client._topics, 30, "the topic to be looked for")
        with pytest.raises(KafkaError):
            await producer.send_and_wait(unique, os.urandom(5000), key=b"key", headers=[])
        with pytest.raises(KafkaError):
            async with asyncio.timeout(300):
                await looking
        await producer.send_and_wait(unique, b"after", key=b"key", headers=[])
