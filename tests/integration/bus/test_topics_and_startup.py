"""farshore's topics on a real Kafka: made once, refusals reported; incarnations; waiting for Kafka."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from kafka_log import admin_of, delete_topic, make_topic
from waiting import wait_until

from farshore.bus.clients import Bus
from farshore.bus.committed import committed_positions
from farshore.bus.incarnation import topic_incarnation
from farshore.bus.startup import wait_for_topics
from farshore.bus.topics import ALL_TOPICS, DEADLETTER, EVENTS, READINESS, Topic, create_missing_topics
from farshore.errors import FarshoreError, RetryClass
from farshore.service import Service, Settings
from farshore.settings import settings_from_environment
from farshore.topology import Topology
from farshore_cli.tools.kafka import Broker

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker whose farshore.* topics belong to this file."""
    folder = tmp_path_factory.mktemp("kafka-topics")
    with Broker(folder / "data", folder / "kafka.log") as own:
        yield own


@pytest.fixture
async def empty(broker: Broker) -> AsyncIterator[str]:
    """The broker's address, with none of farshore's topics."""
    yield broker.bootstrap
    async with admin_of(broker.bootstrap) as admin:
        names = {topic.name for topic in ALL_TOPICS} & set(await admin.list_topics())
    for name in names:
        await delete_topic(broker.bootstrap, name)


async def partitions_of(bootstrap: str, *topics: Topic) -> dict[str, int]:
    async with admin_of(bootstrap) as admin:
        described = await admin.describe_topics([topic.name for topic in topics])
    return {entry["topic"]: len(entry["partitions"]) for entry in described}


async def test_missing_topics_are_made_with_their_partitions_and_only_once(empty: str) -> None:
    names = {topic.name for topic in ALL_TOPICS}
    assert set(await create_missing_topics(Bus(empty))) == names
    assert await partitions_of(empty, *ALL_TOPICS) == {topic.name: topic.partitions for topic in ALL_TOPICS}
    assert await create_missing_topics(Bus(empty)) == []
    await delete_topic(empty, READINESS.name)
    assert await create_missing_topics(Bus(empty)) == [READINESS.name]


async def test_who_needs_some_topics_makes_only_those(empty: str) -> None:
    assert await wait_for_topics(Bus(empty), asyncio.Event(), [EVENTS])
    assert await partitions_of(empty, EVENTS) == {EVENTS.name: EVENTS.partitions}
    async with admin_of(empty) as admin:
        assert not {topic.name for topic in ALL_TOPICS if topic != EVENTS} & set(await admin.list_topics())


async def test_topics_have_the_settings_that_the_design_names(empty: str) -> None:
    await create_missing_topics(Bus(empty))
    async with admin_of(empty) as admin:

        async def all_settings() -> dict[str, dict[str, str]] | None:
            """None while the broker doesn't know all of the new topics yet."""
            answers = await admin.describe_configs(
                [ConfigResource(ConfigResourceType.TOPIC, topic.name) for topic in ALL_TOPICS]
            )
            found = {
                resource[3]: {entry[0]: entry[1] for entry in resource[4]}
                for answer in answers
                for resource in answer.resources
            }
            return found if all(found.values()) else None

        settings = await wait_until(all_settings, 20, "the settings of all topics")
    assert settings is not None
    for topic in ALL_TOPICS:
        assert settings[topic.name] | topic.config == settings[topic.name]
    assert settings[READINESS.name]["cleanup.policy"] == "compact"


async def test_services_that_start_at_the_same_time_dont_disturb_one_another(empty: str) -> None:
    made = await asyncio.gather(*(create_missing_topics(Bus(empty)) for _ in range(4)))
    assert set().union(*made) == {topic.name for topic in ALL_TOPICS}


async def test_a_refusal_is_reported_with_the_topics_and_kafkas_reason(empty: str) -> None:
    with pytest.raises(FarshoreError, match=rf"create topic {EVENTS.name}, .*: .*replication") as caught:
        await create_missing_topics(Bus(empty, replication=3))
    assert caught.value.retry is RetryClass.OPERATOR


