"""The coalescer with a real Kafka, the real ONTAP client and simulated clusters that move real bytes."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from coalescer_world import World, coalescer_world
from farshore_command import farshore
from waiting import wait_until

from farshore_cli import exit_codes

pytestmark = pytest.mark.integration


def same_content(world: World, site: str, number: int) -> bool:
    return world.path(site, number).read_bytes() == world.path(world.primary, number).read_bytes()


async def hops_of(world: World) -> tuple[int, dict[str, dict[str, Any]]]:
    """What `farshore status` ends with and says, by site."""
    arguments = ("--topology", str(world.topology), "--kafka", world.broker.bootstrap, "--output", "json")
    done = await farshore("status", *arguments, "--coalescer", world.coalescer.url)
    return done.code, {hop["site"]: hop for hop in json.loads(done.out)["hops"]}


async def test_a_burst_of_events_arrives_everywhere_with_few_transfers(tmp_path: Path) -> None:
    async with coalescer_world(tmp_path) as world:
        numbers = [world.write() for _ in range(30)]
        await asyncio.gather(*(world.produce(number) for number in numbers))
        for site in world.replicas:
            await world.wait_for_arrivals(site, world.announced_ids)
            assert set((await world.arrived(site)).values()) == {1}
            assert all(same_content(world, site, number) for number in range(30))
        assert len(await world.transfers("started")) < 20


async def test_an_event_sent_twice_arrives_once(tmp_path: Path) -> None:
    async with coalescer_world(tmp_path, ("nyc", "fra")) as world:
        await world.announce(event_id="twice")
        await world.announce(event_id="other")
        await world.produce(0, event_id="twice")
        await world.announce(event_id="last")
        await world.wait_for_arrivals("fra", ["last"])
        assert dict(await world.arrived("fra")) == {"twice": 1, "other": 1, "last": 1}


async def test_a_slow_replica_holds_nobody_up_and_skips_snapshots(tmp_path: Path) -> None:
    async with coalescer_world(tmp_path) as world:
        link = "/sim/links/cluster-nyc"
        world.simulators["syd"].request("PUT", link, {"bandwidth_bytes_per_second": 1_000})  # nothing gets through
        for _ in range(6):
            await world.announce(size=200_000)
            await world.wait_for_arrivals("fra", world.announced_ids)
        world.simulators["syd"].request("PUT", link, {"bandwidth_bytes_per_second": 50_000_000})
        at_fra = len([t for t in await world.transfers("started") if t["site"] == "fra"])
        await world.wait_for_arrivals("syd", world.announced_ids)
        at_syd = len([t for t in await world.transfers("started") if t["site"] == "syd"])
        assert at_syd < at_fra


async def test_a_dead_replica_delays_nobody_and_catches_up(tmp_path: Path) -> None:
    async with coalescer_world(tmp_path) as world:
        await world.announce()
        await world.wait_for_arrivals("syd", world.announced_ids)
        world.simulators["syd"].kill()
        for _ in range(3):
            await world.announce()
            await world.wait_for_arrivals("fra", world.announced_ids)
        world.simulators["syd"].start()
        world.simulators["syd"].wait_ready()
        await world.wait_for_arrivals("syd", world.announced_ids)
        assert set((await world.arrived("syd")).values()) == {1}


async def brought(world: World, site: str) -> bool:
    """Whether `farshore.transfers`, which is written in the background, has the end of a transfer of a megabyte."""
    ended = await world.transfers("finished")
    return any(one["site"] == site and one["logical_bytes"] > 1_000_000 for one in ended)


async def test_three_hops_take_from_one_another_and_nothing_more_from_the_primary(tmp_path: Path) -> None:
    sites, via = ("nyc", "fra", "ams", "syd"), {"ams": "fra", "syd": "ams"}
    async with coalescer_world(tmp_path, sites, via=via) as world:
        await world.announce()
        await world.wait_for_arrivals("syd", world.announced_ids)
        ams = world.simulators["ams"]
        (found,) = ams.request("GET", "/api/snapmirror/relationships")["records"]
        relationship = f"/api/snapmirror/relationships/{found['uuid']}?return_timeout=100"
        ams.request("PATCH", relationship, {"state": "paused"})
        await world.announce(size=1_000_000)
        await world.wait_for_arrivals("fra", world.announced_ids)
        await wait_until(
            lambda: "it waits for ams: the relationship is paused" in str(world.coalescer.status("syd")),
            30,
            "the last hop to say which one it waits for",
        )
        for site in ("ams", "syd"):
            assert "event-1" not in await world.arrived(site)
        await wait_until(lambda: brought(world, "fra"), 30, "what came to fra to be told")
        code, hops = await hops_of(world)
        assert code == exit_codes.FAILED
        assert [hops[site]["state"] for site in via] == ["trouble", "behind"]
        assert [(hops[site]["from"], hops[site]["hop"]) for site in world.replicas] == [
            ("nyc", 1),
            ("fra", 2),
            ("ams", 3),
        ]
        assert hops["fra"]["bytes_transferred"] > 1_000_000 > hops["ams"]["bytes_transferred"] > 0
        expected = world.path("nyc", 1).read_bytes()
        world.simulators["nyc"].kill()  # what the hops behind fra still lack, fra alone can give
        ams.request("PATCH", relationship, {"state": "snapmirrored"})
        for site in world.replicas:
            await world.wait_for_arrivals(site, world.announced_ids, within_seconds=90)
            assert set((await world.arrived(site)).values()) == {1}
            assert world.path(site, 1).read_bytes() == expected
            await wait_until(lambda site=site: brought(world, site), 30, f"what came to {site} to be told")  # type: ignore[misc]
        code, hops = await hops_of(world)
        assert (code, {hop["state"] for hop in hops.values()}) == (exit_codes.OK, {"ok"})
        assert all(hop["bytes_transferred"] > 1_000_000 for hop in hops.values())
        world.coalescer.kill()
        code, hops = await hops_of(world)
        assert (code, {hop["state"] for hop in hops.values()}) == (exit_codes.UNKNOWN, {"ok"})


async def test_old_snapshots_are_deleted(tmp_path: Path) -> None:
    async with coalescer_world(tmp_path, batching={"keep": 1}) as world:
        for _ in range(8):
            await world.announce()
            for site in world.replicas:
                await world.wait_for_arrivals(site, world.announced_ids)

        def left() -> int:
            volumes = world.simulators["nyc"].request("GET", "/api/storage/volumes?name=registry")["records"]
            path = f"/api/storage/volumes/{volumes[0]['uuid']}/snapshots?name=farshore-*"
            return int(world.simulators["nyc"].request("GET", path)["num_records"])

        await wait_until(lambda: left() <= 3, 30, "old snapshots to be deleted")


async def test_urgent_events_do_not_wait_for_min_interval(tmp_path: Path) -> None:
    batching = {"min_interval": "10m", "max_wait": "20m", "urgent": ["prod/*"]}
    async with coalescer_world(tmp_path, ("nyc", "fra"), batching=batching) as world:
        await world.announce(tag="first")
        await world.wait_for_arrivals("fra", world.announced_ids)
        await world.announce(tag="waits")
        await world.announce(repository="prod/app", tag="urgent")
        await world.wait_for_arrivals("fra", world.announced_ids)


async def test_a_paused_relationship_is_said_and_heals_when_resumed(tmp_path: Path) -> None:
    async with coalescer_world(tmp_path) as world:
        await world.announce()
        await world.wait_for_arrivals("syd", world.announced_ids)
        fra = world.simulators["fra"]
        uuid = fra.request("GET", "/api/snapmirror/relationships")["records"][0]["uuid"]
        fra.request("PATCH", f"/api/snapmirror/relationships/{uuid}?return_timeout=100", {"state": "paused"})
        await world.announce()
        await world.wait_for_arrivals("syd", world.announced_ids)
        await wait_until(lambda: "paused" in world.coalescer.log(), 30, "the log to say that it is paused")
        assert "event-1" not in await world.arrived("fra")
        fra.request("PATCH", f"/api/snapmirror/relationships/{uuid}", {"state": "snapmirrored"})
        await world.wait_for_arrivals("fra", world.announced_ids, within_seconds=90)


async def test_a_replica_that_is_new_begins_with_the_oldest_record_that_kafka_has(tmp_path: Path) -> None:
    async with coalescer_world(tmp_path, ("nyc", "fra")) as world:
        world.coalescer.stop()
        for _ in range(5):
            await world.announce()
        await world.delete_events_before(3)
        world.coalescer.start()
        await world.wait_for_arrivals("fra", world.announced_ids[3:])
        assert dict(await world.arrived("fra")) == {"event-3": 1, "event-4": 1}
