"""A client that knows none but dead brokers asks the bootstrap servers again."""

import asyncio

import pytest
from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.structs import BrokerMetadata
from kafka_log import make_topic
from waiting import wait_until

from farshore.bus.clients import Bus
from farshore_cli.tools.ports import free_port

pytestmark = pytest.mark.integration


def know_only_a_dead_broker(client: AIOKafkaClient) -> None:
    """As after a time in which that one was alone, and all others have come back, and it has died."""
    client.cluster._brokers = {99: BrokerMetadata(99, "127.0.0.1", free_port(), None)}
    for connection in client._conns.values():
        connection.close()


async def test_a_producer_and_a_reader_find_back(kafka_bootstrap: str, unique: str) -> None:
    bus, place = Bus(kafka_bootstrap), TopicPartition(unique, 0)
    await make_topic(kafka_bootstrap, unique, partitions=1)
    producer, reader = bus.producer(), bus.reader()
    await producer.start()
    reader.assign([place])
    await reader.start()
    try:
        await producer.send_and_wait(unique, b"first")
        await reader.seek_to_beginning(place)
        assert (await reader.getone()).value == b"first"
        for client in (producer.client, reader._client):
            know_only_a_dead_broker(client)
        async with asyncio.timeout(300):
            await producer.send_and_wait(unique, b"second")
            assert (await reader.getone()).value == b"second"
    finally:
        await producer.stop()
        await reader.stop()


async def test_a_member_of_a_group_and_a_transaction_find_back(kafka_bootstrap: str, unique: str) -> None:
    bus = Bus(kafka_bootstrap, session_timeout=6)
    await make_topic(kafka_bootstrap, unique, partitions=1)
    producer, member = bus.transactional_producer(unique), bus.group_consumer(unique)
    await producer.start()
    member.subscribe([unique])
    await member.start()
    try:
        await wait_until(lambda: member.assignment(), 60, "its share")
        for client in (producer.client, member._client):
            know_only_a_dead_broker(client)
        async with asyncio.timeout(300), producer.transaction():
            await producer.send_and_wait(unique, b"after")
        async with asyncio.timeout(300):
            assert (await member.getone()).value == b"after"
            await member.commit()
    finally:
        await producer.stop()
        await member.stop()


async def test_a_bare_client_finds_back(kafka_bootstrap: str) -> None:
    client = Bus(kafka_bootstrap).client()
    await client.bootstrap()
    try:
        know_only_a_dead_broker(client)
        await wait_until(client.force_metadata_update, 60, "the brokers to be known again")
        assert 99 not in {broker.nodeId for broker in client.cluster.brokers()}
    finally:
        await client.close()
