"""Faults of ONTAP clusters that pass by themselves: all arrives exactly once, nothing early, nobody waits for others.

The real coalescer against simulated clusters that refuse, lose answers, abort, reboot, are slow and have wrong clocks.
One world for all tests: what one of them breaks is mended before the next. Every test ends with the auditor.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from arrival_watch import ArrivalWatch
from auditor import judge_arrivals
from coalescer_world import World, coalescer_world
from evidence import collect
from ontap_operator import Operator
from waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.integration]

STARTS, SNAPSHOTS = "*/transfers", "*/snapshots"
READINGS = "/api/snapmirror/relationships/*"


@dataclass
class Scene:
    """The world, and what has been seen to arrive in it."""

    world: World
    watch: ArrivalWatch

    def arm(self, site: str, **fault: Any) -> None:
        self.world.simulators[site].arm(**fault)

    def calm(self, *sites: str) -> None:
        for site in sites or self.world.simulators:
            self.world.simulators[site].disarm()

    async def announce(self, size: int = 5000) -> int:
        return await self.world.announce(size=size)

    def troubles(self, *places: str) -> list[str]:
        """What the coalescer said so far of failures at relationships, or at the source: the registry's name.

        Without the time-outs, which a busy machine may bring about.
        """
        lines = [line for line in self.world.coalescer.whole_lines() if '"message": "trouble"' in line]
        mine = [line for line in lines if any(f'"place": "{place}"' in line for place in places)]
        return [line for line in mine if "within the time-out" not in line]

    async def all_struck(self, *sites: str) -> None:
        """Wait until the faults that strike a number of times have done so: `all_is_well` would clear the others."""
        for site in sites or self.world.simulators:
            await wait_until(lambda: not self.world.simulators[site].armed(), 60, f"the faults at {site} to strike")  # noqa: B023

    async def until_transferring(self, *sites: str) -> None:
        """Wait for a transfer that a hold keeps from ending."""
        for site in sites:
            operator = Operator(self.world.simulators[site])
            await wait_until(operator.is_transferring, 60, f"a transfer to {site}")

    async def all_is_well(self) -> None:
        """Everything arrives once the faults are gone, and the auditor finds nothing."""
        self.calm()
        await self.watch.until()
        assert self.watch.early == []
        assert judge_arrivals(await collect(self.world.bus), self.world.replicas) == []


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with (
        coalescer_world(tmp_path_factory.mktemp("faults"), batching={"keep": 0}, timeout="4s") as world,
        ArrivalWatch(world) as watch,
    ):
        await world.announce()
        await watch.until()
        yield Scene(world, watch)


async def test_what_was_carried_out_although_its_answer_was_lost_is_not_done_twice(scene: Scene) -> None:
    """A snapshot, a start, a reading and a deletion each lose their answer: one snapshot, one transfer a site.

    What was begun is recognised, so that snapshot and start give no trouble.
    """
    troubles = scene.troubles("main", "main.fra")
    fra = Operator(scene.world.simulators["fra"])
    carried_out = fra.transfers()
    before = scene.world.simulators["nyc"].request("GET", "/sim/stats")["snapshots_taken"]
    scene.arm("nyc", kind="drop_reply", method="POST", path=SNAPSHOTS)
    scene.arm("nyc", kind="drop_reply", method="DELETE")
    scene.arm("fra", kind="drop_reply", method="POST", path=STARTS)
    scene.arm("syd", kind="drop_reply", method="GET", path=READINGS)
    started = len(await scene.world.transfers("started"))
    await scene.announce()
    await scene.all_struck()
    await scene.all_is_well()
    assert scene.world.simulators["nyc"].request("GET", "/sim/stats")["snapshots_taken"] == before + 1
    assert len(await scene.world.transfers("started")) <= started + len(scene.world.replicas)
    assert fra.transfers() == carried_out + 1
    assert scene.troubles("main", "main.fra") == troubles


@pytest.mark.parametrize(
    ("site", "path", "status", "code", "message"),
    [
        ("fra", STARTS, 409, 13303844, "Update failed. (Another transfer is in progress)"),
        ("fra", STARTS, 400, 6619720, "The relationship's data is still propagating."),
        ("fra", STARTS, 400, 13303844, "Something that no table names."),
        ("nyc", SNAPSHOTS, 500, 1638537, "The outcome of the snapshot is unknown."),
        ("nyc", SNAPSHOTS, 429, None, "Too many requests."),
    ],
)
async def test_a_refusal_is_tried_again(
    scene: Scene, site: str, path: str, status: int, code: int | None, message: str
) -> None:
    """Refused twice, then taken: the event arrives, and a refusal at one replica delays no other."""
    fault = {"kind": "refuse", "method": "POST", "path": path, "status": status, "message": message, "times": 2}
    scene.arm(site, **fault, **({} if code is None else {"code": code}))
    await scene.announce()
    await scene.watch.until("syd")
    await scene.all_struck()
    await scene.all_is_well()


async def test_a_storm_of_errors_at_one_replica_delays_no_other(scene: Scene) -> None:
    """Every call to fra is answered 503 until syd has everything; then all arrives at fra too."""
    scene.arm("fra", kind="refuse", path="/api/*", status=503, times=1_000_000)
    number = await scene.announce()
    await scene.watch.until("syd")
    assert not scene.watch.has("fra", number)
    await scene.all_is_well()


async def test_a_storm_of_errors_everywhere_passes(scene: Scene) -> None:
    """Each cluster refuses its next calls with 500 to 504, whatever they are."""
    for site in scene.world.simulators:
        for status in (500, 502, 503, 504):
            scene.arm(site, kind="refuse", path="/api/*", status=status, times=2)
    await scene.announce()
    await scene.all_struck()
    await scene.all_is_well()


async def test_slow_answers_of_one_replica_delay_no_other(scene: Scene) -> None:
    """Each answer of fra takes longer than the client waits; syd goes on, and fra catches up."""
    scene.arm("fra", kind="slow", path="/api/snapmirror/*", seconds=5, times=2)
    await scene.announce()
    await scene.watch.until("syd")
    await scene.announce()
    await scene.watch.until("syd")
    await scene.all_is_well()


async def test_jobs_that_fail_or_are_forgotten_are_looked_into(scene: Scene) -> None:
    """The job of a snapshot fails, and the job of a deletion is gone before anybody asked how it ended."""
    scene.arm("nyc", kind="fail_job", description="POST *snapshots*", code=1638537)
    scene.arm("nyc", kind="refuse", method="GET", path="/api/cluster/jobs/*", status=404, code=4, times=2)
    for _ in range(2):
        await scene.announce()
        await scene.watch.until()
    await scene.all_struck()
    await scene.all_is_well()


async def test_transfers_that_fail_in_the_middle_are_begun_again(scene: Scene) -> None:
    """One fails with a code, then one is aborted, then one loses its checkpoint too."""
    for after in (
        {"kind": "fail_transfer", "after_bytes": 50_000},
        {"kind": "abort_transfer"},
        {"kind": "abort_transfer", "hard": True},
    ):
        if after["kind"] == "abort_transfer":
            scene.arm("fra", kind="hold_transfer", after_bytes=50_000)
        else:
            scene.arm("fra", **after)
        await scene.announce(size=200_000)
        if after["kind"] == "abort_transfer":
            await scene.until_transferring("fra")
            scene.arm("fra", **after)
        else:
            await scene.all_struck("fra")
        await scene.watch.until("syd")
        await scene.all_is_well()


@pytest.mark.parametrize("site", ["nyc", "fra"])
async def test_a_reboot_in_the_middle_of_a_transfer_is_survived(scene: Scene, site: str) -> None:
    """The source's or the destination's cluster reboots while blocks cross, and is away for a second."""
    scene.arm("fra", kind="hold_transfer", after_bytes=50_000)
    await scene.announce(size=200_000)
    await scene.until_transferring("fra")
    scene.arm(site, kind="reboot", seconds=1)
    await scene.all_is_well()


async def test_a_peer_that_cannot_be_reached_delays_no_other_and_is_caught_up(scene: Scene) -> None:
    """Nothing crosses from nyc to fra, while both clusters answer."""
    scene.arm("fra", kind="unreachable", peer="cluster-nyc")
    number = await scene.announce()
    await scene.watch.until("syd")
    await wait_until(lambda: scene.world.coalescer.status("fra").get("failures", 0) > 0, 60, "a failure to be told")
    assert not scene.watch.has("fra", number)
    await scene.all_is_well()


async def test_wrong_clocks_announce_nothing_early(scene: Scene) -> None:
    """The source's clock runs ahead by a day, is set back by two, and an update by hand falls into each time.

    What it brought is exported while the transfer behind it is held, until the other site has what that is to bring.
    """
    fra = Operator(scene.world.simulators["fra"])
    for offset in (86_400, -86_400):
        scene.arm("nyc", kind="clock", offset_seconds=offset)
        await scene.announce()
        await scene.watch.until("fra")
        fra.update()
        scene.arm("fra", kind="hold_transfer")
        number = await scene.announce()
        await scene.until_transferring("fra")
        await scene.watch.until("syd")
        assert not scene.watch.has("fra", number)
        scene.calm()
        await scene.watch.until()
    await scene.announce()
    await scene.all_is_well()


async def test_a_snapshot_that_is_deleted_under_its_transfers_is_taken_again(scene: Scene) -> None:
    """Both transfers have begun and have nothing yet; then somebody deletes what they are to bring."""
    nyc = Operator(scene.world.simulators["nyc"])
    before = set(nyc.snapshots().values())
    for site in scene.world.replicas:
        scene.arm(site, kind="hold_transfer")
    await scene.announce()
    await scene.until_transferring(*scene.world.replicas)
    (new,) = set(nyc.snapshots().values()) - before
    nyc.delete_snapshot(new)
    assert new not in nyc.snapshots().values()
    await scene.all_is_well()
