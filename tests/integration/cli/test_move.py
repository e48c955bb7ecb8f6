"""`farshore move` on real nginx, registries, Kafka and simulated clusters, with clients at work."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from applied import everything
from coalescer_world import read_all
from farshore_command import end_of, farshore, start_farshore
from limited_users import ALL, calls_of_user
from move_world import SITES, MoveWorld, Traffic, move_world
from waiting import wait_until

from farshore.bus.topics import DEADLETTER, EVENTS
from farshore.errors import FarshoreError
from farshore.oci import Digest
from farshore_cli.moving.plan import Intent
from farshore_cli.moving.run import MoveOutcome, Mover, Request, opened_mover
from farshore_cli.moving.steps import MovePlan, MoveStep
from farshore_cli.tools.find import Tools

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, tools: Tools) -> Iterator[MoveWorld]:
    with move_world(tmp_path_factory.mktemp("move"), tools) as world:
        yield world
        assert calls_of_user(world.simulators.values()) <= ALL


class Killed(BaseException):
    """Stands for kill -9 in the middle of a run."""


class Watching:
    """Keeps what was shown, and kills the run at the first line that ends with `dies_at`, if that is given."""

    def __init__(self, dies_at: str = "") -> None:
        self.lines: list[str] = []
        self._dies_at = dies_at
        self._dead = False

    def beginning(self, step: MoveStep) -> None:
        self._tell(f"{step.words} …")

    def done(self, step: MoveStep, failure: FarshoreError | None) -> None:
        self._tell(f"{step.words}: {failure or 'done'}")

    def looked(self, plan: MovePlan) -> None:
        waiting = [f"waiting until {step.words}" for step in plan.awaited]
        self.lines += [line for line in waiting if line not in self.lines]

    def _tell(self, line: str) -> None:
        self.lines.append(line)
        self._dead = self._dead or bool(self._dies_at and line.endswith(self._dies_at))
        if self._dead:  # so do the run's other steps
            raise Killed


def request(world: MoveWorld, target: str, *, force: bool = False, discard: str = "") -> Request:
    async def promote() -> None:
        await world.start_registry(target, writable=True)

    intent = Intent("main", target, "0123", has_promotion=True, force=force, discard=discard)
    return Request(world.topology_file, world.bus, intent, world.hold_dir, promote=promote)


async def moved(world: MoveWorld, target: str) -> MoveOutcome:
    async with world.operator(), opened_mover(request(world, target)) as mover:
        outcome = await mover.run(watching := Watching(), 300)
        assert outcome.exit_code == 0, (watching.lines, outcome.as_json())
    await world.demote()
    return outcome


async def test_a_move_in_the_middle_of_pushes_and_pulls_loses_nothing_and_fails_no_pull(world: MoveWorld) -> None:
    traffic = Traffic(world)
    async with traffic.flowing("first"):
        await wait_until(lambda: len(traffic.pushed) > 10 and traffic.pulls > 50, 60, "clients at work")
        outcome = await moved(world, "syd")
        after = len(traffic.pushed)
        await wait_until(lambda: len(traffic.pushed) > after + 5, 60, "pushes to the new primary")
    assert traffic.trouble == []
    assert traffic.held > 0
    assert set(outcome.held_seconds) == set(SITES)
    registry = world.topology.registries["main"]
    assert (registry.primary.site, registry.epoch) == ("syd", 2)
    assert {one.site: one.via for one in registry.replicas} == {"fra": None, "nyc": "fra"}  # the cascade turned around
    assert world.topology_file.read_text().startswith("# the file's author wrote this\n")
    await all_is_well(world, traffic)


async def all_is_well(world: MoveWorld, traffic: Traffic) -> None:
    """Every image that was ever acknowledged is everywhere, and nothing of the move is left over."""
    registry = world.topology.registries["main"]
    replicas = tuple(site for site in SITES if site != registry.primary.site)
    last = list(traffic.pushed)[-1]
    await wait_until(lambda: world.all_ready(f"team/app:{last}", replicas), 90, f"{last} ready at {replicas}")
    async with aiohttp.ClientSession() as session:
        for site in SITES:
            for tag, digest in traffic.pushed.items():
                await traffic.pull(session, tag, digest, site)
    assert traffic.trouble == []
    found = {}
    for site, simulator in world.simulators.items():
        (volume,) = simulator.request("GET", "/api/storage/volumes?fields=type")["records"]
        relationships = simulator.request("GET", "/api/snapmirror/relationships?fields=source.path,state")["records"]
        found[site] = volume["type"], [(one["source"]["path"], one["state"]) for one in relationships]
    wanted = {
        one.site: ("dp", [(f"svm_{one.source_site}:main", "snapmirrored")])
        for one in world.topology.relationships("main")
    }
    assert found == {registry.primary.site: ("rw", []), **wanted}
    assert world.holds == []
    assert [value for _, value in await read_all(world.bus, DEADLETTER)] == []


async def pushed(world: MoveWorld, traffic: Traffic, *tags: str) -> None:
    """Images that are there before a move begins."""
    async with aiohttp.ClientSession() as session:
        for tag in tags:
            assert await traffic.push(session, tag, "syd"), traffic.trouble


def storage(world: MoveWorld) -> dict[str, Any]:
    """All volumes and relationships, without the transfers that the coalescer starts meanwhile."""
    return {name: found for name, found in everything(world.simulators).items() if " transfers to " not in name}


async def test_a_dry_run_tells_every_step_and_changes_nothing_and_a_move_can_go_back_until_it_switches(
    world: MoveWorld,
) -> None:
    traffic, old = Traffic(world), world.topology.registries["main"]
    target = old.replicas[0].site
    await pushed(world, traffic, "before-1", "before-2")
    where = ("--topology", str(world.topology_file), "--kafka", world.broker.bootstrap, "--hold-dir", world.hold_dir)
    before = world.topology_file.read_text(), storage(world)
    shown = await farshore("move", "main", "--to", target, *where, "--dry-run")
    assert shown.code == 0, shown.err
    for words in ("hold writes at the edge of syd", "mark the log", f"break off main.{target}", "epoch", "resync"):
        assert words in shown.out, shown.out
    assert (world.topology_file.read_text(), storage(world)) == before
    assert world.holds == []

    async with opened_mover(request(world, target)) as mover:
        with pytest.raises(Killed):
            await mover.run(Watching("the volume there becomes writable: done"), 300)
    async with aiohttp.ClientSession() as session:
        assert not await traffic.push(session, "held", "nyc")
    back = await farshore("move", "main", "--to", target, *where, "--abort", "--output", "json")
    assert back.code == 0, back.err
    assert set(json.loads(back.out)["held_seconds"]) == set(SITES)
    assert world.topology.registries["main"] == old
    await pushed(world, traffic, "after")
    await all_is_well(world, traffic)


async def test_the_process_killed_again_and_again_comes_to_the_same_end(world: MoveWorld) -> None:
    traffic, old = Traffic(world), world.topology.registries["main"]  # a cascade still: it ends in the middle of it
    await pushed(world, traffic, "process-1")
    target = old.replicas[0].site
    asked = world.folder / "promote"
    command = (
        *("move", "main", "--to", target, "--topology", str(world.topology_file), "--kafka", world.broker.bootstrap),
        *("--hold-dir", world.hold_dir, "--promote", f"touch {asked}"),
    )
    kills = 0
    async with world.operator(), promoting(world, asked, target):
        while True:
            process = await start_farshore(*command)
            assert process.stdout is not None
            steps = 0
            async for line in process.stdout:
                steps += line.decode().rstrip().endswith(("…", "done")[kills % 2])
                if steps == 4 and kills < 3:
                    process.kill()
                    kills += 1
                    break
            else:
                ended = await end_of(process)
                assert ended.code == 0, ended.err
                break
            await process.communicate()
    assert kills  # the last ones may find it ended
    assert world.topology.registries["main"].epoch == old.epoch + 1
    await world.demote()
    await pushed(world, traffic, "process-2")
    await all_is_well(world, traffic)


async def test_killed_at_every_step_a_move_comes_to_the_same_end(world: MoveWorld) -> None:
    traffic = Traffic(world)
    await pushed(world, traffic, "killed-1", "killed-2")
    target = world.topology.registries["main"].replicas[-1].site
    async with world.operator():
        _, finished = await killed_at_every_step(world, request(world, target))
    assert len(finished) >= 14, finished
    await world.demote()
    await pushed(world, traffic, "killed-3")
    await all_is_well(world, traffic)


async def killed_at_every_step(world: MoveWorld, asked: Request) -> tuple[MoveOutcome, list[str]]:
    """How the move ends, and each step that was done before. Each run dies at its first step, one when it was done, the
    next one before. The next one knows of it only what the world says."""
    finished: list[str] = []
    async with opened_mover(asked) as first:
        for number in range(100):
            watching = Watching(("done", "…")[number % 2])
            observer = replace(first.observer, promoted=False)
            again = replace(asked, intent=replace(asked.intent, fresh=f"{number:04}"))
            try:
                outcome = await Mover(again, observer, world.topology).run(watching, 300)
            except Killed:
                finished += [line for line in watching.lines if line.endswith(": done")]
            else:
                break
    assert outcome.exit_code == 0, (watching.lines, outcome.as_json())
    return outcome, finished


@asynccontextmanager
async def promoting(world: MoveWorld, asked: Path, target: str) -> AsyncIterator[None]:
    """Restarts the target's registry once somebody asked for it."""

    async def promote() -> None:
        await wait_until(asked.exists, 120, "the command to be run")
        await world.start_registry(target, writable=True)

    task = asyncio.create_task(promote())
    yield
    await task


