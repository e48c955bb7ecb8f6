"""The auditor reads positions as a real Kafka keeps them, those that were committed in transactions too."""

import pytest
from aiokafka import TopicPartition
from auditor import judge
from evidence import Evidence, collect

from farshore.bus.clients import Bus
from farshore.bus.exactly_once import ExactlyOnceStep, Position
from farshore.bus.topics import EVENTS, create_missing_topics

pytestmark = pytest.mark.integration


async def test_a_position_that_was_set_back_for_a_moment_is_found(kafka_bootstrap: str, unique: str) -> None:
    await create_missing_topics(Bus(kafka_bootstrap))
    bus, group, place = Bus(kafka_bootstrap), f"farshore.{unique}", TopicPartition(EVENTS.name, 2)
    async with ExactlyOnceStep(bus, unique) as step:
        for offset in (5, 3, 8):
            await step.commit([], [Position(group, place, offset, "metadata")])
    commits = [commit for commit in (await collect(bus)).commits if commit.group == group]
    assert [(commit.topic, commit.partition, commit.offset) for commit in commits] == [
        (EVENTS.name, 2, offset) for offset in (5, 3, 8)
    ]
    assert judge(Evidence(commits=commits), []) == [f"{group} went back on {EVENTS.name}/2 from 5 to 3"]
