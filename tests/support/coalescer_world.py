"""A source volume, its replicas on simulated clusters, a Kafka of its own, and the coalescer as a real process."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from kafka_log import read_topic
from live_log import whole_lines
from simulators import Simulator, start_simulators
from waiting import wait_until

from farshore.bus.clients import Bus
from farshore.bus.partition_of import partition_of
from farshore.bus.topics import ARRIVALS, EVENTS, TRANSFERS, Topic, create_missing_topics
from farshore.oci import Digest, Repository, Tag
from farshore.records.arrivals import Arrival
from farshore.records.events import Event, EventKind
from farshore.records.reconciles import RECONCILE_TYPE, ReconcileRequested
from farshore.topology import load_topology
from farshore_cli.applying.run import make_storage
from farshore_cli.tools.child import end, spawn, tail
from farshore_cli.tools.kafka import Broker
from farshore_cli.tools.ports import free_port

REGISTRY = "main"


def lane_of_registry() -> TopicPartition:
    """The partition of events on which the world's registry is."""
    return TopicPartition(EVENTS.name, partition_of(REGISTRY.encode(), range(EVENTS.partitions)))


def write_topology(
    folder: Path, simulators: Mapping[str, Simulator], batching: Mapping[str, Any], via: Mapping[str, str], timeout: str
) -> Path:
    """A topology whose first site is the primary and whose others are replicas."""
    primary, *replicas = simulators
    document = {
        "version": 1,
        "sites": {
            name: {"model": "on-prem", "ontap": {**simulator.settings.model_dump(mode="json"), "timeout": timeout}}
            for name, simulator in simulators.items()
        },
        "registries": {
            REGISTRY: {
                "primary": {"site": primary, "volume": "registry", "url": "http://127.0.0.1:1"},
                "replicas": [
                    {"site": site, "volume": "registry", "url": "http://127.0.0.1:1"}
                    | ({"via": via[site]} if site in via else {})
                    for site in replicas
                ],
                "notifications": {"tokens": ["env:TOKEN"]},
                "batching": dict(batching),
            }
        },
    }
    path = folder / "topology.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