async def test_a_forced_move_says_exactly_what_is_lost_revokes_it_and_takes_the_old_primary_back_as_a_replica(
    world: MoveWorld,
) -> None:
    traffic, registry = Traffic(world), world.topology.registries["main"]
    old, (target, other) = registry.primary.site, [one.site for one in registry.replicas]
    await pushed(world, traffic, "kept-1", "kept-2")
    await wait_until(lambda: world.all_ready("team/app:kept-2", (target, other)), 90, "both at both replicas")
    kept = dict(traffic.pushed)
    where = ("--topology", str(world.topology_file), "--kafka", world.broker.bootstrap, "--hold-dir", world.hold_dir)
    behind = world.folder / "the-topology-of-the-lost-site.yaml"
    behind.write_text(world.topology_file.read_text())

    for site in (target, other):  # from now on nothing comes through
        world.simulators[site].arm(kind="hold_transfer", destination=f"svm_{site}:main")
    await pushed(world, traffic, "kept-1", "lost-1", "lost-2")
    await wait_until(lambda: accepted(world, traffic.pushed["lost-2"]), 30, "the events in the log")
    world.lose(old)
    for site in (target, other):
        world.simulators[site].disarm()

    command = ("move", "main", "--to", target, *where)
    refused = await farshore(*command)
    assert refused.code == 75, refused.out  # a planned move needs the primary
    lost = {f"team/app:{tag}": traffic.pushed[tag] for tag in ("kept-1", "lost-1", "lost-2")}

    def told(document: dict[str, Any]) -> dict[str, str]:
        loss = document["loss"]
        assert (loss["events"], loss["complete"]) == (3, True)
        assert {one["image"]: one["there"] for one in loss["images"]} == {
            "team/app:kept-1": kept["kept-1"],
            "team/app:lost-1": None,
            "team/app:lost-2": None,
        }
        return {one["image"]: one["digest"] for one in loss["images"]}

    dry = await farshore(*command, "--force", "--dry-run", "--output", "json")
    assert dry.code == 0, dry.err
    assert told(json.loads(dry.out)) == lost
    assert world.topology.registries["main"] == registry
    async with world.operator():
        forced, finished = await killed_at_every_step(world, request(world, target, force=True))
    for words in ("mark the log", "break off", "announce", "have the registry", "write the topology", "release"):
        assert any(line.startswith(words) for line in finished), (words, finished)
    assert told(forced.as_json()) == lost

    del traffic.pushed["lost-1"], traffic.pushed["lost-2"]
    traffic.pushed |= kept
    async with aiohttp.ClientSession() as session:
        assert await traffic.push(session, "after-the-loss", target)
        for site in (target, other):
            for tag, digest in traffic.pushed.items():
                await traffic.pull(session, tag, digest, site)
    assert traffic.trouble == []
    await wait_until(lambda: world.all_ready("team/app:after-the-loss", (other,)), 90, "the pipeline to go on")

    async def revoked() -> bool:
        lost_one, kept_one = await world.states("team/app:lost-1"), await world.states("team/app:kept-1")
        return lost_one[other][0] == "revoked" and kept_one[other] == ("ready", kept["kept-1"])

    await wait_until(revoked, 90, "readiness to say what was lost")

    world.find_cluster(old)
    fenced, first, kept_apart = await asyncio.gather(
        farshore("epoch", "main", "--at", old, "--topology", str(behind)),
        farshore("epoch", "main", "--at", target, *where[:2]),
        farshore(*command),
    )
    assert (fenced.code, "epoch" in fenced.out) == (1, True), fenced.out
    assert first.code == 0, first.out
    assert (kept_apart.code, f"--discard {old}" in kept_apart.out) == (1, True), kept_apart.out
    await world.find_rest(old)
    async with world.operator():
        _, finished = await killed_at_every_step(world, request(world, target, discard=old))
    assert any(line.startswith("resynchronise") for line in finished), finished
    await all_is_well(world, traffic)


async def accepted(world: MoveWorld, digest: Digest) -> bool:
    """Whether the log has an event that names `digest`."""
    return any(digest.encode() in value for _, value in await read_all(world.bus, EVENTS))
