"""The producer that is replaced after a failure."""

import os

import pytest
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError
from kafka_log import admin_of, read_all

from farshore.bus.clients import Bus
from farshore.bus.lasting_producer import LastingProducer

pytestmark = pytest.mark.integration


async def test_it_writes_on_after_a_failure_that_an_idempotent_producer_does_not_survive(
    kafka_bootstrap: str, unique: str
) -> None:
    async with admin_of(kafka_bootstrap) as admin:
        await admin.create_topics([NewTopic(unique, 1, 1, topic_configs={"max.message.bytes": "1000"})])
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
