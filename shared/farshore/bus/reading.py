"""Notices that a consumer reads no more."""

import asyncio
from collections.abc import Iterator
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import KafkaError

from farshore.together import failure_of


class ReadingEndedError(KafkaError):  # type: ignore[misc]  # aiokafka has no types
    """What reads for a consumer has ended for good: another consumer has to take its place."""


def check_reading(consumer: AIOKafkaConsumer) -> None:
    """Raise ReadingEndedError where the started `consumer` will give no record any more.

    aiokafka 0.14 tells nobody when its fetching ends by something that it didn't foresee, such as an error that Kafka
    gives for the first time: `getmany` returns nothing from then on, as if nobody wrote. When what keeps the place in
    the group ends so, `getmany` raises the same again and again, and nothing else.
    """
    for task in _behind(consumer):
        if task.done() and (failure := failure_of(task)) is not None:
            raise ReadingEndedError(f"aiokafka reads no more: {failure.__cause__ or failure!r}") from failure


def _behind(consumer: AIOKafkaConsumer) -> Iterator["asyncio.Task[Any]"]:
    yield consumer._fetcher._fetch_task
    yield consumer._client._sync_task
    coordinator = consumer._coordinator
    if isinstance(coordinator, GroupCoordinator):
        yield coordinator._coordination_task
        if coordinator._heartbeat_task is not None:
            yield coordinator._heartbeat_task
        if coordinator._commit_refresh_task is not None:
            yield coordinator._commit_refresh_task