class CoalescerProcess:
    """`python -m farshore_coalescer`; can be killed and started again."""

    def __init__(self, name: str, folder: Path, topology: Path, bootstrap: str) -> None:
        self.log_file = folder / f"{name}.log"
        self.url = f"http://127.0.0.1:{free_port()}"
        self._environ = {
            **os.environ,
            "FARSHORE_LISTEN": self.url.removeprefix("http://"),
            "FARSHORE_TOPOLOGY": str(topology),
            "FARSHORE_KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "FARSHORE_KAFKA_SESSION_TIMEOUT": "6",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = spawn(
            [sys.executable, "-m", "farshore_coalescer"], log_file=self.log_file, environ=self._environ
        )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self, within_seconds: float = 60) -> int:
        """SIGTERM; the exit code. -9 where it had to be killed."""
        assert self._process is not None
        return end(self._process, within_seconds=within_seconds)

    def log(self) -> str:
        """All of it: tests count lines, and an end of it would lose old ones as new ones come."""
        return self.log_file.read_text()

    def whole_lines(self) -> list[str]:
        """The log's lines, but for one that is just being written."""
        return whole_lines(self.log_file)

    def status(self, site: str) -> dict[str, Any]:
        """What it says of the relationship to `site`; nothing while it doesn't answer or doesn't own it."""
        try:
            with urllib.request.urlopen(f"{self.url}/v1/relationships", timeout=120) as reply:
                found = json.load(reply)
        except OSError:
            return {}
        return next((dict(one) for one in found if one["relationship"] == f"{REGISTRY}.{site}"), {})

    def metrics(self) -> list[str]:
        """The lines of its metrics."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=120) as reply:
            return list(reply.read().decode().splitlines())


class World:
    """What tests act on and look at."""

    def __init__(
        self, folder: Path, simulators: dict[str, Simulator], topology: Path, broker: Broker, producer: AIOKafkaProducer
    ) -> None:
        self.simulators = simulators
        self.primary, *self.replicas = simulators
        self.broker = broker
        self.bus = Bus(broker.bootstrap)
        self.coalescer = CoalescerProcess("coalescer", folder, topology, broker.bootstrap)
        self.folder = folder
        self.topology = topology
        self._producer = producer
        self._announced = 0
        self.announced_ids: list[str] = []

    def path(self, site: str, number: int) -> Path:
        """Where the content of event `number` is at `site`."""
        return self.simulators[site].export("registry") / f"content-{number}"

    async def announce(
        self, *, size: int = 5000, repository: str = "team/app", tag: str | None = None, event_id: str | None = None
    ) -> int:
        """Write content at the primary and announce it; the number of the event."""
        number = self.write(size)
        await self.produce(number, repository=repository, tag=tag, event_id=event_id)
        return number

    def write(self, size: int = 5000) -> int:
        """Write content at the primary; the number of the event that will announce it."""
        number = self._announced
        self._announced += 1
        self.path(self.primary, number).write_bytes(os.urandom(size))
        return number

    async def produce(
        self, number: int, *, repository: str = "team/app", tag: str | None = None, event_id: str | None = None
    ) -> None:
        """Write the event alone."""
        now = datetime.now(UTC)
        event_id = event_id or f"event-{number}"
        record = Event(
            id=event_id,
            kind=EventKind.MANIFEST_PUSHED,
            registry=REGISTRY,
            repository=Repository(repository),
            digest=Digest.of(str(number).encode()),
            tag=Tag(tag or f"v{number}"),
            occurred_at=now,
            accepted_at=now,
        ).to_cloudevent()
        await self._producer.send_and_wait(EVENTS.name, record.data, key=REGISTRY.encode(), headers=record.headers())
        self.announced_ids.append(event_id)

    async def produce_many(self, count: int) -> None:
        """A backlog: events without content of their own."""
        now = datetime.now(UTC)
        pending = []
        for number in range(count):
            record = Event(
                id=f"backlog-{number}",
                kind=EventKind.MANIFEST_PUSHED,
                registry=REGISTRY,
                repository=Repository(f"team/app{number % 50}"),
                digest=Digest.of(b"x"),
                tag=Tag(f"v{number}"),
                occurred_at=now,
                accepted_at=now,
            ).to_cloudevent()
            pending.append(
                await self._producer.send(EVENTS.name, record.data, key=REGISTRY.encode(), headers=record.headers())
            )
        await asyncio.gather(*pending)

    async def delete_events_before(self, offset: int) -> None:
        """What retention does, at once."""
        partition = lane_of_registry()
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bus.bootstrap_servers)
        await admin.start()
        try:
            await admin.delete_records({partition: RecordsToDelete(before_offset=offset)})
        finally:
            await admin.close()

    async def arrivals(self) -> list[Arrival]:
        """All committed arrivals so far."""
        return [Arrival.from_record(headers, value, "test") for headers, value in await read_all(self.bus, ARRIVALS)]

    async def transfers(self, phase: str) -> list[dict[str, Any]]:
        """The transfer records of one phase."""
        records = [yaml.safe_load(value) for _, value in await read_all(self.bus, TRANSFERS)]
        return [record for record in records if record["phase"] == phase]

    async def reconcile_requests(self) -> list[ReconcileRequested]:
        """What `farshore.events` holds of them."""
        return [
            ReconcileRequested.from_json(value, "test")
            for headers, value in await read_all(self.bus, EVENTS)
            if dict(headers)["ce_type"] == RECONCILE_TYPE.encode()
        ]

    async def arrived(self, site: str) -> Counter[str]:
        """How often each event arrived at `site`."""
        return Counter(arrival.event.id for arrival in await self.arrivals() if arrival.site == site)

    async def wait_for_arrivals(self, site: str, ids: Sequence[str], within_seconds: float = 60) -> None:
        """Wait until all of `ids` have arrived at `site`."""

        async def all_there() -> bool:
            return set(ids) <= set(await self.arrived(site))

        try:
            await wait_until(all_there, within_seconds, f"{len(ids)} arrivals at {site}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{tail(self.coalescer.log_file)}") from None


async def read_all(bus: Bus, topic: Topic) -> list[tuple[Any, bytes]]:
    """Headers and values of all committed records of `topic`."""
    return [(record.headers, record.value or b"") for record in await read_topic(bus, topic)]


@asynccontextmanager
async def coalescer_world(
    folder: Path,
    sites: Sequence[str] = ("nyc", "fra", "syd"),
    *,
    batching: Mapping[str, Any] | None = None,
    via: Mapping[str, str] | None = None,
    timeout: str = "10s",  # noqa: ASYNC109 - the clusters', in the topology
) -> AsyncIterator[World]:
    """The world, with everything running but the coalescer; its process is ended at the end."""
    with Broker(folder / "kafka", folder / "kafka.log") as broker, start_simulators(folder, sites) as simulators:
        topology = write_topology(folder, simulators, batching or {}, via or {}, timeout)
        await create_missing_topics(Bus(broker.bootstrap))
        await make_storage(load_topology(topology), within=300)
        producer = Bus(broker.bootstrap).producer()
        await producer.start()
        world = World(folder, simulators, topology, broker, producer)
        world.coalescer.start()
        try:
            yield world
        finally:
            world.coalescer.kill()
            await producer.stop()
