"""The coalescer while Kafka is away, comes back, forgets its oldest records, or gets a new topic."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from coalescer_world import REGISTRY, World, coalescer_world
from waiting import wait_until

from farshore.bus.topics import EVENTS, create_missing_topics

pytestmark = [pytest.mark.integration, pytest.mark.faults]


async def make_topic_again(world: World) -> None:
    """Delete `farshore.events` and create it anew: offsets begin at 0 again."""
    admin = AIOKafkaAdminClient(bootstrap_servers=world.bus.bootstrap_servers)
    await admin.start()
    try:
        await admin.delete_topics([EVENTS.name])
    finally:
        await admin.close()

    async def created() -> bool:
        return EVENTS.name in await create_missing_topics(world.bus)

    await wait_until(created, 30, "the topic to be created again")


async def test_sigterm_ends_it_in_time_while_kafka_is_away(tmp_path: Path) -> None:
    async with coalescer_world(tmp_path, ("nyc", "fra")) as world:
        await world.announce()
        await world.wait_for_arrivals("fra", world.announced_ids)
        await world.produce_many(30_000)
        await wait_until(world.arrivals, 60, "the first arrivals")
        assert world.broker.pid is not None
        os.kill(world.broker.pid, signal.SIGSTOP)
        try:
            code = await asyncio.to_thread(world.coalescer.stop)
        finally:
            os.kill(world.broker.pid, signal.SIGCONT)
        assert code == 0


async def test_kafka_that_is_killed_and_comes_back_loses_and_doubles_nothing(tmp_path: Path) -> None:
    async with coalescer_world(tmp_path, ("nyc", "fra")) as world:
        for _ in range(3):
            await world.announce()
            await world.wait_for_arrivals("fra", world.announced_ids)
            world.broker.kill()
            world.broker.launch()
            await asyncio.to_thread(world.broker.wait_until_ready)
        await world.announce()
        await world.wait_for_arrivals("fra", world.announced_ids, within_seconds=120)
        assert set((await world.arrived("fra")).values()) == {1}


async def test_a_site_that_fell_off_the_log_says_so_and_goes_on_with_what_there_is(tmp_path: Path) -> None:
    async with coalescer_world(tmp_path, ("nyc", "fra")) as world:
        await world.announce()
        await world.wait_for_arrivals("fra", world.announced_ids)
        world.simulators["fra"].kill()
        for _ in range(4):
            await world.announce()
        await world.delete_events_before(3)
        world.simulators["fra"].start()
        world.simulators["fra"].wait_ready()
        await world.announce()
        await world.wait_for_arrivals("fra", ["event-0", *world.announced_ids[3:]], within_seconds=90)
        assert dict(await world.arrived("fra")) == {"event-0": 1, "event-3": 1, "event-4": 1, "event-5": 1}
        (request,) = await world.reconcile_requests()
        assert (request.registry, request.sites, request.before) == (REGISTRY, ["fra"], 3)
        assert "fell off the log" in world.coalescer.log()


async def test_a_topic_that_is_made_again_is_noticed(tmp_path: Path) -> None:
    async with coalescer_world(tmp_path, ("nyc", "fra")) as world:
        for _ in range(5):
            await world.announce()
        await world.wait_for_arrivals("fra", world.announced_ids)
        await make_topic_again(world)
        await world.announce(event_id="in the new topic")
        await world.wait_for_arrivals("fra", ["in the new topic"])


async def test_a_lane_that_can_read_no_event_of_what_has_arrived_starts_again(tmp_path: Path) -> None:
    """What it had open it closes over a dead Kafka: aiokafka lets out a cancellation then, by which it once ended."""
    async with coalescer_world(tmp_path, ("nyc", "fra")) as world:
        await world.announce()
        await world.wait_for_arrivals("fra", world.announced_ids)
        link = "/sim/links/cluster-nyc"
        world.simulators["fra"].request("PUT", link, {"bandwidth_bytes_per_second": 1_000})  # nothing gets through
        started = world.coalescer.log().count("transfer started")
        await world.announce(size=200_000)
        await wait_until(lambda: world.coalescer.log().count("transfer started") > started, 60, "the transfer")
        world.broker.kill()
        world.simulators["fra"].request("PUT", link, {"bandwidth_bytes_per_second": 50_000_000})
        await wait_until(lambda: "lane starts again" in world.coalescer.log(), 120, "the lane to give up its reading")
        world.broker.launch()
        await asyncio.to_thread(world.broker.wait_until_ready)
        await world.announce()
        await world.wait_for_arrivals("fra", world.announced_ids, within_seconds=120)
        assert set((await world.arrived("fra")).values()) == {1}
