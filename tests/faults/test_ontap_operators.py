"""What administrators do to replicas by hand: such a site stops alone and loudly, and goes on by itself once mended."""

import os
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from arrival_watch import ArrivalWatch
from auditor import judge_arrivals
from coalescer_world import World, coalescer_world
from evidence import collect
from ontap_operator import Operator
from waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.integration]

REASONS = {"fra": "paused", "syd": "broken off", "sfo": "there is none", "ams": "offline"}
"""The sites that are meddled with, and what must be said of each."""
LEFT_ALONE = "lon"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def watch(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ArrivalWatch]:
    folder = tmp_path_factory.mktemp("operators")
    async with coalescer_world(folder, ("nyc", *REASONS, LEFT_ALONE)) as world, ArrivalWatch(world) as watch:
        await world.announce()
        await watch.until()
        yield watch


def operators(world: World) -> dict[str, Operator]:
    return {site: Operator(cluster) for site, cluster in world.simulators.items()}


def is_loud(world: World, site: str) -> bool:
    """Whether status, log and metrics all say that a person is needed, and the first two why."""
    told, place = REASONS[site], f"main.{site}"
    status, log, metrics = world.coalescer.status(site), world.coalescer.log(), world.coalescer.metrics()
    errors = [line for line in log.splitlines() if '"level": "error"' in line and f'"place": "{place}"' in line]
    counted = [line for line in metrics if line.startswith("farshore_failures_total") and 'class="operator"' in line]
    return (
        status.get("activity") == "stopped"
        and told in (status["why_behind"] or "")
        and any(told in line for line in errors)
        and any(f'relationship="{place}"' in line for line in counted)
    )


async def test_sites_that_need_an_operator_stop_alone_loudly_and_go_on_once_mended(watch: ArrivalWatch) -> None:
    """At once: fra is paused, syd broken off and written to, sfo's relationship deleted, ams' volume offline.

    lon gets everything meanwhile. After the repairs by hand each site gets what it lacks exactly once, and nothing was
    announced anywhere before it was there.
    """
    world, acting = watch.world, operators(watch.world)
    acting["fra"].set_state("paused")
    acting["syd"].set_state("broken_off")
    (world.simulators["syd"].export("registry") / "written-at-syd").write_text("only here")
    acting["sfo"].delete()
    acting["ams"].set_volume("offline")
    number = await world.announce()
    await watch.until(LEFT_ALONE)
    await wait_until(lambda: all(is_loud(world, site) for site in REASONS), 90, "four sites to be loud")
    assert not any(watch.has(site, number) for site in REASONS)
    acting["fra"].set_state("snapmirrored")
    acting["syd"].set_state("snapmirrored")
    acting["sfo"].make_again(world.simulators["nyc"])
    acting["ams"].set_volume("online")
    await world.announce()
    await watch.until()
    assert not (world.simulators["syd"].export("registry") / "written-at-syd").exists()
    assert watch.early == []
    assert judge_arrivals(await collect(world.bus), world.replicas) == []


async def test_a_source_volume_that_is_offline_is_said_loudly_and_all_goes_on_once_it_is_back(
    watch: ArrivalWatch,
) -> None:
    """The last push before it is announced while it is away."""
    world, nyc = watch.world, Operator(watch.world.simulators["nyc"])
    number = world.write()
    nyc.set_volume("offline")
    await world.produce(number)

    def is_loud() -> bool:
        lines = world.coalescer.log().splitlines()
        return any('"level": "error"' in line and '"place": "main"' in line and "offline" in line for line in lines)

    await wait_until(is_loud, 90, "the coalescer to say so")
    assert not any(watch.has(site, number) for site in world.replicas)
    nyc.set_volume("online")
    await watch.until()
    assert watch.early == []
    assert judge_arrivals(await collect(world.bus), world.replicas) == []


async def test_updates_by_hand_neither_announce_early_nor_hold_anything_up(watch: ArrivalWatch) -> None:
    """Sites export snapshots that ONTAP took for an update by hand, before, between and after events."""
    world, acting = watch.world, operators(watch.world)
    for _ in range(3):
        acting["fra"].update()
        await world.announce()
        acting["syd"].update()
        acting["sfo"].update()
        await watch.until()
    assert watch.early == []
    assert judge_arrivals(await collect(world.bus), world.replicas) == []


async def test_a_relationship_deleted_before_its_last_transfer_was_seen_to_end_can_be_resynced(
    watch: ArrivalWatch,
) -> None:
    """sfo rests on a snapshot that ONTAP took for an update by hand, and deletes once the next transfer ends. Of that
    one, which nothing protects any more, the coalescer knows only that it was sent. It stays at the source.
    """
    world, sfo = watch.world, operators(watch.world)["sfo"]
    sfo.update()
    world.simulators["sfo"].arm(kind="hold_transfer")
    await world.announce()

    def under_way() -> bool:
        status = world.coalescer.status("sfo")
        return status.get("activity") == "transferring" and str(status["exported"]).startswith("snapmirror.")

    await wait_until(under_way, 60, "a transfer that the coalescer sees")
    os.kill(world.coalescer.pid, signal.SIGSTOP)
    try:
        world.simulators["sfo"].disarm()
        sfo.delete()  # once the transfer has ended
    finally:
        os.kill(world.coalescer.pid, signal.SIGCONT)
    for _ in range(4):  # more than are kept
        await world.announce()
        await watch.until(LEFT_ALONE)
    sfo.make_again(world.simulators["nyc"])
    await watch.until()
    assert watch.early == []
    assert judge_arrivals(await collect(world.bus), world.replicas) == []
