"""What a site's registry can do wrong; the verifier fails closed, tells the faults apart, and recovers.

In short with `make test`; `make faults` adds rounds of random faults, see docs/faults.md.
"""

import asyncio
import os
import random
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest
from farshore_command import farshore
from fault_proxy import Fault, Harm, Refusal, well
from fault_report import FaultReport
from registry_process import Image, blob_file
from site_world import CALM, SICK, SITES, SiteWorld, site_world
from waiting import wait_until

from farshore.records.deadletters import DeadLetter
from farshore.records.events import EventKind
from farshore.records.readiness import EVERYWHERE, ReadinessState
from farshore_cli.tools.find import Tools

pytestmark = [pytest.mark.faults, pytest.mark.integration]

SEED = int(os.environ.get("FARSHORE_FAULT_SEED", "20261124"))
ROUNDS = int(os.environ.get("FARSHORE_FAULT_ROUNDS", "0"))
MANY = 1_100
"""Arrivals on one lane, more than may be undecided at once."""


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def on(repository: str, harm: Harm | Refusal, *, blobs: bool = False) -> Fault:
    """The harm to what is asked of one repository, or of its blobs."""
    path = f"/v2/{repository}/{'blobs' if blobs else ''}"
    return lambda _method, asked: harm if asked.startswith(path) else None


def everything(harm: Harm | Refusal) -> Fault:
    """The same harm to every answer."""
    return lambda _method, _path: harm


def any_of(*faults: Fault) -> Fault:
    """The first fault that applies."""
    return lambda method, path: next((harm for fault in faults if (harm := fault(method, path)) is not None), None)


def letters(sites: SiteWorld) -> dict[str, DeadLetter]:
    """What was read of the dead letters so far, by the arrival's id."""
    return {dict(one.what.original_headers)["ce_id"].decode(): one.what for one in sites.evidence.letters}


async def test_each_fault_has_its_own_answer_none_is_ready_and_what_is_mended_becomes_ready_once(
    sites: SiteWorld, unique: str
) -> None:
    """Damage of each kind at one site. Expected: one answer of its own for each, at that site only; damage is an alarm
    (metric, log, dead letter with the reason); after mending, the dead letters sent back end as ready exactly once.
    """
    expected = {
        "brief/damaged": ReadinessState.CORRUPT,
        "brief/truncated": ReadinessState.CORRUPT,
        "brief/layerless": ReadinessState.NOT_FOUND,
        "brief/manifestless": ReadinessState.NOT_FOUND,
        "brief/unlinked": ReadinessState.NOT_FOUND,
        "brief/cut": ReadinessState.UNREACHABLE,
        "brief/half": ReadinessState.REGISTRY_ERROR,
        "brief/busy": ReadinessState.REGISTRY_ERROR,
        "brief/broken": ReadinessState.REGISTRY_ERROR,
        "hasty/dribbling": ReadinessState.TIMED_OUT,
        "hasty/silent": ReadinessState.TIMED_OUT,
    }
    repositories = {name: f"{name}-{unique}" for name in expected}
    images: dict[str, Image] = {
        name: await sites.push.image(repository, "v1", repository.encode() * 20)
        for name, repository in repositories.items()
    }
    sites.transfer()
    sick = sites.root(SICK)
    flip_a_bit(blob_file(sick, images["brief/damaged"].layers[0]))
    truncate(blob_file(sick, images["brief/truncated"].layers[0]))
    blob_file(sick, images["brief/layerless"].layers[0]).unlink()
    blob_file(sick, images["brief/manifestless"].digest).unlink()
    shutil.rmtree(sick / "docker/registry/v2/repositories" / repositories["brief/unlinked"] / "_layers")
    sites.proxy.fault = any_of(
        on(repositories["brief/cut"], Harm.CUT),
        on(repositories["brief/half"], Harm.HALF, blobs=True),
        on(repositories["brief/busy"], Refusal(429)),
        on(repositories["brief/broken"], Refusal(502)),
        on(repositories["hasty/dribbling"], Harm.DRIBBLE, blobs=True),
        on(repositories["hasty/silent"], Harm.SILENCE),
    )
    ids = {name: await sites.announce(repositories[name], image.digest, "v1") for name, image in images.items()}
    await wait_until(lambda: all(sites.said(one, SICK) for one in ids.values()), 90, "an answer about each image")
    await wait_until(sites.is_ready(ids.values(), CALM), 60, "the calm site to be ready")

    assert {name: [one.state for one in sites.said(ids[name], SICK)] for name in expected} == {
        name: [state] for name, state in expected.items()
    }
    assert not any(sites.said(one, EVERYWHERE) for one in ids.values())
    arrivals = {name: f"{one}/{SICK}" for name, one in ids.items()}
    await wait_until(lambda: letters(sites).keys() >= set(arrivals.values()), 60, "a dead letter of each")
    for name, state in expected.items():
        letter = letters(sites)[arrivals[name]]
        assert (letter.code, letter.reason) == (state, sites.said(ids[name], SICK)[0].reason)
    assert await sites.metric("farshore_verifier_corrupt_total", site=SICK) >= 2  # more where a lane moved meanwhile
    alarms = [line for line in sites.verifier.log_file.read_text().splitlines() if "CORRUPT: a site serves" in line]
    assert len(alarms) >= 2
    assert all('"level": "error"' in line for line in alarms)

    sites.proxy.fault = well
    sites.transfer(SICK)
    redriven = await farshore(
        "deadletter", "redrive", "--all", "--site", SICK, "--yes", "--kafka", sites.bus.bootstrap_servers
    )
    assert redriven.code == 0, redriven
    await wait_until(sites.is_ready(ids.values(), SICK, EVERYWHERE), 90, "the mended site to be ready")
    assert await sites.verdict(may_fail=set(expected.values())) == []
    assert all([one.state for one in sites.said(ids[name], SICK)][1:] == [ReadinessState.READY] for name in expected)


