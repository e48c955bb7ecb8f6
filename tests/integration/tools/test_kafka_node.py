"""A real Kafka node: what farshore's own tests and demo rely on."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from waiting import wait_until

from farshore_cli.tools.kafka import Broker, BrokerError, StorageError, ask_cluster

pytestmark = pytest.mark.integration


async def create_topic(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        answer = await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
        assert [code for _, code, *_ in answer.topic_errors] == [0]
    finally:
        await admin.close()


async def produce(bootstrap: str, topic: str, values: list[bytes]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True)
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(topic, value, partition=0)
    finally:
        await producer.stop()


async def consume(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        async with asyncio.timeout(120):
            return [(await consumer.getone()).value for _ in range(count)]
    finally:
        await consumer.stop()


async def test_the_sessions_broker_gives_back_what_was_written(kafka_bootstrap: str, unique: str) -> None:
    await create_topic(kafka_bootstrap, unique)
    await produce(kafka_bootstrap, unique, [b"one", b"two"])
    assert await consume(kafka_bootstrap, unique, 2) == [b"one", b"two"]


async def test_records_survive_a_stop_and_a_kill_and_a_new_port(tmp_path: Path, unique: str) -> None:
    first = Broker(tmp_path / "data", tmp_path / "kafka.log").start()
    try:
        await create_topic(first.bootstrap, unique)
        await produce(first.bootstrap, unique, [b"before the stop"])
        first.stop()
        first.start()
        await produce(first.bootstrap, unique, [b"before the kill"])
    finally:
        first.kill()
    with Broker(tmp_path / "data", tmp_path / "kafka.log") as second:
        assert await consume(second.bootstrap, unique, 2) == [b"before the stop", b"before the kill"]


def test_a_setting_that_kafka_refuses_is_named(tmp_path: Path) -> None:
    broker = Broker(tmp_path / "data", tmp_path / "kafka.log", overrides={"num.io.threads": "0"})
    with pytest.raises(StorageError, match=r"num\.io\.threads"):
        broker.start()


def test_a_port_that_another_kafka_has_is_an_error_that_shows_the_log(kafka_broker: Broker, tmp_path: Path) -> None:
    taken = int(kafka_broker.bootstrap.rpartition(":")[2])
    with pytest.raises(BrokerError, match="Address already in use"):
        Broker(tmp_path / "data", tmp_path / "kafka.log", port=taken).start()


PARENT = """
import sys, time
from pathlib import Path
from farshore_cli.tools.kafka import Broker
folder = Path(sys.argv[1])
broker = Broker(folder / "data", folder / "kafka.log").start()
print(broker.bootstrap, broker.pid, flush=True)
time.sleep(600)
"""


async def test_the_broker_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, str(tmp_path), stdout=subprocess.PIPE)
    try:
        assert parent.stdout is not None
        bootstrap, pid = (await parent.stdout.readline()).decode().split()
        host, _, port = bootstrap.partition(":")
        view = ask_cluster(host, int(port))
        assert view is not None
        assert view.brokers == {1}
    finally:
        parent.kill()
        await parent.communicate()
    await wait_until(lambda: not is_running(int(pid)), 10, "the broker's end")


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
