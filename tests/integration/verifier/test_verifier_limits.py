"""What nobody foresaw, and what is more than fits: lanes over a real Kafka."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer, TopicPartition
from kafka_log import delete_before
from record_examples import READINESS as EXAMPLE
from verifier_world import ArrivalWriter, Readings, make_event
from waiting import wait_until

from farshore.bus.clients import Bus
from farshore.bus.committed import committed_positions
from farshore.bus.topics import ARRIVALS, READINESS, create_missing_topics
from farshore.oci import Digest, Tag
from farshore.records.events import Event, EventKind
from farshore.records.readiness import EVERYWHERE, ReadinessState
from farshore.registry import RegistryClient
from farshore.topology import Verification, parse_topology
from farshore_cli.tools.kafka import Broker
from farshore_verifier import window
from farshore_verifier.dirty import SnapshotRequests
from farshore_verifier.everywhere_lane import GROUP, EverywhereLane
from farshore_verifier.host import Lane, LaneHost
from farshore_verifier.lane import ArrivalLane
from farshore_verifier.outcome import Failed, Finding, Proven
from farshore_verifier.site import Site
from farshore_verifier.verify import SiteVerifier

pytestmark = pytest.mark.integration

TOPOLOGY = """
version: 1
sites:
  nyc: {model: cloud, ontap: {url: 'https://nyc.invalid', password: 'env:NOT_USED', svm: s}}
  fra: {model: cloud, ontap: {url: 'https://fra.invalid', password: 'env:NOT_USED', svm: s}}
  syd: {model: cloud, ontap: {url: 'https://syd.invalid', password: 'env:NOT_USED', svm: s}}
registries:
  main:
    primary: {site: nyc, volume: v, url: 'http://nyc.invalid'}
    replicas: [{site: fra, volume: v, url: 'http://fra.invalid'}, {site: syd, volume: v, url: 'http://syd.invalid'}]
    notifications: {tokens: ['env:NOT_USED']}
"""


class Defective(SiteVerifier):
    """A verifier with a mistake of the programmer's, which one kind of image brings to light."""

    async def look(self, event: Event, *, again: bool = False) -> Finding:
        if event.repository.endswith("poison"):
            raise ZeroDivisionError("nobody thought of it")
        if event.repository.endswith("stray"):
            raise asyncio.CancelledError("nobody asked for it")
        return Proven("manifest", (), 0, "0" * 64)


class Away(SiteVerifier):
    """A site whose registry can't be reached until it can."""

    is_away = True

    async def look(self, event: Event, *, again: bool = False) -> Finding:
        if self.is_away:
            return Failed(ReadinessState.UNREACHABLE, "no connection")
        return Proven("manifest", (), 0, "0" * 64)


class Asked(SnapshotRequests):
    """Remembers what it was asked to have reconciled."""

    def __init__(self, bus: Bus) -> None:
        super().__init__(bus)
        self.lost: list[str] = []

    async def ask_for_reconcile(self, site: str, registries: Iterable[str], lost: str, oldest: int) -> None:
        self.lost.append(lost)


@pytest_asyncio.fixture(loop_scope="session")
async def producer(own_broker: Broker) -> AsyncIterator[AIOKafkaProducer]:
    await create_missing_topics(Bus(own_broker.bootstrap))
    started = Bus(own_broker.bootstrap).producer()
    await started.start()
    yield started
    await started.stop()


@contextlib.asynccontextmanager
async def running(bus: Bus, topic: str, group: str, make_lane: Callable[[TopicPartition], Lane]) -> AsyncIterator[None]:
    stopping = asyncio.Event()
    host = asyncio.create_task(LaneHost(bus, topic, group, make_lane).run(stopping))
    try:
        yield
    finally:
        stopping.set()
        await host


@pytest_asyncio.fixture(loop_scope="session")
async def readings(own_broker: Broker, producer: AIOKafkaProducer) -> AsyncIterator[Readings]:
    found = Readings()
    following = asyncio.create_task(found.follow(Bus(own_broker.bootstrap)))
    yield found
    following.cancel()


