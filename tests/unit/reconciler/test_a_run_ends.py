"""A run ends, though Kafka went away with what it announced."""

import asyncio
from typing import Any, cast

import pytest
from aiokafka.errors import KafkaConnectionError

from farshore.errors import FarshoreError
from farshore_reconciler.options import Options
from farshore_reconciler.reconcile import Reconciler


class AwayProducer:
    """aiokafka's, which doesn't stop before Kafka has acknowledged all that it was given."""

    async def stop(self) -> None:
        await asyncio.Event().wait()


class AwayBus:
    def producer(self) -> AwayProducer:
        return AwayProducer()

    def admin(self) -> None:
        raise KafkaConnectionError("away")


async def test_a_run_does_not_wait_for_a_kafka_that_is_away() -> None:
    reconciler = Reconciler(cast(Any, AwayBus()), cast(Any, None), Options())
    with pytest.raises(FarshoreError, match="away"):
        async with asyncio.timeout(60):
            await reconciler.run([])
