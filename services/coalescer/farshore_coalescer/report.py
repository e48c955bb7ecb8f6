"""Tells `farshore.transfers` what SnapMirror did, and what became of fences. No promise rests on it."""

import asyncio
import logging
from datetime import UTC, datetime

from farshore.bus.failures import KAFKA_FAILURES
from farshore.bus.lasting_producer import LastingProducer
from farshore.bus.topics import TRANSFERS
from farshore.ontap.model import Transfer
from farshore.records.cloudevent import CloudEvent
from farshore.records.fences import FencePhase, FenceStatus
from farshore.records.transfers import TransferPhase, TransferRecord
from farshore.telemetry import event
from farshore.topology import Relationship
from farshore_coalescer.snapshot_names import Log

log = logging.getLogger(__name__)

MOST_UNDER_WAY = 1000
"""Records that may wait for Kafka; while it is away, further ones are only logged."""


class TransferReporter:
    """Writes transfer records and lends its producer."""

    def __init__(self, producer: LastingProducer) -> None:
        self.producer = producer
        self._under_way: set[asyncio.Task[None]] = set()

    def report(
        self,
        relationship: Relationship,
        phase: TransferPhase,
        transfer: Transfer,
        snapshot: str,
        events: Log,
        reason: str | None = None,
        traceparent: str | None = None,
    ) -> None:
        """Log, and write one record in the background; `traceparent` is of the transfer's span."""
        record = TransferRecord(
            relationship=relationship.name,
            registry=relationship.registry,
            site=relationship.site,
            phase=phase,
            transfer=transfer.uuid,
            snapshot=snapshot,
            cover=events.cover_of(snapshot),
            logical_bytes=transfer.bytes_transferred,
            network_compression_ratio=transfer.network_compression_ratio,
            reason=reason,
            at=datetime.now(UTC),
        )
        fields = {"relationship": record.relationship, "transfer": record.transfer, "snapshot": record.snapshot}
        level = logging.WARNING if phase == "failed" else logging.DEBUG if phase == "progressed" else logging.INFO
        event(log, level, f"transfer {phase}", **fields, bytes=record.logical_bytes, reason=reason)
        if len(self._under_way) >= MOST_UNDER_WAY:
            return
        self._begin(record.to_cloudevent(traceparent=traceparent), record.relationship)

    def report_fence(self, registry: str, fence: str, phase: FencePhase) -> None:
        """Log, and write one record in the background: whoever raised the fence waits for it."""
        record = FenceStatus(registry=registry, fence=fence, phase=phase, at=datetime.now(UTC))
        event(log, logging.WARNING, f"fence {phase}", registry=registry, fence=fence)
        self._begin(record.to_cloudevent(), registry)

    def _begin(self, envelope: CloudEvent, key: str) -> None:
        task = asyncio.create_task(self._send(envelope, key))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _send(self, envelope: CloudEvent, key: str) -> None:
        try:
            await self.producer.send_and_wait(
                TRANSFERS.name, envelope.data, key=key.encode(), headers=envelope.headers()
            )
        except KAFKA_FAILURES as error:
            event(log, logging.WARNING, "not reported", record=envelope.id, reason=type(error).__name__)
