"""Asks for another snapshot where a site's tag lags behind its event."""

import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from farshore.bus.clients import Bus
from farshore.bus.failures import KAFKA_FAILURES
from farshore.bus.lasting_producer import LastingProducer
from farshore.bus.topics import EVENTS
from farshore.records.arrivals import Arrival
from farshore.records.events import Event, EventKind
from farshore.telemetry import event as log_event
from farshore_verifier import metrics
from farshore_verifier.lost import ask_for_reconcile

log = logging.getLogger(__name__)


def volume_dirty(arrival: Arrival, now: datetime) -> Event:
    """The event that makes the coalescer take another snapshot of the arrival's volume.

    Its id is the same however often it is asked for. It names the image, so that its own arrival at the site tells
    the waiting arrival to look again at once.
    """
    event = arrival.event
    return Event(
        id=f"{event.id}/dirty/{arrival.site}",
        kind=EventKind.VOLUME_DIRTY,
        registry=event.registry,
        repository=event.repository,
        digest=event.digest,
        tag=event.tag,
        occurred_at=now,
        accepted_at=now,
    )


class SnapshotRequests:
    """Writes `volume.dirty` events and requests to reconcile. They stand outside the lanes' transactions: one too many
    costs a snapshot, or a look at the registry, only."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._producer = LastingProducer(bus)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._producer.__aexit__(kind, error, trace)

    async def ask_for_reconcile(self, site: str, registries: Iterable[str], lost: str, oldest: int) -> None:
        """See lost.py."""
        await ask_for_reconcile(self._bus, self._producer, site, registries, lost, oldest)

    async def ask(self, arrival: Arrival, traceparent: str | None) -> bool:
        """Ask for a snapshot on behalf of `arrival`; False where Kafka refuses, and the arrival goes on waiting."""
        dirty = volume_dirty(arrival, datetime.now(UTC)).to_cloudevent(traceparent=traceparent)
        try:
            await self._producer.send_and_wait(
                EVENTS.name, dirty.data, key=arrival.event.registry.encode(), headers=dirty.headers()
            )
        except KAFKA_FAILURES as error:
            log_event(log, logging.WARNING, "no snapshot could be asked for", reason=type(error).__name__)
            return False
        metrics.snapshot_requests.add(1, {"site": arrival.site})
        log_event(
            log,
            logging.INFO,
            "the site lags behind the event: another snapshot asked for",
            site=arrival.site,
            registry=arrival.event.registry,
            image=arrival.event.image,
        )
        return True
