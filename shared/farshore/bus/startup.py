"""Waits for Kafka when a service starts before it, or comes back while it is away."""

import asyncio
import logging
from collections.abc import Sequence

from farshore.bus.clients import Bus
from farshore.bus.failures import KAFKA_FAILURES
from farshore.bus.refusals import KafkaRefusedError
from farshore.bus.topics import ALL_TOPICS, Topic, create_missing_topics
from farshore.errors import FarshoreError
from farshore.telemetry import event

log = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0


async def wait_for_topics(bus: Bus, stopping: asyncio.Event, topics: Sequence[Topic] = ALL_TOPICS) -> bool:
    """Wait until Kafka answers and has `topics`, made where they were missing; False when `stopping` is set before.

    Raises KafkaRefusedError where Kafka answers and refuses, unless it once let this process in.
    """
    attempts = asyncio.create_task(_until_there(bus, topics))
    stopped = asyncio.create_task(stopping.wait())
    try:
        # An attempt can hang for as long as a request's time-out; stopping must not.
        await asyncio.wait({attempts, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not attempts.done():
            return False
        attempts.result()
        return not stopping.is_set()
    finally:
        for task in (attempts, stopped):
            task.cancel()
        await asyncio.wait({attempts, stopped})


async def _until_there(bus: Bus, topics: Sequence[Topic]) -> None:
    said: str | None = None
    while True:
        try:
            await create_missing_topics(bus, topics)
        except (FarshoreError, *KAFKA_FAILURES) as error:
            refusal = error if isinstance(error, KafkaRefusedError) else await bus.refusal()
            if refusal is not None and not bus.access.let_in:
                raise refusal from None
            reason = str(refusal or error)
            # how Kafka is away changes all the time, and is said once
            news = reason if isinstance(refusal or error, FarshoreError) else "away"
            if news != said:
                event(log, logging.WARNING, "waiting for Kafka", at=bus.bootstrap_servers, reason=reason)
                said = news
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            bus.access.let_in = True
            return
