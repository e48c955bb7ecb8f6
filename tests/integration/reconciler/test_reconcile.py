"""Reconciling against real registries and a real Kafka."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from reconciler_world import ReconcilerWorld, found
from registry_process import blob_file
from scripted_server import Answer, ScriptedServer
from verifier_world import copy_volume, make_event

from farshore.bus.clients import Bus
from farshore.records.events import EventKind
from farshore.records.readiness import ReadinessState
from farshore.topology import parse_topology
from farshore_cli.tools.ports import free_port
from farshore_reconciler.judge import Cause, Remark
from farshore_reconciler.limits import DeletionLimit
from farshore_reconciler.options import Options
from farshore_reconciler.reconcile import Reconciler

pytestmark = pytest.mark.integration

REPOSITORY = "team/app"


async def some_known(world: ReconcilerWorld, *tags: str) -> None:
    for tag in tags or ("known",):
        await world.pushed(REPOSITORY, tag, tag.encode(), announced=True)


def unmount(world: ReconcilerWorld, site: str) -> None:
    """What a registry sees whose volume isn't mounted: an empty folder."""
    copy_volume(world.folder / "empty", world.folder / site)


async def test_exactly_the_lost_pushes_are_announced_and_only_once(world: ReconcilerWorld) -> None:
    await some_known(world)
    lost = {tag: await world.pushed(REPOSITORY, tag, tag.encode(), announced=False) for tag in ("l1", "l2")}
    elsewhere = await world.pushed("team/other/deep", "v1", b"x", announced=False)
    report = await world.run()
    announced = {(event.repository, event.tag, event.digest): event for event in await world.reconciled()}
    assert set(announced) == {
        *((REPOSITORY, tag, image.digest) for tag, image in lost.items()),
        ("team/other/deep", "v1", elsewhere.digest),
    }
    assert report.lost_notifications == 3
    assert not report.is_unknown
    again = await world.run()
    assert not again.announced
    assert again.remarks[Remark.UNDER_WAY, "fra"] == 3
    assert len(await world.reconciled()) == 3


async def test_what_was_lost_again_is_announced_again(world: ReconcilerWorld) -> None:
    await world.pushed(REPOSITORY, "v1", b"one", announced=False)
    await world.run()
    for generation, event in await world.events():
        await world.decide(generation, event, ReadinessState.READY)
    assert not (await world.run()).announced
    second = await world.pushed(REPOSITORY, "v1", b"two", announced=False)
    await world.run()
    first, later = await world.reconciled()
    assert later.digest == second.digest
    assert first.id != later.id


async def test_a_lost_delete_is_announced_once(world: ReconcilerWorld) -> None:
    await some_known(world, "kept", "gone")
    await world.untag(REPOSITORY, world.images[f"{REPOSITORY}:gone"].digest)
    report = await world.run()
    assert report.announced == {Cause.LOST_DELETE: 1}
    assert [(event.kind, event.tag) for event in await world.reconciled()] == [(EventKind.TAG_DELETED, "gone")]
    assert not (await world.run()).announced


async def test_an_event_that_comes_between_the_looks_is_not_doubled(world: ReconcilerWorld) -> None:
    await some_known(world)
    image = await world.pushed(REPOSITORY, "slow", b"slow", announced=False)
    event = make_event(
        EventKind.MANIFEST_PUSHED, REPOSITORY, id="n-slow", registry=world.name, digest=image.digest, tag="slow"
    )
    report = await world.run(between=lambda: world.announce(event))
    assert report.unsettled == 1
    assert not await world.reconciled()


async def test_two_runs_at_once_announce_one_thing(world: ReconcilerWorld) -> None:
    for number in range(5):
        await world.pushed(REPOSITORY, f"v{number}", b"%d" % number, announced=False)
    together = asyncio.Barrier(2)
    await asyncio.gather(world.run(between=together.wait), world.run(between=together.wait))
    assert len({event.id for event in await world.reconciled()}) == 5