async def test_a_registry_that_ends_in_the_middle_and_stays_away_holds_up_nobody_and_recovers_by_itself(
    sites: SiteWorld, unique: str
) -> None:
    """The registry is killed while it sends a layer, is down for a while, and comes back. Expected: the other site goes
    on meanwhile, nothing is said of the sick one before it is well, then each image is ready once.
    """
    sites.proxy.fault = on(f"{unique}/halfway", Harm.SLOW, blobs=True)
    layer = random.Random(unique).randbytes(16_000_000)  # more than fits into buffers on the way
    halfway = await sites.announced_image(f"{unique}/halfway", "v1", layer)
    passed, broken = sites.proxy.passed, sites.proxy.broken
    await wait_until(lambda: sites.proxy.passed > passed + 200_000, 60, "the layer to be under way")
    sites.sick.kill()
    await wait_until(lambda: sites.proxy.broken > broken, 60, "the layer to break off")
    sites.proxy.fault = well
    down = [halfway, *[await sites.announced_image(f"{unique}/down{n}", "v1", b"%d" % n) for n in range(5)]]
    await wait_until(sites.is_ready(down, CALM), 60, "the calm site to be ready")
    assert not any(sites.said(event_id, SICK) for event_id in down)
    await sites.sick.start()
    await wait_until(sites.is_ready(down, SICK, EVERYWHERE), 60, "the sick site to be ready")


async def test_an_unmounted_replica_that_says_404_to_everything_is_not_ready_until_it_is_mounted(
    sites: SiteWorld, unique: str
) -> None:
    """Expected: what is new is neither ready nor given up there until the volume is mounted; then it is ready."""
    root = sites.root(SICK)
    away = root.with_name("away")
    root.rename(away)
    root.symlink_to(root.with_name("not-mounted"))
    try:
        new = await sites.push.image(f"{unique}/new", "v1", b"pushed while it is unmounted")
        sites.transfer(CALM)
        event_id = await sites.announce(f"{unique}/new", new.digest, "v1")
        await wait_until(sites.is_ready([event_id], CALM), 60, "the calm site to be ready")
        path = f"/v2/{unique}/new/manifests/v1"
        await wait_until(lambda: [one for one in sites.proxy.seen if one.path == path][2:], 60, "several looks")
        assert not sites.said(event_id, SICK)
    finally:
        root.unlink()
        away.rename(root)
    sites.transfer(SICK)
    await wait_until(sites.is_ready([event_id], SICK, EVERYWHERE), 60, "the sick site to be ready")


@pytest.mark.parametrize("status", [429, 503])
async def test_a_registry_that_asks_for_a_pause_gets_it_and_the_other_site_goes_on(
    sites: SiteWorld, unique: str, status: int
) -> None:
    """The first answer about an image says `Retry-After: 2`. Expected: nothing is asked there for two seconds."""
    refused: list[float] = []

    def fault(_method: str, path: str) -> Refusal | None:
        if refused or unique not in path:
            return None
        refused.append(time.monotonic())
        return Refusal(status, {"Retry-After": "2"})

    sites.proxy.fault = fault
    event_id = await sites.announced_image(f"{unique}/app", "v1", unique.encode())
    await wait_until(sites.is_ready([event_id], *SITES), 60, "both sites to be ready")
    after = [one.at - refused[0] for one in sites.proxy.seen if unique in one.path and one.at > refused[0]]
    assert after[0] > 1.9, "it was asked again at once"


