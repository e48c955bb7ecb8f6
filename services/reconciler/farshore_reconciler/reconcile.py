"""Runs over some registries: look, wait, look again at what was missing, announce what still is.

Two looks, because a push and its event are not one moment: what is missing only in the first was under way.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime

from farshore.bus.clients import Bus
from farshore.bus.closing import STOP_SECONDS, close_within
from farshore.bus.failures import KAFKA_FAILURES
from farshore.bus.topics import create_missing_topics
from farshore.errors import ConfigurationError, FarshoreError, RetryClass
from farshore.topology import Topology
from farshore_reconciler.knowledge import Knowledge
from farshore_reconciler.options import Options
from farshore_reconciler.read_log import LogReader
from farshore_reconciler.registry_run import RegistryRun
from farshore_reconciler.report import RegistryReport
from farshore_reconciler.sample import Sampler


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Reconciler:
    """Runs again and again; the only thing it remembers is where the last sample ended. `wait` takes seconds."""

    bus: Bus
    topology: Topology
    options: Options
    now: Callable[[], datetime] = _now
    wait: Callable[[float], Awaitable[None]] = asyncio.sleep
    sampler: Sampler = field(default_factory=Sampler)

    async def run(self, registries: Collection[str]) -> list[RegistryReport]:
        """Reconcile `registries`, all with one reading of Kafka. Raises FarshoreError when Kafka can't be used."""
        producer = self.bus.producer()
        try:
            await create_missing_topics(self.bus)
            await producer.start()
            async with AsyncExitStack() as resources:
                knowledge = resources.enter_context(Knowledge())
                reader = LogReader(self.bus, producer, registries, knowledge)
                await reader.catch_up()
                runs = [
                    RegistryRun(name, self.topology, self.options, knowledge, reader, producer, self.now, resources)
                    for name in registries
                ]
                for run in runs:
                    await run.look()
                if any(run.candidates for run in runs):
                    await self.wait(self.options.grace_seconds)
                    for run in runs:
                        await run.look_again()
                for run in runs:
                    await self.sampler.sample(run, knowledge, self.options.sample)
                return [run.finish() for run in runs]
        except ConfigurationError:
            raise
        except KAFKA_FAILURES as error:
            reason = str(error) or type(error).__name__
            raise FarshoreError("reconcile", "with Kafka", reason, retry=RetryClass.RETRY_SOON) from error
        finally:
            await close_within(STOP_SECONDS, producer.stop())