async def test_an_unmounted_primary_is_unknown_and_deletes_nothing(world: ReconcilerWorld) -> None:
    await some_known(world, "a", "b")
    unmount(world, "nyc")
    code, output = await world.command()
    assert code == 75, output
    assert found(output)["is_unknown"] is True
    assert not await world.reconciled()


async def test_a_primary_that_is_unmounted_between_the_looks_deletes_nothing(world: ReconcilerWorld) -> None:
    await some_known(world, "kept", "gone")
    await world.untag(REPOSITORY, world.images[f"{REPOSITORY}:gone"].digest)

    async def goes_away() -> None:
        unmount(world, "nyc")

    assert not (await world.run(between=goes_away)).announced
    assert not await world.reconciled()


@pytest.mark.parametrize("trouble", ["500", "hangs", "dead", "garbage"])
async def test_a_primary_in_trouble_is_unknown(world: ReconcilerWorld, trouble: str) -> None:
    await some_known(world)
    answer = {"500": Answer(status=500), "hangs": Answer(hang=True), "garbage": Answer("<html>")}.get(trouble)
    with ScriptedServer(lambda _method, _path: answer or Answer()) as server:
        world.urls["nyc"] = server.url if answer else f"http://127.0.0.1:{free_port()}"
        code, output = await world.command()
    assert code == 75, output
    assert not await world.reconciled()


async def test_a_repository_that_cannot_be_listed_is_unknown_and_others_are_reconciled(world: ReconcilerWorld) -> None:
    await some_known(world)
    lost = await world.pushed("sound", "v1", b"sound", announced=False)

    def script(_method: str, path: str) -> Answer:
        if path.startswith("/v2/_catalog"):
            return Answer({"repositories": [REPOSITORY, "sound"]})
        if path.startswith("/v2/sound/"):
            return Answer({"tags": ["v1"]}, headers={"Docker-Content-Digest": lost.digest})
        return Answer(status=500 if "/tags/" in path else 404)

    with ScriptedServer(script) as server:
        world.urls["nyc"] = server.url
        report = await world.run()
    assert report.remarks[Remark.UNKNOWN, "nyc"] == 1
    assert [event.repository for event in await world.reconciled()] == ["sound"]


async def test_a_primary_that_fails_again_and_again_is_left_alone(world: ReconcilerWorld) -> None:
    def script(_method: str, path: str) -> Answer:
        if path.startswith("/v2/_catalog"):
            return Answer({"repositories": ["a"]})
        return Answer({"tags": [f"t{number}" for number in range(400)]}) if "/tags/" in path else Answer(status=500)

    with ScriptedServer(script) as server:
        world.urls["nyc"] = server.url
        report = await world.run()
    assert "failures in a row" in report.unknown[0]
    assert len([1 for method, _ in server.requests if method == "HEAD"]) < 200


async def test_too_many_deletions_stop_all_of_them_until_a_person_allows_it(world: ReconcilerWorld) -> None:
    await some_known(world, "kept", "g1", "g2", "g3")
    for tag in ("g1", "g2", "g3"):
        await world.untag(REPOSITORY, world.images[f"{REPOSITORY}:{tag}"].digest)
    lost = await world.pushed(REPOSITORY, "lost", b"lost", announced=False)
    code, output = await world.command("--max-deletions", "2")
    assert code == 1, output
    assert found(output)["deletions_stopped"] == 3
    assert [event.digest for event in await world.reconciled()] == [lost.digest]
    await world.run(Options(max_deletions=DeletionLimit(3)))
    assert len([event for event in await world.reconciled() if event.kind is EventKind.TAG_DELETED]) == 3


async def test_a_dry_run_says_what_is_missing_and_writes_nothing(world: ReconcilerWorld) -> None:
    await world.pushed(REPOSITORY, "lost", b"lost", announced=False)
    code, output = await world.command("--dry-run")
    assert code == 1, output
    assert found(output)["lost_notifications"] == 1
    assert not await world.events()


