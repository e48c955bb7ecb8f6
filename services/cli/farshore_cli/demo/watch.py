"""Follows farshore's topics while the demo runs."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from farshore.bus.clients import Bus
from farshore.bus.closing import stop_consumer
from farshore.bus.topics import ARRIVALS, READINESS
from farshore.records.arrivals import Arrival
from farshore.records.readiness import Readiness
from farshore_cli.demo.observations import Observations

_TOPICS = (ARRIVALS, READINESS)


class Watch:
    """Collects what is written from now on; `changed` is called, from the loop, after each batch of records."""

    def __init__(self, bus: Bus, changed: Callable[[], None]) -> None:
        self.observations = Observations()
        self._consumer: AIOKafkaConsumer = bus.reader()
        self._changed = changed
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._consumer.assign(
            [TopicPartition(topic.name, number) for topic in _TOPICS for number in range(topic.partitions)]
        )
        await self._consumer.start()
        await self._consumer.seek_to_end()
        for partition in self._consumer.assignment():  # the position is looked up only when it is asked for
            await self._consumer.position(partition)
        self._task = asyncio.create_task(self._follow(), name="watch")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await stop_consumer(self._consumer)

    async def until(self, condition: Callable[[Observations], bool], within_seconds: float) -> bool:
        """Wait until `condition` holds; False when it doesn't in time."""
        try:
            async with asyncio.timeout(within_seconds):
                while not condition(self.observations):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return False
        return True

    async def _follow(self) -> None:
        while True:
            batches = await self._consumer.getmany(timeout_ms=500)
            for records in batches.values():
                for record in records:
                    self._take(record)
            if batches:
                self._news.set()
                self._changed()

    def _take(self, record: ConsumerRecord[bytes, bytes]) -> None:
        where = f"{record.topic}/{record.partition}@{record.offset}"
        if record.value is None:
            return
        if record.topic == ARRIVALS.name:
            self.observations.arrivals.append(Arrival.from_record(record.headers, record.value, where))
        else:
            self.observations.statements.append(Readiness.from_json(record.value, where))
