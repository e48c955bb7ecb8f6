"""A primary and two sites with real registries, a real Kafka, and a pipeline that announces and decides at once."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from aiokafka import AIOKafkaProducer, TopicPartition
from kafka_log import read_all
from registry_process import Image, Pusher
from verifier_world import copy_volume, make_event

from farshore.bus.clients import Bus
from farshore.bus.incarnation import topic_incarnation
from farshore.bus.partition_of import partition_of
from farshore.bus.topics import EVENTS, READINESS
from farshore.oci import Digest
from farshore.records.about_registry import is_about_registry
from farshore.records.arrivals import Generation
from farshore.records.events import Event, EventKind
from farshore.records.readiness import Readiness, ReadinessState
from farshore.topology import parse_topology
from farshore_reconciler.options import Options
from farshore_reconciler.reconcile import Reconciler
from farshore_reconciler.report import RegistryReport

SITES = ("fra", "syd")


@dataclass
class ReconcilerWorld:
    """One registry of a name of its own: topics are shared, what they hold of it is not."""

    name: str
    bus: Bus
    producer: AIOKafkaProducer
    folder: Path
    urls: dict[str, str]
    push: Pusher
    images: dict[str, Image] = field(default_factory=dict)

    @property
    def topology_text(self) -> str:
        sites = "\n".join(
            f"  {site}: {{model: cloud, ontap: {{url: 'https://{site}.invalid', password: 'env:NONE', svm: s}}}}"
            for site in self.urls
        )
        places = ", ".join(f"{{site: {site}, volume: v, url: '{self.urls[site]}'}}" for site in SITES)
        return f"""
version: 1
sites:
{sites}
registries:
  {self.name}:
    primary: {{site: nyc, volume: v, url: '{self.urls["nyc"]}'}}
    replicas: [{places}]
    notifications: {{tokens: ['env:NONE']}}
    verification: {{timeout: 2s}}
"""

    async def run(
        self, options: Options | None = None, *, between: Callable[[], Awaitable[object]] | None = None
    ) -> RegistryReport:
        """One run; `between` happens between its two looks."""

        async def wait(_seconds: float) -> None:
            if between is not None:
                await between()

        topology = parse_topology(self.topology_text, "test")
        reconciler = Reconciler(self.bus, topology, options or Options(), wait=wait)
        (report,) = await reconciler.run([self.name])
        return report

    async def command(self, *options: str) -> tuple[int, str]:
        """`farshore reconcile --output json`: exit code, and what it printed."""
        file = self.folder / f"topology-{self.name}.yaml"
        file.write_text(self.topology_text)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "farshore_cli", "reconcile", "--grace", "0s", "--output", "json", *options),
            env={
                **os.environ,
                "FARSHORE_TOPOLOGY": str(file),
                "FARSHORE_KAFKA_BOOTSTRAP_SERVERS": self.bus.bootstrap_servers,
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()

    async def pushed(
        self, repository: str, tag: str, content: bytes, *, announced: bool, sites: tuple[str, ...] = SITES
    ) -> Image:
        """Push an image; `announced` says whether its notification came through, `sites` where it is ready then."""
        image = await self.push.image(repository, tag, content)
        self.images[f"{repository}:{tag}"] = image
        if announced:
            event = make_event(
                EventKind.MANIFEST_PUSHED, repository, id=f"n-{tag}", registry=self.name, digest=image.digest, tag=tag
            )
            await self.decide(await self.announce(event), event, ReadinessState.READY, sites)
        return image

    async def announce(self, event: Event) -> Generation:
        """Write the event as the receiver does."""
        record = event.to_cloudevent()
        written = await self.producer.send_and_wait(
            EVENTS.name, record.data, key=self.name.encode(), headers=record.headers()
        )
        incarnation = await topic_incarnation(self.producer.client, EVENTS.name)
        return Generation(incarnation, written.partition, written.offset)

    async def decide(
        self, generation: Generation, event: Event, state: ReadinessState, sites: tuple[str, ...] = SITES
    ) -> None:
        """Write readiness as the verifier does."""
        now = datetime.now(UTC)
        for site in sites:
            statement = Readiness(
                state=state,
                event_id=event.id,
                registry=self.name,
                site=site,
                repository=event.repository,
                digest=event.digest,
                tag=event.tag,
                generation=str(generation),
                pushed_at=now,
                accepted_at=now,
                ready_at=now,
            )
            record = statement.to_cloudevent()
            partitions = sorted(await self.producer.partitions_for(READINESS.name))
            await self.producer.send_and_wait(
                READINESS.name,
                record.data,
                key=statement.key.encode(),
                headers=record.headers(),
                partition=partitions[sum(statement.partition_by) % len(partitions)],
            )

    async def events(self) -> list[tuple[Generation, Event]]:
        """What `farshore.events` holds of the registry."""
        partition = (await self.announce_place()).partition
        incarnation = await topic_incarnation(self.producer.client, EVENTS.name)
        return [
            (Generation(incarnation, partition, record.offset), Event.from_json(record.value or b"", "events"))
            for record in await read_all(self.bus, EVENTS.name, partition)
            if record.key == self.name.encode() and not is_about_registry(record.headers)
        ]

    async def announce_place(self) -> TopicPartition:
        """The registry's partition."""
        numbers = sorted(await self.producer.partitions_for(EVENTS.name))
        return TopicPartition(EVENTS.name, partition_of(self.name.encode(), numbers))

    async def reconciled(self) -> list[Event]:
        """The events that reconciling wrote."""
        return [event for _, event in await self.events() if event.id.startswith("reconcile-")]

    async def untag(self, repository: str, digest: Digest) -> None:
        """Delete at the primary; no notification comes through."""
        await self.push.delete(repository, digest)

    def transfer(self, *sites: str) -> None:
        """Bring what the primary has to `sites`."""
        for site in sites:
            copy_volume((self.folder / "nyc").resolve(), self.folder / site)


def found(output: str) -> dict[str, object]:
    """The one registry of a JSON report."""
    document: dict[str, object] = json.loads(output.splitlines()[-1])["registries"][0]
    return document
