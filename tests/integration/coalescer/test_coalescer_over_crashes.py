"""The coalescer killed, ended and started again: nothing lost, nothing twice, nothing early."""

import asyncio
import random
from pathlib import Path

import pytest
from coalescer_world import World, coalescer_world
from waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.faults]


async def announce_continuously(world: World, count: int) -> None:
    for _ in range(count):
        await world.announce(size=20_000)
        await asyncio.sleep(0.05)


async def test_kill_9_at_any_moment_loses_and_doubles_nothing(tmp_path: Path) -> None:
    async with coalescer_world(tmp_path) as world:
        rng = random.Random(20261124)
        pushing = asyncio.create_task(announce_continuously(world, 120))
        kills = 0
        while not pushing.done():
            await asyncio.wait([pushing], timeout=rng.uniform(0.3, 2.5))
            world.coalescer.kill()
            world.coalescer.start()
            kills += 1
        await pushing
        for site in world.replicas:
            await world.wait_for_arrivals(site, world.announced_ids, within_seconds=120)
            assert set((await world.arrived(site)).values()) == {1}
        assert kills >= 3


async def test_a_running_transfer_is_adopted_after_a_restart(tmp_path: Path) -> None:
    async with coalescer_world(tmp_path, ("nyc", "syd")) as world:
        world.simulators["syd"].request("PUT", "/sim/links/cluster-nyc", {"bandwidth_bytes_per_second": 300_000})
        await world.announce(size=1_500_000)

        async def started() -> int:
            return len(await world.transfers("started"))

        await wait_until(started, 30, "the transfer to start")
        world.coalescer.kill()
        world.coalescer.start()
        await world.wait_for_arrivals("syd", world.announced_ids)
        assert await started() == 1
        assert set((await world.arrived("syd")).values()) == {1}


async def test_sigterm_ends_it_in_time_and_loses_nothing(tmp_path: Path) -> None:
    async with coalescer_world(tmp_path) as world:
        pushing = asyncio.create_task(announce_continuously(world, 40))
        await wait_until(world.arrivals, 60, "the first arrival")
        assert world.coalescer.stop() == 0
        world.coalescer.start()
        await pushing
        for site in world.replicas:
            await world.wait_for_arrivals(site, world.announced_ids)
            assert set((await world.arrived(site)).values()) == {1}


async def test_a_backlog_costs_no_memory_that_grows_with_it(tmp_path: Path) -> None:
    async with coalescer_world(tmp_path, ("nyc", "fra")) as world:
        await world.announce()
        await world.wait_for_arrivals("fra", world.announced_ids)
        before = peak_memory(world.coalescer.pid)
        await world.produce_many(40_000)

        async def all_published() -> bool:
            return len(await world.arrivals()) >= 40_001

        await wait_until(all_published, 120, "the backlog's arrivals")
        assert peak_memory(world.coalescer.pid) - before < 48 * 1024 * 1024


def peak_memory(pid: int) -> int:
    """The most memory that the process has had resident so far, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")
