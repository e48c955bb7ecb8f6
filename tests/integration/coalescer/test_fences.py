"""`farshore fence` with the coalescer as a real process: nothing is snapshotted behind it, and nothing is lost."""

from pathlib import Path

import pytest
from coalescer_world import REGISTRY, World, coalescer_world, read_all
from farshore_command import Ended, end_of, farshore, start_farshore
from waiting import wait_until

from farshore.bus.topics import TRANSFERS
from farshore.records.fences import STATUS_TYPES, FenceStatus
from farshore_cli.fences.find import fences_up
from farshore_cli.fences.raise_and_lift import Fence

pytestmark = pytest.mark.integration


def where(world: World) -> tuple[str, ...]:
    return ("--topology", str(world.topology), "--kafka", world.bus.bootstrap_servers)


async def fence(world: World, *arguments: str) -> Ended:
    return await farshore("fence", *where(world), *arguments)


async def up(world: World) -> list[tuple[str, str]]:
    """The fences that `farshore fence` lists: id and state."""
    return [(standing.raised.fence, standing.state) for standing in await fences_up(world.bus, [REGISTRY])]


async def said(world: World) -> list[tuple[str, str]]:
    """What the coalescer said of fences: id and phase."""
    records = [(dict(headers).get("ce_type"), value) for headers, value in await read_all(world.bus, TRANSFERS)]
    statuses = [FenceStatus.from_json(value, "test") for kind, value in records if kind in STATUS_TYPES]
    return [(status.fence, status.phase) for status in statuses]


def snapshots(world: World) -> set[str]:
    primary = world.simulators[world.primary]
    (volume,) = primary.request("GET", "/api/storage/volumes?name=registry")["records"]
    found = primary.request("GET", f"/api/storage/volumes/{volume['uuid']}/snapshots?name=farshore-*")
    return {record["name"] for record in found["records"]}


async def test_behind_a_fence_no_snapshot_is_taken_and_events_go_afterwards(tmp_path: Path) -> None:
    async with coalescer_world(tmp_path, ("nyc", "fra"), batching={"max_wait": "1s", "urgent": ["team/*"]}) as world:
        await world.announce()
        await world.wait_for_arrivals("fra", world.announced_ids)
        script = f"touch {tmp_path}/held; while [ ! -e {tmp_path}/go ]; do sleep 0.1; done; exit 7"
        command = await start_farshore("fence", *where(world), REGISTRY, "--", "sh", "-c", script)
        await wait_until((tmp_path / "held").exists, 60, "the command behind the fence")
        before = snapshots(world)
        for _ in range(3):
            await world.announce()
        ((fence_id, state),) = await up(world)
        assert state == "held"
        # it is read again from the log, and held anew, by a process that knows nothing
        world.coalescer.kill()
        world.coalescer.start()

        async def held_again() -> bool:
            return (await said(world)).count((fence_id, "held")) >= 2

        await wait_until(held_again, 60, "the fence to be held again")
        await world.announce()
        await wait_until(lambda: waits_for(world, fence_id), 60, "the coalescer to say that it waits")
        assert snapshots(world) <= before
        (tmp_path / "go").touch()
        done = await end_of(command)
        assert done.code == 7, done.err
        await world.wait_for_arrivals("fra", world.announced_ids)
        assert set((await world.arrived("fra")).values()) == {1}
        assert await up(world) == []
        assert (await said(world))[-1] == (fence_id, "lifted")


def waits_for(world: World, identity: str) -> bool:
    return identity in (world.coalescer.status("fra").get("why_behind") or "")


async def test_a_fence_lets_go_by_itself_is_lifted_by_hand_or_not_answered(tmp_path: Path) -> None:
    async with coalescer_world(tmp_path, ("nyc", "fra")) as world:
        await world.announce()
        await world.wait_for_arrivals("fra", world.announced_ids)
        async with Fence(world.bus, REGISTRY) as short:
            await short.go_up(8, "a test")
            await world.announce()
            assert await short.until("held", "expired") == "held"
            assert await short.until("lifted", "expired") == "expired"
        await world.wait_for_arrivals("fra", world.announced_ids)
        # two at once: lifting one leaves the other
        async with Fence(world.bus, REGISTRY) as first, Fence(world.bus, REGISTRY) as second:
            for one in (first, second):
                await one.go_up(600, "a test")
            for one in (first, second):
                assert await one.until("held") == "held"
            assert await first.lift()
            assert await first.until("lifted") == "lifted"
            await world.announce()
            await wait_until(lambda: waits_for(world, second.id), 60, "the coalescer to say that it waits")
            assert await up(world) == [(second.id, "held")]
        assert "event-2" not in await world.arrived("fra")
        assert (await fence(world, REGISTRY, "--lift")).code == 0
        await world.wait_for_arrivals("fra", world.announced_ids)
        # a command that would run beyond the fence is ended before
        done = await fence(world, REGISTRY, "--for", "8s", "--", "sleep", "600")
        assert done.code == 124, done.err
        world.coalescer.stop()
        done = await fence(world, REGISTRY, "--within", "2s", "--", "touch", str(tmp_path / "never"))
        assert done.code == 75, done.err
        assert not (tmp_path / "never").exists()
        assert await up(world) == []
