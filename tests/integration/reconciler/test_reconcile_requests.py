"""A registry that somebody asks to be reconciled is, soon and once; requests outlive whoever follows them."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from broken_reading import end_reading
from reconciler_world import ReconcilerWorld
from waiting import wait_until

from farshore.bus.reading import ReadingEndedError
from farshore.bus.topics import EVENTS
from farshore.errors import FarshoreError
from farshore.records.reconciles import ReconcileRequested
from farshore.topology import parse_topology
from farshore_reconciler.options import Options
from farshore_reconciler.reconcile import Reconciler
from farshore_reconciler.report import RegistryReport
from farshore_reconciler.requests import Requests
from farshore_reconciler.watch import Watch

pytestmark = pytest.mark.integration


async def ask(world: ReconcilerWorld, occasion: str) -> None:
    record = ReconcileRequested.because(world.name, occasion, "a test asks", datetime.now(UTC)).to_cloudevent()
    await world.producer.send_and_wait(EVENTS.name, record.data, key=world.name.encode(), headers=record.headers())


class Watching:
    """A watch that would run by itself once an hour."""

    def __init__(self, world: ReconcilerWorld) -> None:
        self.reports: list[RegistryReport] = []
        self.failures: list[FarshoreError] = []
        topology = parse_topology(world.topology_text, "test")
        reconciler = Reconciler(world.bus, topology, Options(grace_seconds=0.0))
        watch = Watch(reconciler, [world.name], 3600.0, self._tell, self.failures.append)
        self._task = asyncio.create_task(watch.run())

    def _tell(self, reports: Sequence[RegistryReport]) -> None:
        self.reports += reports

    async def has_run(self, times: int) -> None:
        await wait_until(lambda: len(self.reports) >= times, 60, f"{times} runs; failures: {self.failures}")

    async def end(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task


async def unmet(world: ReconcilerWorld) -> bool:
    """Whether a new follower, who reads the log to its end, finds a request that hasn't been met."""
    end = await end_of_events(world)
    async with Requests(world.bus, [world.name]) as requests:

        async def read() -> bool:
            await requests.wait(0.2)
            return (await requests.places())[world.name] >= end

        await wait_until(read, 30, "the end of the log")
        return bool(requests.asked)


async def end_of_events(world: ReconcilerWorld) -> int:
    consumer = world.bus.reader()
    place = await world.announce_place()
    consumer.assign([place])
    await consumer.start()
    try:
        return int((await consumer.end_offsets([place]))[place])
    finally:
        await consumer.stop()


async def test_what_is_asked_for_is_reconciled_between_the_ordinary_runs(world: ReconcilerWorld) -> None:
    watching = Watching(world)
    await watching.has_run(1)
    lost = await world.pushed("team/app", "lost", b"lost", announced=False)
    await ask(world, "one")
    await watching.has_run(2)
    assert [event.digest for event in await world.reconciled()] == [lost.digest]
    await wait_until(lambda: _is_met(world), 60, "the request to be met")
    await watching.end()


async def _is_met(world: ReconcilerWorld) -> bool:
    return not await unmet(world)


async def test_requests_wait_for_whoever_follows_next_and_are_met_once(world: ReconcilerWorld) -> None:
    for occasion in ("one", "two", "two", "three"):
        await ask(world, occasion)
    assert await unmet(world)
    first = Watching(world)
    await first.has_run(1)
    await wait_until(lambda: _is_met(world), 60, "the requests to be met")
    await first.end()
    assert len(first.reports) == 1
    second = Watching(world)
    await second.has_run(1)
    await ask(world, "four")
    await second.has_run(2)
    await second.end()


async def test_a_reading_that_ended_in_silence_is_a_failure(world: ReconcilerWorld) -> None:
    async with Requests(world.bus, [world.name]) as requests:
        await end_reading(requests._consumer)
        with pytest.raises(ReadingEndedError, match="nobody foresaw this"):
            async with asyncio.timeout(300):
                await requests.wait(1_000)
