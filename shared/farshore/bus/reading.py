"""Notices that a consumer reads no more."""

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import KafkaError


class ReadingEndedError(KafkaError):  # type: ignore[misc]  # aiokafka has no types
    """What reads for a consumer has ended for good: another consumer has to take its place."""


def check_reading(consumer: AIOKafkaConsumer) -> None:
    """Raise ReadingEndedError where the started `consumer` will give no record any more.

    aiokafka 0.14 tells nobody when its fetching ends by something that it didn't foresee: `getmany` returns nothing
    from then on, as if nobody wrote. When what keeps the place in the group ends, it raises the same again and again.
    """
    coordinator = consumer._coordinator
    behind = [consumer._fetcher._fetch_task, consumer._client._sync_task]
    if isinstance(coordinator, GroupCoordinator):
        behind.append(coordinator._coordination_task)
    for task in behind:
        if task.done():
            failure = None if task.cancelled() else task.exception()
            cause = getattr(failure, "__cause__", None) or failure
            raise ReadingEndedError(f"aiokafka reads no more: {cause!r}") from failure
