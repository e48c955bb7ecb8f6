"""Three real Kafka nodes, for tests that take one away."""

import asyncio
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from waiting import wait_until

from farshore.bus.clients import Bus
from farshore.bus.topics import ALL_TOPICS, create_missing_topics
from farshore_cli.tools.kafka import Broker, Cluster, ask_cluster

_SET_ON_THE_TOPIC = 1
"""Where a setting comes from: the cluster's brokers have the same, so only this shows it. Source: Kafka protocol."""

pytestmark = [pytest.mark.integration, pytest.mark.faults]


def in_service(broker: Broker) -> frozenset[int]:
    host, _, port = broker.bootstrap.partition(":")
    view = ask_cluster(host, int(port))
    return view.brokers if view is not None else frozenset()


async def replicated_thrice(admin: AIOKafkaAdminClient) -> bool:
    names = [topic.name for topic in ALL_TOPICS]
    described = await admin.describe_topics(names)
    replicas = {len(partition["replicas"]) for topic in described for partition in topic["partitions"]}
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    in_sync = {
        (value, source)
        for answer in answers
        for resource in answer.resources
        for name, value, _, source, *_ in resource[4]
        if name == "min.insync.replicas"
    }
    return replicas == {3} and in_sync == {("2", _SET_ON_THE_TOPIC)}


async def test_writing_goes_on_when_one_node_of_three_is_killed_and_it_can_come_back(
    tmp_path: Path, unique: str
) -> None:
    with Cluster(tmp_path / "data", tmp_path / "log") as cluster:
        first, second, _ = cluster.brokers
        assert len(await create_missing_topics(Bus(cluster.bootstrap, replication=3))) == len(ALL_TOPICS)
        admin = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap)
        await admin.start()
        await wait_until(
            lambda: replicated_thrice(admin), 30, "every topic of farshore's with three replicas, two in sync"
        )
        answer = await admin.create_topics([NewTopic(unique, num_partitions=1, replication_factor=3)])
        await admin.close()
        assert [code for _, code, *_ in answer.topic_errors] == [0]

        producer = AIOKafkaProducer(bootstrap_servers=cluster.bootstrap, enable_idempotence=True)
        await producer.start()
        try:
            before = await producer.send_and_wait(unique, b"with three")
            second.kill()
            await wait_until(lambda: in_service(first) == {1, 3}, 30, "the killed node's session to end")
            async with asyncio.timeout(120):
                after = await producer.send_and_wait(unique, b"with two")
            assert (before.offset, after.offset) == (0, 1)

            second.launch()
            await wait_until(lambda: in_service(first) == {1, 2, 3}, 60, "the killed node's return")
        finally:
            await producer.stop()
