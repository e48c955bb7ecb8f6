"""What a rollback asks of storage, and says in Kafka."""

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime

from farshore.bus.clients import Bus
from farshore.bus.topics import EVENTS
from farshore.errors import FarshoreError, RetryClass
from farshore.ontap import Snapshot
from farshore.records.reconciles import ReconcileRequested
from farshore.telemetry import next_traceparent
from farshore.topology import Topology
from farshore.topology.model import Relationship
from farshore_cli.applying.run import opened
from farshore_cli.rolling.plan import Seen, choose, vanishes
from farshore_cli.sites.readiness import ready_images, revoke

SETTLE_SECONDS = 2.0
"""Between two looks for readiness to revoke: a verifier may have read the content just before it went."""
_EMPTY_LOOKS = 2


class NoWayBackError(FarshoreError):
    """A replica can't go back to what was asked for."""

    def __init__(self, one: Relationship, reason: str) -> None:
        super().__init__("roll back", one.name, reason, retry=RetryClass.OPERATOR)


async def find_target(topology: Topology, one: Relationship, wanted: str, verified: Collection[str]) -> Snapshot:
    """The snapshot that `wanted` means; `verified` are the `version_uuid`s that readiness names. Raises NoWayBackError,
    OntapError."""
    async with opened(topology) as clusters:
        here, source = clusters[one.site], clusters[one.source_site]
        relationship = await here.find_relationship(f"{here.settings.svm}:{one.volume}")
        if relationship is None:
            raise NoWayBackError(one, "it has no relationship")
        volume, origin = await asyncio.gather(here.find_volume(one.volume), source.find_volume(one.source_volume))
        ours, theirs = await asyncio.gather(
            here.list_snapshots(volume.uuid, "*"), source.list_snapshots(origin.uuid, "*")
        )
    found = choose(Seen(relationship, ours, theirs, verified), wanted)
    if isinstance(found, str):
        raise NoWayBackError(one, found)
    return found


async def revoke_what_vanished(bus: Bus, one: Relationship, target: str) -> int:
    """Revoke what is called ready at the site and isn't known to be in `target`; of how many images.

    Ends when two looks in a row find nothing. Raises KAFKA_FAILURES.
    """
    total = empty_looks = 0
    while True:
        gone = await ready_images(bus, one.site, lambda said: said.registry == one.registry and vanishes(said, target))
        total += await revoke(bus, gone, f"the site was taken back to {target}")
        empty_looks = 0 if gone else empty_looks + 1
        if empty_looks == _EMPTY_LOOKS:
            return total
        await asyncio.sleep(SETTLE_SECONDS)


async def ask_for_reconcile(bus: Bus, one: Relationship) -> None:
    """Have what was revoked at the site announced again. Raises KAFKA_FAILURES."""
    now = datetime.now(UTC)
    occasion = f"released {one.site} {now.isoformat()}"
    request = ReconcileRequested.because(one.registry, occasion, "a rollback ended", now, sites=[one.site])
    record = request.to_cloudevent(traceparent=next_traceparent(None))
    producer = bus.producer()
    try:
        await producer.start()
        await producer.send_and_wait(EVENTS.name, record.data, key=one.registry.encode(), headers=record.headers())
    finally:
        await producer.stop()
