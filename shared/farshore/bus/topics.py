"""farshore's topics and their settings, and creating them where they are missing."""

import asyncio
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from farshore.bus.clients import Bus
from farshore.bus.closing import STOP_SECONDS, close_within
from farshore.errors import FarshoreError, RetryClass

DAY_MS = 86_400_000
_TOPIC_ALREADY_EXISTS = 36
_HINT = "let farshore create it, or create it with the settings that docs/operations.md names"
_KNOWN_WITHIN_SECONDS = 20.0
_ASK_AGAIN_SECONDS = 0.05
_MOST_REPLICAS = 32_767  # Kafka protocol, CreateTopics: 16 bits


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic's name and what it is created with; an existing topic keeps its own settings."""

    name: str
    partitions: int
    config: dict[str, str] = field(default_factory=dict)


BY_THE_BROKERS_CLOCK = {"message.timestamp.type": "LogAppendTime"}
"""Else a service whose clock is an hour ahead can write nothing (`message.timestamp.after.max.ms`), and what one wrote
whose clock is weeks behind is taken for old and deleted. Source: Kafka's topic configuration.
"""
EVENTS = Topic("farshore.events", 4, {"retention.ms": str(14 * DAY_MS), **BY_THE_BROKERS_CLOCK})
TRANSFERS = Topic("farshore.transfers", 4, {"retention.ms": str(7 * DAY_MS), **BY_THE_BROKERS_CLOCK})
ARRIVALS = Topic("farshore.arrivals", 4, {"retention.ms": str(7 * DAY_MS), **BY_THE_BROKERS_CLOCK})
READINESS = Topic("farshore.readiness", 4, {"cleanup.policy": "compact", **BY_THE_BROKERS_CLOCK})
DEADLETTER = Topic("farshore.deadletter", 1, {"retention.ms": str(30 * DAY_MS), **BY_THE_BROKERS_CLOCK})
ALL_TOPICS = (EVENTS, TRANSFERS, ARRIVALS, READINESS, DEADLETTER)


def possible_replication(brokers: int) -> int:
    """`brokers` if a topic can be kept by so many, or if it is -1; raises ValueError."""
    if brokers != -1 and not 1 <= brokers <= _MOST_REPLICAS:
        raise ValueError(f"{brokers} brokers can't keep a topic; 1 or more, or -1 for as many as Kafka is set to")
    return brokers


async def create_missing_topics(bus: Bus, topics: Sequence[Topic] = ALL_TOPICS) -> list[str]:
    """Create those of `topics` that aren't there, each kept by `bus.replication` brokers; returns their names.

    With three or more replicas a record is acknowledged once two have it. A broker hears of a topic some time after it
    was made: this returns once one knows all.

    Raises FarshoreError where Kafka refuses: `create_topics` reports refusals in its answer and doesn't raise.
    """
    admin = bus.admin()
    try:
        await admin.start()
        present = set(await admin.list_topics())
        missing = [topic for topic in topics if topic.name not in present]
        if not missing:
            return []
        answer = await admin.create_topics([_new_topic(topic, bus.replication) for topic in missing])
        refused = {
            name: (rest[0] if rest else None) or f"Kafka error {code}"
            for name, code, *rest in answer.topic_errors
            if code not in (0, _TOPIC_ALREADY_EXISTS)
        }
        if refused:
            reason = "; ".join(sorted(set(refused.values())))
            raise FarshoreError("create topic", ", ".join(refused), reason, retry=RetryClass.OPERATOR, hint=_HINT)
        made = [topic.name for topic in missing]
        await _until_known(admin, made)
        return made
    finally:
        await close_within(STOP_SECONDS, admin.close())


async def _until_known(admin: AIOKafkaAdminClient, names: Collection[str]) -> None:
    deadline = time.monotonic() + _KNOWN_WITHIN_SECONDS
    while True:
        unknown = set(names).difference(await admin.list_topics())
        if not unknown:
            return
        if time.monotonic() > deadline:
            reason = f"made, but no broker that was asked knows it after {_KNOWN_WITHIN_SECONDS:g} s"
            raise FarshoreError("create topic", ", ".join(sorted(unknown)), reason, retry=RetryClass.RETRY_SOON)
        await asyncio.sleep(_ASK_AGAIN_SECONDS)


def _new_topic(topic: Topic, replication_factor: int) -> NewTopic:
    # with two replicas it would leave none that may be away
    in_sync = {"min.insync.replicas": "2"} if replication_factor >= 3 else {}
    # aiokafka takes -1 only beside assignments, and sends empty ones as none: the broker then decides.
    assignments: dict[int, list[int]] | None = {} if replication_factor == -1 else None
    return NewTopic(topic.name, topic.partitions, replication_factor, assignments, {**topic.config, **in_sync})
