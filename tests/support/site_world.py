"""Two replica sites with real registries, one of which can be harmed; the verifier as its own process; the auditor.

`calm` is healthy. `sick` is a real registry behind a FaultProxy: stop it, damage its folder, harm its answers.
In the coalescer's place stands a relay: each event arrives at both sites as soon as it is in Kafka. So a test brings
the content to the sites (`transfer`) before it announces it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from auditor import audit, owed
from evidence import TOPICS, Evidence
from fault_proxy import FaultProxy
from fault_run import EarlyCheck
from registry_process import Pusher, RegistryProcess
from verifier_world import SESSION_TIMEOUT, VerifierProcess, copy_volume, make_event
from waiting import wait_until

from farshore.bus.clients import Bus
from farshore.bus.topics import ARRIVALS, EVENTS, READINESS, create_missing_topics
from farshore.oci import Digest
from farshore.records.arrivals import ArrivalHeaders, Passage
from farshore.records.events import Event, EventKind
from farshore.records.readiness import Readiness, ReadinessState
from farshore_cli.tools.find import Tools
from farshore_cli.tools.kafka import Broker

CALM, SICK = "calm", "sick"
SITES = (CALM, SICK)
INCARNATION = "0a1b2c3d"
WELL = (ReadinessState.READY, ReadinessState.READY_EVERYWHERE)
REGISTRIES = {
    "main": ("", "{retry_for: 1h, timeout: 2s}"),
    "brief": ("brief/", "{retry_for: 2s, timeout: 10s}"),
    "hasty": ("hasty/", "{retry_for: 6s, timeout: 2s}"),
    "wide": ("wide/", "{retry_for: 1h, timeout: 10s, level: manifest, max_parallel: 16}"),
}
"""Prefix and verification of each: patient, soon given up, soon called too slow, for very many images."""


def topology_text(urls: dict[str, str]) -> str:
    lines = ["version: 1", "sites:"]
    lines += [
        f"  {site}: {{model: cloud, ontap: {{url: 'https://{site}.invalid', password: 'env:NOT_USED', svm: s}}}}"
        for site in urls
    ]
    lines.append("registries:")
    for name, (prefix, verification) in REGISTRIES.items():
        places = ", ".join(f"{{site: {site}, volume: {name}, url: '{urls[site]}'}}" for site in SITES)
        lines += [
            f"  {name}:",
            f"    prefix: '{prefix}'",
            f"    primary: {{site: nyc, volume: {name}, url: '{urls['nyc']}'}}",
            f"    replicas: [{places}]",
            "    notifications: {tokens: ['env:NOT_USED']}",
            f"    verification: {verification}",
        ]
    return "\n".join(lines) + "\n"


def registry_of(repository: str) -> str:
    """The registry with the repository's prefix."""
    return next((name for name, (prefix, _) in REGISTRIES.items() if prefix and repository.startswith(prefix)), "main")