async def test_services_ask_for_the_replication_that_is_set_and_name_the_topics_that_they_wait_for(
    empty: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("FARSHORE_TOPOLOGY", str(tmp_path))
    monkeypatch.setenv("FARSHORE_KAFKA_BOOTSTRAP_SERVERS", empty)
    monkeypatch.setenv("FARSHORE_KAFKA_REPLICATION", "3")
    nothing = Topology.model_construct(version=1, sites={}, registries={})
    bus = Service("farshore-tested", settings_from_environment(Settings), nothing).bus
    assert bus.replication == 3
    assert Bus(empty).replication == -1
    stopping = asyncio.Event()
    # one broker can't have three replicas
    waiting = asyncio.create_task(wait_for_topics(bus, stopping, [EVENTS, DEADLETTER]))

    def told() -> list[str]:
        """The reasons that concern both topics."""
        reasons = [str(vars(record).get("farshore_fields", {}).get("reason")) for record in caplog.records]
        return [reason for reason in reasons if reason.startswith(f"create topic {EVENTS.name}, {DEADLETTER.name}: ")]

    await wait_until(told, 20, "a word on what is waited for")
    stopping.set()
    assert not await waiting
    assert "replication" in told()[0].lower()


async def test_positions_are_read_although_a_broker_hangs(empty: str, silent_server: str) -> None:
    await create_missing_topics(Bus(empty))
    partition = TopicPartition(EVENTS.name, 0)
    assert await committed_positions(Bus(f"{silent_server},{empty}"), ["nobody"], partition) == {"nobody": None}


def test_which_broker_is_asked_first_changes() -> None:
    bus = Bus("one:1,two:2,three:3")
    assert {bus.addresses()[0] for _ in range(200)} == {"one:1", "two:2", "three:3"}
    assert sorted(bus.addresses()) == sorted(bus.bootstrap_servers.split(","))


async def test_a_topic_that_is_deleted_and_made_again_is_another_incarnation(empty: str, unique: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=empty)
    await producer.start()
    try:
        await make_topic(empty, unique)
        first = await topic_incarnation(producer.client, unique)
        assert await topic_incarnation(producer.client, unique) == first
        assert len(first) == 8
        assert set(first) <= set("0123456789abcdef")
        await make_topic(empty, f"{unique}-other")
        assert await topic_incarnation(producer.client, f"{unique}-other") != first
        await delete_topic(empty, unique)
        await make_topic(empty, unique)
        assert await topic_incarnation(producer.client, unique) != first
    finally:
        await producer.stop()


async def test_an_incarnation_outlives_the_brokers_restart(tmp_path: Path, unique: str) -> None:
    with Broker(tmp_path / "data", tmp_path / "kafka.log") as own:
        await make_topic(own.bootstrap, unique)
        first = await _incarnation(own.bootstrap, unique)
        own.stop()
        own.start()
        assert await _incarnation(own.bootstrap, unique) == first


async def _incarnation(bootstrap: str, topic: str) -> str:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        return await topic_incarnation(producer.client, topic)
    finally:
        await producer.stop()


async def test_a_topic_that_isnt_there_has_no_incarnation_and_isnt_made(kafka_bootstrap: str, unique: str) -> None:
    with pytest.raises(FarshoreError, match=unique) as caught:
        await _incarnation(kafka_bootstrap, unique)
    assert caught.value.retry is RetryClass.RETRY_SOON
    async with admin_of(kafka_bootstrap) as admin:
        assert unique not in await admin.list_topics()


async def test_waiting_ends_with_the_topics_there(empty: str) -> None:
    assert await asyncio.wait_for(wait_for_topics(Bus(empty), asyncio.Event()), 300)
    assert await create_missing_topics(Bus(empty)) == []


async def test_waiting_ends_when_kafka_comes(tmp_path: Path) -> None:
    with Broker(tmp_path / "data", tmp_path / "kafka.log") as own:
        address = own.bootstrap
        own.stop()
        waiting = asyncio.create_task(wait_for_topics(Bus(address), asyncio.Event()))
        own.start()
        assert own.bootstrap == address
        assert await asyncio.wait_for(waiting, 300)


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("kafka", ["refuses", "is silent"])
async def test_waiting_ends_when_the_service_stops(kafka: str, silent_server: str) -> None:
    stopping = asyncio.Event()
    address = silent_server if kafka == "is silent" else "127.0.0.1:1"
    waiting = asyncio.create_task(wait_for_topics(Bus(address), stopping))
    done, _ = await asyncio.wait({waiting}, timeout=0.3)
    assert not done
    stopping.set()
    assert await asyncio.wait_for(waiting, 120) is False


async def test_waiting_doesnt_begin_once_the_service_stops(empty: str) -> None:
    stopping = asyncio.Event()
    stopping.set()
    assert await wait_for_topics(Bus(empty), stopping) is False


async def test_attempts_leave_no_connections_behind(silent_server: str) -> None:
    stopping = asyncio.Event()
    before = asyncio.all_tasks()
    waiting = asyncio.create_task(wait_for_topics(Bus(silent_server), stopping))
    await asyncio.wait({waiting}, timeout=0.2)
    stopping.set()
    await waiting
    await wait_until(lambda: asyncio.all_tasks() <= before, 10, "every task of the attempt to end")


def test_every_topic_has_a_name_of_its_own_and_a_retention() -> None:
    assert len({topic.name for topic in ALL_TOPICS}) == len(ALL_TOPICS)
    for topic in ALL_TOPICS:
        assert topic.name.startswith("farshore.")
        assert {"retention.ms", "cleanup.policy"} & set(topic.config)
    assert EVENTS.partitions >= 1