async def test_a_site_that_was_never_told_is_backfilled(world: ReconcilerWorld) -> None:
    image = await world.push.image(REPOSITORY, "old", b"old")
    event = make_event(
        EventKind.MANIFEST_PUSHED, REPOSITORY, id="old", registry=world.name, digest=image.digest, tag="old"
    )
    generation = replace(await world.announce(make_event(EventKind.VOLUME_DIRTY, REPOSITORY, id="x")), offset=0)
    await world.decide(generation, event, ReadinessState.READY, ("fra",))  # and its event is no longer in the log
    report = await world.run()
    assert report.announced == {Cause.BACKFILL: 1}
    assert report.lost_notifications == 0


async def test_holes_and_extra_content_at_a_site_are_found(world: ReconcilerWorld) -> None:
    await some_known(world, "kept", "extra")
    world.transfer("fra", "syd")
    extra = world.images[f"{REPOSITORY}:extra"]
    await world.untag(REPOSITORY, extra.digest)
    for generation, event in await world.events():
        if event.tag == "extra":
            deleted = make_event(EventKind.TAG_DELETED, REPOSITORY, id="d", registry=world.name, tag="extra")
            await world.decide(generation, deleted, ReadinessState.REVOKED)
    await world.pushed(REPOSITORY, "hole", b"hole", announced=True)  # never transferred
    report = await world.run(Options(sites=frozenset({"fra"})))
    assert report.remarks[Remark.EXTRA, "fra"] == 1
    assert report.remarks[Remark.HOLE, "fra"] == 1
    assert report.announced == {Cause.HOLE: 1}


async def test_an_unmounted_site_is_unknown_and_no_hole(world: ReconcilerWorld) -> None:
    await some_known(world)
    report = await world.run(Options(sites=frozenset({"fra"})))
    assert report.is_unknown
    assert not report.announced


async def test_a_registry_that_has_nothing_yet_is_not_unknown(world: ReconcilerWorld) -> None:
    code, output = await world.command("--site", "all")
    assert code == 0, output
    assert found(output)["names"] == 0


async def test_a_sample_finds_a_damaged_blob(world: ReconcilerWorld) -> None:
    await some_known(world)
    world.transfer("fra", "syd")
    code, output = await world.command("--sample", "3")
    assert code == 0, output
    damage(world.folder / "fra", world)
    code, output = await world.command("--sample", "3")
    assert code == 1, output
    assert "at fra" in str(found(output)["damaged"])
    assert "at syd" not in str(found(output)["damaged"])


def damage(root: Path, world: ReconcilerWorld) -> None:
    file = blob_file(root, world.images[f"{REPOSITORY}:known"].layers[0])
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


async def test_the_sample_goes_around_all_images(world: ReconcilerWorld) -> None:
    await some_known(world, *(f"v{number}" for number in range(6)))
    world.transfer("fra", "syd")
    topology = parse_topology(world.topology_text, "test")
    reconciler = Reconciler(world.bus, topology, Options(sample=2))
    digests = {image.digest: tag for tag, image in world.images.items()}
    assert len(digests) == 6
    damage_all = [blob_file(world.folder / "fra", image.layers[0]) for image in world.images.values()]
    for file in damage_all:
        file.write_bytes(b"")
    seen = {line for _ in range(3) for line in (await reconciler.run([world.name]))[0].damaged}
    assert len(seen) == 6


async def test_without_kafka_nothing_is_known(world: ReconcilerWorld) -> None:
    world.bus = Bus(f"127.0.0.1:{free_port()}")
    code, output = await world.command()
    assert code == 75, output
    assert "Traceback" not in output


async def test_a_registry_that_is_not_in_the_topology_is_refused(world: ReconcilerWorld) -> None:
    code, output = await world.command("other")
    assert code == 2, output
    assert world.name in output