@pytest.mark.skipif(not ROUNDS, reason="the long form: make faults; in short: tests/integration/verifier")
@pytest.mark.timeout(900)
async def test_over_a_long_outage_more_than_a_lane_holds_waits_in_kafka_and_is_ready_soon_after(
    sites: SiteWorld, unique: str
) -> None:
    """MANY images while a registry is down, and the verifier is killed with a full lane. Expected: the lane stops
    reading near a thousand undecided and says so, also after the restart; nobody is given up, the other site is ready
    with all of them meanwhile, and the sick one soon after its return.
    """
    repository = f"wide/{unique}"
    image = await sites.push.image(repository, "v0", b"the same for all")
    tags = sites.folder / "nyc/docker/registry/v2/repositories" / repository / "_manifests/tags"
    names = [f"v{number}" for number in range(MANY)]
    for name in names[1:]:
        shutil.copytree(tags / "v0", tags / name)
    sites.transfer()
    sites.sick.kill()
    ids = [await sites.announce(repository, image.digest, name) for name in names]
    group = f"farshore.verifier.{SICK}"

    async def full_lanes() -> float:
        return await sites.metric("farshore_verifier_full_lanes", group=group)

    await wait_until(full_lanes, 60, "the lane to be full")
    await wait_until(sites.is_ready(ids, CALM), 120, "the calm site to be ready")

    async def waiting() -> bool:
        return 950 < await sites.metric("farshore_verifier_waiting", site=SICK) <= 1_000

    await wait_until(waiting, 60, "as many to be undecided as a lane may hold")
    sites.verifier.kill()
    sites.verifier.start()
    await wait_until(sites.verifier.is_ready, 60, "the verifier to be back")
    await wait_until(waiting, 60, "as many to be undecided once more")
    await wait_until(full_lanes, 60, "the lane to be full again")
    assert not any(sites.said(event_id, SICK) for event_id in ids)
    await sites.sick.start()
    back = time.monotonic()
    await wait_until(sites.is_ready(ids, SICK), 120, "the sick site to be ready")
    print(f"{MANY} images were ready {time.monotonic() - back:.1f} s after the registry was back")

    async def empty() -> bool:
        return await full_lanes() == 0 == await sites.metric("farshore_verifier_waiting", site=SICK)

    await wait_until(empty, 60, "the lane to have room again")
    assert "lane is full" in sites.verifier.log_file.read_text()


async def test_after_all_of_this_no_promise_is_broken(sites: SiteWorld) -> None:
    """The auditor's verdict on the whole module: what isn't named in `may_fail` must have ended well, once."""
    sites.proxy.fault = well
    failed = {ReadinessState.CORRUPT, ReadinessState.NOT_FOUND, ReadinessState.UNREACHABLE}
    failed |= {ReadinessState.REGISTRY_ERROR, ReadinessState.TIMED_OUT}
    assert await sites.verdict(may_fail=failed) == []


async def play(sites: SiteWorld, rng: random.Random, steps: int) -> None:
    """Random faults of the sick site, and now and then kill -9 of its registry or the verifier, while images are
    pushed, their tags moved and deleted.
    """
    harms: list[Harm | Refusal] = [*Harm, Refusal(429, {"Retry-After": "1"}), Refusal(429), Refusal(500), Refusal(503)]
    for step in range(steps):
        repository, tag = f"app{rng.randrange(4)}", f"v{rng.randrange(6)}"
        image = await sites.push.image(repository, tag, b"%d" % step)
        sites.transfer()
        await sites.announce(repository, image.digest, tag)
        if rng.random() < 0.2:
            await sites.delete(repository, image.digest)
            sites.transfer()
            await sites.announce(repository, image.digest, None, EventKind.MANIFEST_DELETED)
            await sites.announce(repository, None, tag, EventKind.TAG_DELETED)
        sites.proxy.fault = everything(rng.choice(harms)) if rng.random() < 0.7 else well
        if rng.random() < 0.1:
            sites.sick.kill()
            await asyncio.sleep(rng.uniform(0, 1))
            await sites.sick.start()
        if rng.random() < 0.1:
            sites.verifier.kill()
            sites.verifier.start()
        await asyncio.sleep(rng.uniform(0, 0.5))
    sites.proxy.fault = well


@pytest.mark.skipif(not ROUNDS, reason="the long form: make faults")
@pytest.mark.timeout(300 * max(ROUNDS, 1))
async def test_no_promise_is_broken_over_long_sequences_of_random_faults(tools: Tools, tmp_path: Path) -> None:
    report = FaultReport("registry-faults")
    for number in range(ROUNDS):
        seed = SEED + number
        began = time.monotonic()
        folder = tmp_path / f"round-{number}"
        folder.mkdir()
        async with site_world(folder, tools) as world:
            await play(world, random.Random(f"registry {seed}"), steps=60)
            violations = await world.verdict()
            statements = Counter(one.what.state.value for one in world.evidence.statements)
        figures = {"seed": seed, "seconds": round(time.monotonic() - began), "readiness": dict(statements)}
        report.add({**figures, "checked_on_disk": len(world.check.seconds_after), "violations": violations})
    assert report.violations() == []