@dataclass
class SiteWorld:
    """What a test works with."""

    folder: Path
    bus: Bus
    push: Pusher
    proxy: FaultProxy
    sick: RegistryProcess
    verifier: VerifierProcess
    producer: AIOKafkaProducer
    check: EarlyCheck
    evidence: Evidence = field(default_factory=Evidence)
    """What has been read so far."""
    _announced: int = 0

    def root(self, site: str) -> Path:
        """The folder that the site's registry serves."""
        return self.folder / site

    def transfer(self, *sites: str) -> None:
        """Bring what the primary has to `sites`, or to both."""
        for site in sites or SITES:
            copy_volume(self.folder / "nyc", self.root(site))

    async def announce(
        self, repository: str, digest: Digest | None, tag: str | None, kind: EventKind = EventKind.MANIFEST_PUSHED
    ) -> str:
        """Write an event as the receiver would; returns its id."""
        self._announced += 1
        event_id = f"{repository}-{tag}-{self._announced}"
        event = make_event(kind, repository, id=event_id, registry=registry_of(repository), digest=digest, tag=tag)
        record = event.to_cloudevent()
        await self.producer.send(EVENTS.name, record.data, key=event.registry.encode(), headers=record.headers())
        return event_id

    async def announced_image(self, repository: str, tag: str, content: bytes) -> str:
        """Push an image, bring it to both sites and announce it."""
        image = await self.push.image(repository, tag, content)
        self.transfer()
        return await self.announce(repository, image.digest, tag)

    async def delete(self, repository: str, digest: Digest) -> None:
        """Delete an image at the primary; `transfer` keeps what the sites served before."""
        for site in SITES:
            self.check.before_deletion[site, repository, digest] = self.root(site).resolve()
        await self.push.delete(repository, digest)

    def said(self, event_id: str, site: str) -> list[Readiness]:
        """What was said of the event at the site, in order."""
        return [one.what for one in self.evidence.statements if (one.what.event_id, one.what.site) == (event_id, site)]

    def is_ready(self, ids: Iterable[str], *sites: str) -> Callable[[], bool]:
        """A condition: each of the events is ready at `sites`; EVERYWHERE is one, too."""
        wanted = {(event_id, site) for event_id in ids for site in sites}

        def ready() -> bool:
            statements = [one.what for one in self.evidence.statements]
            return wanted <= {(one.event_id, one.site) for one in statements if one.state in WELL}

        return ready

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of the verifier's samples of a metric with these labels."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        lines = [line for line in (await self.verifier.metrics()).splitlines() if line.startswith(name)]
        return sum(float(line.rpartition(" ")[2]) for line in lines if all(label in line for label in wanted))

    async def verdict(self, may_fail: Collection[ReadinessState] = ()) -> list[str]:
        """Wait until nothing is owed any more; then every broken promise."""
        with contextlib.suppress(AssertionError):  # then the auditor says what is missing
            await wait_until(lambda: not owed(self.evidence, SITES, may_fail=may_fail), 60, "everything that is owed")
        return self.check.early + await audit(self.bus, SITES, may_fail=may_fail)

    async def follow(self) -> None:
        """Read everything, and look at the disk whenever something is called ready; play the coalescer."""
        consumer: AIOKafkaConsumer = self.bus.reader(longest_poll_seconds=0.05)
        places = [TopicPartition(topic.name, number) for topic in TOPICS for number in range(topic.partitions)]
        consumer.assign(places)
        await consumer.start()
        try:
            await consumer.seek_to_beginning(*places)
            async for record in consumer:
                self.evidence.take(record)
                if record.topic == EVENTS.name:
                    await self._arrive(record, self.evidence.events[-1].what)
                elif record.topic == READINESS.name:
                    self.check.look(self.evidence.statements[-1].what)
        finally:
            await consumer.stop()

    async def _arrive(self, record: "ConsumerRecord[bytes, bytes]", event: Event) -> None:
        for site in SITES:
            snapshot = f"farshore-{INCARNATION}-{record.partition}-{record.offset + 1}-1-5e1f0c4a"
            passage = Passage(site, snapshot, "v-1", "t-1", datetime.now(UTC))
            headers = ArrivalHeaders(passage, INCARNATION, record.partition).of(
                event.id.encode(),
                f"/registries/{event.registry}".encode(),
                event.repository.encode(),
                record.offset,
                None,
            )
            await self.producer.send(ARRIVALS.name, record.value, key=event.repository.encode(), headers=headers)


@contextlib.asynccontextmanager
async def site_world(folder: Path, tools: Tools, session_timeout: float = SESSION_TIMEOUT) -> AsyncIterator[SiteWorld]:
    """The world, running; the sites are of both major versions of the registry where both are here."""
    program = {"v2": tools.registries["v2"], "v3": tools.registries.get("v3") or tools.registries["v2"]}
    async with contextlib.AsyncExitStack() as stack:
        broker = stack.enter_context(Broker(folder / "kafka", folder / "kafka.log"))
        registries = {}
        for site, version in (("nyc", "v2"), (CALM, "v2"), (SICK, "v3")):
            if site == "nyc":
                (folder / site).mkdir()
            else:
                copy_volume(folder / "nyc", folder / site)
            registries[site] = RegistryProcess(program[version], folder / site, read_only=site != "nyc")
            stack.callback(registries[site].stop)
            await registries[site].start()
        proxy = await stack.enter_async_context(FaultProxy(registries[SICK].url))
        urls = {"nyc": registries["nyc"].url, CALM: registries[CALM].url, SICK: proxy.url}
        topology = folder / "topology.yaml"
        topology.write_text(topology_text(urls))
        await create_missing_topics(Bus(broker.bootstrap))
        bus = Bus(broker.bootstrap)
        producer = bus.producer()
        await producer.start()
        stack.push_async_callback(producer.stop)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        log_file = folder / "verifier.log"
        verifier = VerifierProcess(topology, broker.bootstrap, log_file, session_timeout=session_timeout)
        check = EarlyCheck({site: folder / site for site in SITES})
        pusher = Pusher(registries["nyc"].url, session)
        world = SiteWorld(folder, bus, pusher, proxy, registries[SICK], verifier, producer, check)
        following = asyncio.create_task(world.follow())
        stack.callback(following.cancel)
        verifier.start()
        stack.callback(verifier.kill)
        yield world
        if following.done():
            following.result()
