"""kill -9 at random moments while arrivals flow: each image is ready exactly once per site, and everywhere once."""

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest
from verifier_world import VerifierProcess, World, make_event
from waiting import wait_until

from farshore.records.events import EventKind
from farshore.records.readiness import ReadinessState
from farshore_cli.tools.kafka import Broker

pytestmark = [pytest.mark.integration, pytest.mark.slow]

IMAGES = 150
KILLS = 4
SITES = ("good", "bad")


@pytest.mark.timeout(900)
async def test_killed_at_random_moments_every_image_is_ready_exactly_once_per_site_and_everywhere(
    world: World, unique: str
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    images = [
        (
            f"team/{unique}/{number % 7}",
            await world.push.image(f"team/{unique}/{number % 7}", f"v{number}", b"%d" % number),
        )
        for number in range(IMAGES)
    ]
    world.transfer(*SITES)
    ids = [f"{unique}-{number}" for number in range(IMAGES)]

    async def keeps_up(number: int) -> None:
        await wait_until(lambda: len(said()) >= number - 40 or killing.done(), 60, "the verifier to keep up")

    async def flow() -> None:
        for number, (repository, image) in enumerate(images):
            event = make_event(
                EventKind.MANIFEST_PUSHED,
                repository,
                id=ids[number],
                registry="team",
                digest=image.digest,
                tag=f"v{number}",
            )
            await world.arrivals.publish(event, chance.sample(SITES, k=len(SITES)))
            if number % 10 == 0:
                await keeps_up(number)

    def said() -> list[tuple[str, str, ReadinessState]]:
        return [(r.event_id, r.site, r.state) for r in world.readings.readiness if r.event_id.startswith(unique)]

    async def something_more(count: int) -> None:
        await wait_until(lambda: len(said()) > count, 60, "something to be verified")

    async def kill() -> None:
        for _ in range(KILLS):
            await something_more(len(said()) + 3)
            await asyncio.sleep(chance.random() * 0.3)  # the moment is the point: anywhere in a transaction or a look
            world.verifier.kill()
            world.verifier.start()

    killing = asyncio.create_task(kill())
    flowing = asyncio.create_task(flow())
    await killing
    await flowing
    expected = {(event, site, ReadinessState.READY) for event in ids for site in SITES}
    expected |= {(event, "*", ReadinessState.READY_EVERYWHERE) for event in ids}
    await wait_until(lambda: expected <= set(said()), 90, "every image at every site")
    assert world.verifier.stop() == 0
    world.verifier.start()  # a restart finds nothing left to say
    last = make_event(
        EventKind.MANIFEST_PUSHED, images[0][0], id=f"last-{unique}", registry="team", digest=images[0][1].digest
    )
    await world.arrivals.publish(last, SITES)
    await world.readings.ended(f"last-{unique}", "*")
    assert Counter(said()) == dict.fromkeys(expected, 1)


async def test_a_second_instance_takes_its_share_and_then_all_of_it_and_nothing_is_said_twice(
    world: World, unique: str
) -> None:
    repositories = [f"team/{unique}/{number}" for number in range(40)]
    images = [await world.push.image(repository, "v1", repository.encode()) for repository in repositories]
    world.transfer(*SITES)

    async def publish(part: slice) -> None:
        for repository, image in list(zip(repositories, images, strict=True))[part]:
            event = make_event(
                EventKind.MANIFEST_PUSHED, repository, id=repository, registry="team", digest=image.digest, tag="v1"
            )
            await world.arrivals.publish(event, SITES)

    def said() -> list[tuple[str, str]]:
        return [(r.event_id, r.site) for r in world.readings.readiness if r.event_id.startswith(f"team/{unique}/")]

    second = VerifierProcess(world.verifier.topology, world.verifier.bootstrap, world.folder / "second.log")
    second.start()
    try:
        await publish(slice(0, 10))
        await wait_until(second.is_ready, 30, "the second instance")
        await publish(slice(10, 25))
        assert world.verifier.stop() == 0
        await publish(slice(25, 40))
        expected = {(event, site) for event in repositories for site in (*SITES, "*")}
        await wait_until(lambda: expected <= set(said()), 60, "every image at every site")
        assert Counter(said()) == dict.fromkeys(expected, 1)
        assert "farshore_verifier_decided" in await second.metrics()
    finally:
        second.stop()
        world.verifier.start()


async def test_it_ends_in_time_although_kafka_is_gone(tmp_path: Path) -> None:
    topology = tmp_path / "topology.yaml"
    topology.write_text(
        """
version: 1
sites:
  nyc: {model: cloud, ontap: {url: 'https://nyc.invalid', password: 'env:NOT_USED', svm: s}}
  fra: {model: cloud, ontap: {url: 'https://fra.invalid', password: 'env:NOT_USED', svm: s}}
registries:
  main:
    primary: {site: nyc, volume: v, url: 'http://nyc.invalid'}
    replicas: [{site: fra, volume: v, url: 'http://fra.invalid'}]
    notifications: {tokens: ['env:NOT_USED']}
"""
    )
    broker = Broker(tmp_path / "data", tmp_path / "kafka.log").start()
    verifier = VerifierProcess(topology, broker.bootstrap, tmp_path / "verifier.log")
    try:
        verifier.start()
        await wait_until(verifier.is_ready, 40, "the verifier")
    finally:
        broker.kill()
        code = verifier.stop()
    assert code == 0, verifier.log
