"""Committed positions over Kafka's death: none is missing and none is the one before, however close the kill came."""

import asyncio
import os
import time
from contextlib import suppress
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata
from kafka_log import make_topic

from farshore.bus.clients import Bus
from farshore.bus.committed import committed_positions
from farshore.bus.exactly_once import ExactlyOnceStep, Position
from farshore.bus.failures import KAFKA_FAILURES
from farshore.errors import FarshoreError
from farshore_cli.tools.child import tail
from farshore_cli.tools.kafka import Broker

pytestmark = [pytest.mark.integration, pytest.mark.faults]

GROUPS = 12
KILLS = int(os.environ.get("FARSHORE_FAULT_ROUNDS", "0")) * 20 or 2


async def commit(step: ExactlyOnceStep, group: str, partition: TopicPartition, offset: int) -> None:
    await step.commit([], [Position(group, partition, offset, "")])


BACK_WITHIN_SECONDS = 180


async def position_once_kafka_can_say(broker: Broker, group: str, partition: TopicPartition) -> int:
    bus, deadline = Bus(broker.bootstrap), time.monotonic() + BACK_WITHIN_SECONDS
    while True:
        assert broker.pid is not None, tail(broker.log_file)
        assert time.monotonic() < deadline, f"no position of {group} after {BACK_WITHIN_SECONDS} s"
        with suppress(FarshoreError, *KAFKA_FAILURES):
            async with ExactlyOnceStep(bus, group) as step:
                found = (await step.positions([group], partition))[group]
                return found.offset if found else 0


@pytest.mark.timeout(60 + (60 + BACK_WITHIN_SECONDS) * KILLS)
async def test_an_acknowledged_position_is_seen_however_close_behind_it_kafka_was_killed(
    tmp_path: Path, unique: str
) -> None:
    """Each writer's position is the one it was acknowledged, or the one that it was writing, never one before.

    Right behind the acknowledgement a position is decided and not written down; a coordinator that has just started may
    besides not have read what there is (docs/adr/0008).
    """
    with Broker(tmp_path / "kafka", tmp_path / "kafka.log") as broker:
        bus, partition = Bus(broker.bootstrap), TopicPartition(unique, 0)
        await make_topic(broker.bootstrap, unique, partitions=1)
        groups = [f"{unique}-{number}" for number in range(GROUPS)]
        for kill in range(1, KILLS + 1):
            steps = {group: ExactlyOnceStep(bus, group) for group in groups}
            await asyncio.gather(*(step.__aenter__() for step in steps.values()))
            for offset in (2 * kill - 1, 2 * kill):
                tasks = {g: asyncio.create_task(commit(step, g, partition, offset)) for g, step in steps.items()}
                if offset == 2 * kill - 1:
                    await asyncio.gather(*tasks.values())
            await asyncio.wait(tasks.values(), return_when=asyncio.FIRST_COMPLETED)
            broker.kill()
            acknowledged = {group for group, task in tasks.items() if task.done() and task.exception() is None}
            for task in tasks.values():
                task.cancel()
            await asyncio.wait(tasks.values())
            await asyncio.gather(*(step.__aexit__(None, None, None) for step in steps.values()))
            broker.launch()
            seen = await asyncio.gather(*(position_once_kafka_can_say(broker, group, partition) for group in groups))
            assert acknowledged
            for group, offset in zip(groups, seen, strict=True):
                assert offset == 2 * kill or (offset == 2 * kill - 1 and group not in acknowledged), (kill, group)


async def test_a_position_is_waited_for_while_a_transaction_over_it_is_open(kafka_bootstrap: str, unique: str) -> None:
    bus, partition = Bus(kafka_bootstrap), TopicPartition(unique, 0)
    await make_topic(kafka_bootstrap, unique, partitions=1)
    producer = bus.transactional_producer(unique)
    await producer.start()
    try:
        await producer.begin_transaction()
        await producer.send_offsets_to_transaction({partition: OffsetAndMetadata(5, "")}, unique)
        asking = asyncio.create_task(committed_positions(bus, [unique], partition))
        answered, _ = await asyncio.wait({asking}, timeout=1)
        assert not answered
        await producer.commit_transaction()
        assert await asking == {unique: (5, "")}
    finally:
        await producer.stop()


async def test_the_positions_of_many_groups_are_read_together(kafka_bootstrap: str, unique: str) -> None:
    bus, partition = Bus(kafka_bootstrap), TopicPartition(unique, 0)
    await make_topic(kafka_bootstrap, unique, partitions=1)
    groups = [f"{unique}-{number}" for number in range(1000)]
    async with ExactlyOnceStep(bus, unique) as step:
        await step.commit([], [Position(groups[7], partition, 17, "seven")])
        found = await step.positions(groups, partition)
    assert set(found) == set(groups)
    assert {group: at for group, at in found.items() if at} == {groups[7]: (17, "seven")}
