"""What happens to notifications when something is killed, stopped or away."""

import asyncio
import json
import os
import signal
from collections import Counter
from pathlib import Path

import aiohttp
import pytest
from kafka_log import admin_of
from notifications import envelope, push
from receiver_process import ReceiverProcess, post, records_of
from waiting import wait_until

from farshore.bus.clients import Bus
from farshore.bus.topics import DEADLETTER, EVENTS, create_missing_topics
from farshore.records.events import Event
from farshore_cli.tools.kafka import Broker

pytestmark = pytest.mark.integration


async def tags_in_kafka(bootstrap: str, registry: str) -> list[str]:
    records = await records_of(bootstrap, EVENTS, registry)
    return [str(Event.from_json(record.value, "here").tag) for record in records]


async def deliver(receiver: ReceiverProcess, registry: str, body: bytes) -> int:
    """Send as a registry does: the same again until it is accepted; returns how often."""
    attempts = 0
    while True:
        attempts += 1
        try:
            if (await post(receiver, registry, body)).status == 202:
                return attempts
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.02)


async def test_kill_minus_nine_loses_nothing_and_keeps_the_order(
    receiver: ReceiverProcess, bootstrap: str, unique: str
) -> None:
    bodies = [envelope(push(tag=f"v{number}")) for number in range(60)]
    sent = 0

    async def sender() -> None:
        nonlocal sent
        for body in bodies:
            await deliver(receiver, unique, body)
            sent += 1

    task = asyncio.create_task(sender())
    for threshold in (10, 30):
        await wait_until(lambda: sent >= threshold, 30, f"{threshold} notifications")  # noqa: B023 - awaited at once
        receiver.kill()
        await receiver.start()
    async with asyncio.timeout(300):
        await task
    records = await records_of(bootstrap, EVENTS, unique)
    events = [Event.from_json(record.value, "here") for record in records]
    distinct = list(dict.fromkeys(event.id for event in events))
    assert len(distinct) == 60
    by_id = {event.id: event for event in events}
    assert [by_id[name].tag for name in distinct] == [f"v{number}" for number in range(60)]
    assert len(events) <= 62, "at most one duplicate for each kill"


async def test_a_request_that_dies_with_the_process_has_the_same_id_when_it_is_sent_again(
    receiver: ReceiverProcess, bootstrap: str, unique: str
) -> None:
    body = envelope(push(), push())
    await post(receiver, unique, body)
    receiver.kill()
    await receiver.start()
    await post(receiver, unique, body)
    ids = Counter(Event.from_json(r.value, "here").id for r in await records_of(bootstrap, EVENTS, unique))
    assert sorted(ids.values()) == [2, 2]


async def test_while_kafka_is_away_the_answer_is_503_and_then_everything_arrives_once_in_order(
    tmp_path: Path, unique: str
) -> None:
    broker = Broker(tmp_path / "data", tmp_path / "kafka.log").start()
    try:
        await create_missing_topics(Bus(broker.bootstrap))
        async with ReceiverProcess(tmp_path / "receiver", broker.bootstrap, {unique: ""}) as receiver:
            bodies = [envelope(push(tag=f"v{number}")) for number in range(4)]
            assert (await post(receiver, unique, bodies[0])).status == 202
            broker.kill()
            for _ in range(3):
                refused = await post(receiver, unique, bodies[1])
                assert refused.status == 503
                assert refused.headers["Retry-After"] == "1"
                assert refused.headers["Content-Type"] == "application/problem+json"

            async def not_ready() -> bool:
                return not await receiver.answers("/readyz")

            await wait_until(not_ready, 20, "the receiver to be not ready")
            assert await receiver.answers("/livez")
            broker.launch()
            await asyncio.to_thread(broker.wait_until_ready)
            async with asyncio.timeout(300):
                for body in bodies[1:]:
                    await deliver(receiver, unique, body)
            await wait_until(receiver.answers, 20, "the receiver to be ready again")
            assert await tags_in_kafka(broker.bootstrap, unique) == ["v0", "v1", "v2", "v3"]
    finally:
        broker.kill()


async def test_it_starts_before_kafka_and_before_all_other_services(tmp_path: Path, unique: str) -> None:
    """Topics that are missing it makes itself: a broker would make them with one partition and the sender's clock."""
    broker = Broker(tmp_path / "data", tmp_path / "kafka.log", overrides={"auto.create.topics.enable": "true"})
    receiver = ReceiverProcess(tmp_path / "receiver", broker.bootstrap, {unique: ""})
    try:
        receiver.launch()
        await wait_until(lambda: receiver.answers("/livez"), 20, "the receiver to live")
        assert not await receiver.answers("/readyz")
        assert (await post(receiver, unique, envelope(push()))).status == 503
        assert (await post(receiver, unique, b"not json")).status == 503
        broker.prepare()
        broker.launch()
        await asyncio.to_thread(broker.wait_until_ready)
        await wait_until(receiver.answers, 30, "the receiver to be ready")
        await deliver(receiver, unique, envelope(push()))
        async with admin_of(broker.bootstrap) as admin:
            made = {name for name in await admin.list_topics() if name.startswith("farshore.")}
            described = await admin.describe_topics([EVENTS.name, DEADLETTER.name])
        assert made == {EVENTS.name, DEADLETTER.name}
        partitions = {entry["topic"]: len(entry["partitions"]) for entry in described}
        assert partitions == {topic.name: topic.partitions for topic in (EVENTS, DEADLETTER)}
    finally:
        receiver.kill()
        broker.kill()


async def test_a_broker_that_hangs_gives_503_and_no_hang(tmp_path: Path, unique: str) -> None:
    broker = Broker(tmp_path / "data", tmp_path / "kafka.log").start()
    try:
        await create_missing_topics(Bus(broker.bootstrap))
        async with ReceiverProcess(tmp_path / "receiver", broker.bootstrap, {unique: ""}) as receiver:
            body = envelope(push(tag="v1"))
            assert broker.pid is not None
            os.kill(broker.pid, signal.SIGSTOP)
            assert (await post(receiver, unique, body)).status == 503
            assert (await post(receiver, unique, body)).status == 503
            os.kill(broker.pid, signal.SIGCONT)
            async with asyncio.timeout(300):
                await deliver(receiver, unique, body)
            assert await tags_in_kafka(broker.bootstrap, unique) == ["v1"], "the retries were the same event"
    finally:
        broker.kill()


async def test_sigterm_under_load_loses_nothing_that_was_accepted(
    receiver: ReceiverProcess, bootstrap: str, unique: str
) -> None:
    accepted: list[str] = []
    refused = 0

    async def sender(name: int) -> None:
        nonlocal refused
        for number in range(10_000):
            event = push(tag=f"s{name}-{number}")
            try:
                answer = await post(receiver, unique, envelope(event))
            except aiohttp.ClientError:
                refused += 1
                return
            assert answer.status == 202
            accepted.append(event["target"]["tag"])

    senders = [asyncio.create_task(sender(name)) for name in range(8)]
    await wait_until(lambda: len(accepted) > 100, 30, "a hundred accepted notifications")
    receiver.terminate()
    async with asyncio.timeout(120):
        await wait_until(lambda: receiver.exit_code() is not None, 10, "the end")
        await asyncio.gather(*senders)
    assert receiver.exit_code() == 0, receiver.log()
    assert refused == 8
    written = Counter(await tags_in_kafka(bootstrap, unique))
    assert set(accepted) <= set(written)
    assert set(written.values()) == {1}
    assert json.loads(receiver.log().splitlines()[-1])["message"] == "stopped"