async def test_what_nobody_foresaw_costs_one_image_its_readiness_and_nobody_else_anything(
    own_broker: Broker, producer: AIOKafkaProducer, readings: Readings, unique: str
) -> None:
    bus = Bus(own_broker.bootstrap, session_timeout=30)
    verifiers = {"main": Defective(RegistryClient("http://fra.invalid"), Verification())}
    site = Site("fra", verifiers, {}, frozenset({"syd"}), False, SnapshotRequests(bus))
    opened: list[int] = []

    def make_lane(partition: TopicPartition) -> ArrivalLane:
        opened.append(partition.partition)
        return ArrivalLane(bus, partition, site)

    names = [f"{unique}/{name}" for name in ("before", "poison", "after", "stray")]
    arrivals = ArrivalWriter(producer)
    async with running(bus, ARRIVALS.name, site.group, make_lane):
        for name in [*names, names[1]]:
            event = make_event(EventKind.MANIFEST_PUSHED, name, id=name, digest=Digest.of(b"x"), tag="v1")
            await arrivals.publish(event, ["fra"])
        await wait_until(lambda: len(readings.final(names[1], "fra")) == 2, 90, "the end of the poison")
        for name in (names[0], names[2]):
            assert (await readings.ended(name, "fra")).state is ReadinessState.READY
        stray = await readings.ended(names[3], "fra")
    assert stray.reason == "verifying failed 5 times: CancelledError: nobody asked for it"
    said = readings.final(names[1], "fra")
    assert [one.state for one in said] == [ReadinessState.REGISTRY_ERROR] * 2
    assert said[0].reason == "verifying failed 5 times: ZeroDivisionError: nobody thought of it"
    letters = [dict(one.headers) for one in readings.dead_letters if one.key == names[1].encode()]
    assert [one["farshore_reason"].decode() for one in letters] == [said[0].reason] * 2
    assert sorted(opened) == list(range(ARRIVALS.partitions)), "no lane was opened twice"


