"""Waits for Kafka when a service starts before it, or comes back while it is away."""

import asyncio
import logging

from farshore.bus.clients import Bus
from farshore.bus.failures import KAFKA_FAILURES
from farshore.bus.refusals import KafkaRefusedError
from farshore.bus.topics import create_missing_topics
from farshore.errors import FarshoreError
from farshore.telemetry import event

log = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0


async def wait_for_topics(bus: Bus, stopping: asyncio.Event) -> bool:
    """Wait until Kafka answers and farshore's topics are there; False when `stopping` is set before.

    Raises KafkaRefusedError where Kafka answers and refuses, unless it once let this process in.
    """
    attempts = asyncio.create_task(_until_there(bus))
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


async def _until_there(bus: Bus) -> None:
    said = False
    while True:
        try:
            await create_missing_topics(bus)
        except (FarshoreError, *KAFKA_FAILURES) as error:
            refusal = error if isinstance(error, KafkaRefusedError) else await bus.refusal()
            if refusal is not None and not bus.access.let_in:
                raise refusal from None
            if not said:
                event(log, logging.WARNING, "waiting for Kafka", at=bus.bootstrap_servers, reason=str(refusal or error))
                said = True
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            bus.access.let_in = True
            return
