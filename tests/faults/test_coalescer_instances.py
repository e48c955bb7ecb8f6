"""Several coalescers over one log: one owns a lane, another takes over, and a zombie does no harm."""

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest
from coalescer_world import CoalescerProcess, World, coalescer_world, lane_of_registry
from waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.integration]


def second_instance(world: World) -> CoalescerProcess:
    return CoalescerProcess("second", world.folder, world.topology, world.bus.bootstrap_servers)


async def owner_and_other(world: World, second: CoalescerProcess) -> tuple[CoalescerProcess, CoalescerProcess]:
    """Which of the two runs the registry's lane, once they have shared out the partitions."""
    mark = '"message": "lane started"'
    await wait_until(lambda: mark in second.log() and mark in world.coalescer.log(), 60, "both to have their share")

    def owner() -> CoalescerProcess | None:
        for process in (second, world.coalescer):
            told = [json.loads(line) for line in process.whole_lines() if '"message": "lane ' in line]
            lanes = {one["partition"]: one["message"] == "lane started" for one in told}  # the last word on each
            if lanes.get(lane_of_registry().partition):
                return process
        return None

    found = await wait_until(owner, 30, "an owner of the lane")
    assert found is not None
    return found, second if found is world.coalescer else world.coalescer


async def announce_some(world: World, count: int) -> None:
    for _ in range(count):
        await world.announce(size=20_000)
        await asyncio.sleep(0.1)


async def check_everything_arrived_once(world: World) -> None:
    for site in world.replicas:
        await world.wait_for_arrivals(site, world.announced_ids, within_seconds=90)
        assert set((await world.arrived(site)).values()) == {1}


async def test_another_instance_takes_over_from_one_that_was_killed(tmp_path: Path) -> None:
    async with coalescer_world(tmp_path) as world:
        second = second_instance(world)
        second.start()
        try:
            await announce_some(world, 3)
            owner, _ = await owner_and_other(world, second)
            pushing = asyncio.create_task(announce_some(world, 40))
            await asyncio.wait([pushing], timeout=1)
            owner.kill()
            await pushing
            await check_everything_arrived_once(world)
        finally:
            second.stop()


async def test_an_instance_that_stood_still_and_comes_back_doubles_nothing(tmp_path: Path) -> None:
    async with coalescer_world(tmp_path) as world:
        second = second_instance(world)
        second.start()
        try:
            await announce_some(world, 3)
            owner, other = await owner_and_other(world, second)
            pushing = asyncio.create_task(announce_some(world, 150))
            await asyncio.wait([pushing], timeout=1)
            before = other.log().count("lane started")
            os.kill(owner.pid, signal.SIGSTOP)
            try:
                await wait_until(lambda: other.log().count("lane started") > before, 100, "the other to take over")
            finally:
                os.kill(owner.pid, signal.SIGCONT)
            await pushing
            await check_everything_arrived_once(world)
        finally:
            second.stop()