async def test_more_than_a_lane_holds_waits_in_kafka_while_a_site_is_down_and_is_ready_once_it_is_back(
    own_broker: Broker,
    producer: AIOKafkaProducer,
    readings: Readings,
    unique: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A lane that holds 100 undecided, 250 arrivals of one repository, and a registry that isn't there at first. While
    the lane is full it gets another owner, who has to read what the first one left, though there is no more room.
    """
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(window, "MAX_WAITING", 100)
    bus = Bus(own_broker.bootstrap, session_timeout=30)
    verifiers = {"main": Away(RegistryClient("http://lon.invalid"), Verification())}
    site = Site("lon", verifiers, {}, frozenset({"syd"}), False, SnapshotRequests(bus))
    lanes: dict[int, ArrivalLane] = {}

    def make_lane(partition: TopicPartition) -> ArrivalLane:
        lanes[partition.partition] = ArrivalLane(bus, partition, site)
        return lanes[partition.partition]

    ids = [f"{unique}-{number}" for number in range(250)]
    arrivals = ArrivalWriter(producer)
    async with running(bus, ARRIVALS.name, site.group, make_lane):
        for event_id in ids:
            event = make_event(EventKind.MANIFEST_PUSHED, unique, id=event_id, digest=Digest.of(b"x"), tag=event_id)
            await arrivals.publish(event, ["lon"])
        await wait_until(lambda: any(not lane.room() for lane in lanes.values()), 60, "a lane to be full")
    lanes.clear()
    async with running(bus, ARRIVALS.name, site.group, make_lane):
        await wait_until(lambda: any(not lane.room() for lane in lanes.values()), 60, "it to be full again")
        assert not any(readings.of(event_id) for event_id in ids)
        verifiers["main"].is_away = False
        await wait_until(lambda: all(readings.final(event_id, "lon") for event_id in ids), 60, "all to be ready")
    states = [[one.state for one in readings.final(event_id, "lon")] for event_id in ids]
    assert states == [[ReadinessState.READY]] * len(ids)
    assert "lane is full" in caplog.text
    assert "lane has room again" in caplog.text


async def test_a_readiness_record_that_cant_be_read_is_a_dead_letter_and_stops_nobody(
    own_broker: Broker, producer: AIOKafkaProducer, readings: Readings, unique: str
) -> None:
    """Somebody else writes, with the right key and headers, that the last site has two images."""
    bus = Bus(own_broker.bootstrap, session_timeout=30)
    opened: list[int] = []

    def make_lane(partition: TopicPartition) -> EverywhereLane:
        opened.append(partition.partition)
        return EverywhereLane(bus, partition, parse_topology(TOPOLOGY, "test"))

    async def say(site: str, name: str, value: bytes | None = None) -> None:
        statement = EXAMPLE.model_copy(update={"event_id": f"{unique}-{name}", "site": site, "tag": Tag(name)})
        record = statement.to_cloudevent()
        key = statement.key.encode()
        await producer.send_and_wait(
            READINESS.name, value or record.data, key=key, headers=record.headers(), partition=0
        )

    def everywhere(name: str) -> int:
        return sum(one.site == EVERYWHERE and one.event_id == f"{unique}-{name}" for one in readings.readiness)

    late = EXAMPLE.model_copy(update={"state": ReadinessState.LATE, "site": "syd"}).model_dump_json().encode()
    wrong = {"cut": b'{"state": "ready"', "other-state": late}
    async with running(bus, READINESS.name, GROUP, make_lane):
        for name, value in wrong.items():
            await say("fra", name)
            await say("syd", name, value)
        await say("fra", "good")
        await say("syd", "good")
        await wait_until(lambda: everywhere("good"), 90, "the image behind the wrong records to be everywhere")
    assert [everywhere(name) for name in wrong] == [0, 0]
    async with running(bus, READINESS.name, GROUP, make_lane):
        for name in wrong:
            await say("syd", name)
        await wait_until(lambda: all(map(everywhere, wrong)), 90, "what the verifier says itself to count")
    letters = [one for one in readings.dead_letters if one.value in wrong.values()]
    assert [dict(one.headers)["farshore_code"] for one in letters] == [b"malformed"] * 2
    assert sorted(opened) == sorted([*range(READINESS.partitions)] * 2), "no lane was opened again"


async def test_ready_everywhere_is_found_again_for_images_that_were_forgotten(
    own_broker: Broker, producer: AIOKafkaProducer, readings: Readings, unique: str, tmp_path: Path
) -> None:
    """A lane that remembers 4 images, 30 that wait for a dead site; the lane is opened again in between."""
    bus = Bus(own_broker.bootstrap, session_timeout=30)
    topology = parse_topology(TOPOLOGY, "test")
    ids = [f"{unique}-{number}" for number in range(30)]

    async def say(site: str) -> None:
        for number, event_id in enumerate(ids):
            statement = EXAMPLE.model_copy(
                update={"event_id": event_id, "site": site, "tag": Tag(event_id), "generation": f"1f3a9c04-0-{number}"}
            )
            record = statement.to_cloudevent()
            await producer.send_and_wait(
                READINESS.name, record.data, key=statement.key.encode(), headers=record.headers(), partition=0
            )

    def everywhere() -> Counter[str]:
        return Counter(one.event_id for one in readings.readiness if one.site == EVERYWHERE and one.event_id in ids)

    def make_lane(partition: TopicPartition) -> EverywhereLane:
        return EverywhereLane(bus, partition, topology, most_images=4)

    async def caught_up() -> bool:
        """Whether the group has committed everything that was written."""
        place = TopicPartition(READINESS.name, 0)
        consumer = bus.group_consumer(GROUP)
        await consumer.start()
        try:
            end = (await consumer.end_offsets([place]))[place]
            return bool((await consumer.committed(place) or 0) >= end)
        finally:
            await consumer.stop()

    async with running(bus, READINESS.name, GROUP, make_lane):
        await say("fra")
        await wait_until(caught_up, 60, "the lane to have read all that fra said")
    async with running(bus, READINESS.name, GROUP, make_lane):
        await say("syd")
        await wait_until(lambda: len(everywhere()) == len(ids), 90, "every image everywhere")
    assert set(everywhere().values()) == {1}


async def test_that_arrivals_are_gone_is_said_once_also_where_no_other_comes(
    own_broker: Broker, producer: AIOKafkaProducer
) -> None:
    """Retention took all of a partition that a new site never read. Its lane moves on; its next owner asks nothing."""
    bus = Bus(own_broker.bootstrap, session_timeout=30)
    place = TopicPartition(ARRIVALS.name, 0)
    gone = await producer.send_and_wait(ARRIVALS.name, b"gone", partition=place.partition)
    await delete_before(own_broker.bootstrap, place, gone.offset + 1)
    asked = Asked(bus)
    site = Site("osl", {}, {}, frozenset({"syd"}), False, asked)

    async def moved_on() -> bool:
        position = (await committed_positions(bus, [site.group], place))[site.group]
        return position is not None and position.offset == gone.offset + 1

    lane = ArrivalLane(bus, place, site)
    await lane.open()
    await wait_until(moved_on, 60, "the lane to have moved on")
    await lane.close()
    lane = ArrivalLane(bus, place, site)
    await lane.open()
    await lane.close()
    assert asked.lost == [f"{place.topic}/{place.partition}@0"]


async def test_a_cancellation_that_nobody_asked_for_does_not_pass_for_the_end_of_the_work(
    own_broker: Broker, unique: str
) -> None:
    class Stray(ArrivalLane):
        async def open(self) -> int:
            raise asyncio.CancelledError

    bus = Bus(own_broker.bootstrap)
    await create_missing_topics(bus)
    site = Site("fra", {}, {}, frozenset(), False, SnapshotRequests(bus))
    host = LaneHost(bus, ARRIVALS.name, f"{site.group}.{unique}", lambda partition: Stray(bus, partition, site))
    with pytest.raises(RuntimeError, match="nobody asked for that"):
        async with asyncio.timeout(60):
            await host.run(asyncio.Event())
