"""Sites with real registries, arrivals written as the coalescer writes them, and the verifier as its own process."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from registry_process import Pusher, RegistryProcess
from waiting import wait_until

from farshore.bus.clients import Bus
from farshore.bus.topics import ARRIVALS, DEADLETTER, EVENTS, READINESS
from farshore.oci import Digest, Repository, Tag
from farshore.records.arrivals import ArrivalHeaders, Passage
from farshore.records.cloudevent import MalformedRecordError
from farshore.records.events import Event, EventKind
from farshore.records.readiness import Readiness, ReadinessState
from farshore_cli.tools.child import end, spawn, tail
from farshore_cli.tools.ports import free_port

SESSION_TIMEOUT = 6.0
"""The shortest that Kafka's default `group.min.session.timeout.ms` allows."""


def make_event(
    kind: EventKind,
    repository: str,
    *,
    id: str,  # noqa: A002 - the record's own word
    registry: str = "main",
    digest: Digest | None = None,
    tag: str | None = None,
    accepted_at: datetime | None = None,
) -> Event:
    now = datetime.now(UTC)
    return Event(
        id=id,
        kind=kind,
        registry=registry,
        repository=Repository(repository),
        digest=digest,
        tag=Tag(tag) if tag else None,
        occurred_at=accepted_at or now,
        accepted_at=accepted_at or now,
    )


@dataclass
class ArrivalWriter:
    """Writes arrivals; each event gets the next generation."""

    producer: AIOKafkaProducer
    incarnation: str = "0a1b2c3d"
    _next: int = 0

    async def publish(self, event: Event, sites: Iterable[str], *, traceparent: str | None = None) -> int:
        """Write `event` as arrived at `sites`; returns its generation's offset."""
        generation, self._next = self._next, self._next + 1
        await asyncio.gather(*[await self.send(event, site, generation, traceparent) for site in sites])
        return generation

    async def send(
        self, event: Event, site: str, generation: int, traceparent: str | None = None
    ) -> "asyncio.Future[object]":
        snapshot = f"farshore-{self.incarnation}-0-{generation + 1}-1-5e1f0c4a"
        passage = Passage(site, snapshot, "v-1", "t-1", datetime.now(UTC))
        headers = ArrivalHeaders(passage, self.incarnation, 0).of(
            event.id.encode(),
            f"/registries/{event.registry}".encode(),
            event.repository.encode(),
            generation,
            traceparent.encode() if traceparent else None,
        )
        future: asyncio.Future[object] = await self.producer.send(
            ARRIVALS.name,
            event.model_dump_json(exclude_none=True).encode(),
            key=event.repository.encode(),
            headers=headers,
        )
        return future


@dataclass
class Readings:
    """Everything that was written to readiness, dead letters and events, read committed."""

    readiness: list[Readiness] = field(default_factory=list)
    records: list["ConsumerRecord[bytes, bytes]"] = field(default_factory=list)
    dead_letters: list["ConsumerRecord[bytes, bytes]"] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    async def follow(self, bus: Bus) -> None:
        """Read for ever."""
        consumer: AIOKafkaConsumer = bus.reader()
        topics = (READINESS, DEADLETTER, EVENTS)
        consumer.assign([TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)])
        await consumer.start()
        await consumer.seek_to_beginning()
        try:
            async for record in consumer:
                if record.topic == READINESS.name:
                    self.records.append(record)
                    with contextlib.suppress(MalformedRecordError):  # a test wrote it on purpose
                        self.readiness.append(Readiness.from_json(record.value, "readiness"))
                elif record.topic == DEADLETTER.name:
                    self.dead_letters.append(record)
                else:
                    self.events.append(Event.from_json(record.value, "events"))
        finally:
            await consumer.stop()

    def of(self, event_id: str, site: str | None = None) -> list[Readiness]:
        return [r for r in self.readiness if r.event_id == event_id and site in (None, r.site)]

    def final(self, event_id: str, site: str) -> list[Readiness]:
        return [r for r in self.of(event_id, site) if r.state is not ReadinessState.LATE]

    async def ended(self, event_id: str, site: str, within_seconds: float = 40) -> Readiness:
        """The record that says how the event ended at the site."""
        found = await wait_until(lambda: self.final(event_id, site), within_seconds, f"the end of {event_id} at {site}")
        return found[0]


@dataclass
class VerifierProcess:
    """The real service."""

    topology: Path
    bootstrap: str
    log_file: Path
    port: int = field(default_factory=free_port)
    mounts: str = ""
    sites: str = ""
    session_timeout: float = SESSION_TIMEOUT
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environ = {
            **os.environ,
            "FARSHORE_TOPOLOGY": str(self.topology),
            "FARSHORE_KAFKA_BOOTSTRAP_SERVERS": self.bootstrap,
            "FARSHORE_KAFKA_SESSION_TIMEOUT": str(self.session_timeout),
            "FARSHORE_LISTEN": f"127.0.0.1:{self.port}",
            "FARSHORE_VERIFIER_MOUNTS": self.mounts,
            "FARSHORE_VERIFIER_SITES": self.sites,
        }
        self.process = spawn([sys.executable, "-m", "farshore_verifier"], log_file=self.log_file, environ=environ)

    async def is_ready(self) -> bool:
        async with aiohttp.ClientSession() as session:
            try:
                async with session.get(f"http://127.0.0.1:{self.port}/readyz") as response:
                    return response.status == 200
            except aiohttp.ClientError:
                return False

    async def metrics(self) -> str:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self.port}/metrics") as answer:
            return await answer.text()

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit code, -9 where it had to be killed."""
        assert self.process is not None
        return end(self.process, within_seconds=60)

    @property
    def log(self) -> str:
        return tail(self.log_file, 60)


@dataclass
class World:
    """What the verifier's tests work with."""

    push: Pusher
    folder: Path
    arrivals: ArrivalWriter
    readings: Readings
    verifier: VerifierProcess
    primary: RegistryProcess

    def transfer(self, *sites: str) -> None:
        """Bring what the primary has to `sites`."""
        for site in sites:
            copy_volume(self.folder / "nyc", self.folder / site)


def copy_volume(source: Path, target: Path) -> None:
    """What a transfer does: the whole tree, in a new directory that is then switched to."""
    fresh = target.with_name(f"{target.name}.{os.urandom(4).hex()}")
    shutil.copytree(source, fresh)
    switch = target.with_name(f"{target.name}.switch")
    switch.symlink_to(fresh)
    switch.replace(target)
