"""Gets a site ready: announces what its replicas lack, and waits until it has decided all of it."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from aiokafka import TopicPartition

from farshore.bus.clients import Bus
from farshore.bus.end_of_log import end_of_log
from farshore.bus.partition_of import partition_of
from farshore.bus.topics import EVENTS
from farshore.records.readiness import GIVEN_UP, ReadinessState
from farshore.topology import Topology
from farshore_reconciler.knowledge import Knowledge
from farshore_reconciler.options import Options
from farshore_reconciler.read_log import LogReader
from farshore_reconciler.reconcile import Reconciler

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0


@dataclass(slots=True)
class Filled:
    """How it ended, by registry."""

    announced: dict[str, int] = field(default_factory=dict)
    """Events of images that nobody had told the site of."""
    ready: dict[str, int] = field(default_factory=dict)
    undecided: dict[str, int] = field(default_factory=dict)
    """Images of which the site hasn't decided the last event yet."""
    given_up: dict[str, int] = field(default_factory=dict)
    """Images that the verifier gave up there."""
    unknown: list[str] = field(default_factory=list)
    """What a registry gave no certain answer about."""

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "announced": self.announced,
            "ready": self.ready,
            "undecided": self.undecided,
            "given_up": self.given_up,
            "unknown": self.unknown,
        }


async def fill(
    bus: Bus,
    topology: Topology,
    site: str,
    registries: Sequence[str],
    *,
    grace: float,
    within: float,
    tell: Callable[[str], None],
) -> Filled:
    """Return when `site` has decided whatever was announced until the backfill was, or after `within` seconds.

    `grace`: seconds between the two looks of the backfill. Raises FarshoreError, KAFKA_FAILURES.
    """
    ends = time.monotonic() + within
    found = Filled()
    await _backfill(bus, topology, registries, grace, found, tell)
    async with AsyncExitStack() as resources:
        producer = bus.producer()
        resources.push_async_callback(producer.stop)
        await producer.start()
        numbers = sorted(await producer.partitions_for(EVENTS.name))
        before = {
            name: await end_of_log(bus, TopicPartition(EVENTS.name, partition_of(name.encode(), numbers)))
            for name in registries
        }
        knowledge = resources.enter_context(Knowledge())
        reader = LogReader(bus, producer, registries, knowledge)
        pause, told = FIRST_PAUSE, ""
        while True:
            await reader.catch_up()
            for name in registries:
                found.undecided[name] = len(knowledge.undecided(name, site, before[name]))
                found.ready[name] = len(knowledge.last_said(name, site, [ReadinessState.READY]))
                found.given_up[name] = len(knowledge.last_said(name, site, GIVEN_UP))
            line = ", ".join(f"{name}: {found.ready[name]} ready, {found.undecided[name]} to go" for name in registries)
            if line != told:
                tell(f"{site}: {line}")
                told = line
            if not any(found.undecided.values()) or time.monotonic() >= ends:
                return found
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE)


async def _backfill(
    bus: Bus, topology: Topology, registries: Sequence[str], grace: float, found: Filled, tell: Callable[[str], None]
) -> None:
    tell("comparing the primaries with what readiness knows")
    for report in await Reconciler(bus, topology, Options(grace_seconds=grace)).run(registries):
        found.announced[report.registry] = sum(report.announced.values())
        found.unknown += report.unknown
        tell(f"{report.registry}: {report.names} names, {found.announced[report.registry]} events announced")
