"""How a transfer ended: in the records, in the log, and as an event."""

from __future__ import annotations

import logging
import time

from farshore_ontap_simulator import errors
from farshore_ontap_simulator.model.cluster import Cluster
from farshore_ontap_simulator.model.ems import announce
from farshore_ontap_simulator.model.records import ACTIVE, Policy, RelationshipState, TransferState
from farshore_ontap_simulator.transfer.receive import Receiver
from farshore_ontap_simulator.transfer.running import Running

LOG = logging.getLogger(__name__)
_TRANSFERS_KEPT = 1000


class Outcome:
    """Records the end of transfers."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def success(
        self, running: Running, policy: Policy, receiver: Receiver, wire_bytes: int, newest: str, snapshots: int
    ) -> None:
        """It brought `snapshots` snapshots, the last one named `newest`; inside the transaction that shows it."""
        store = self._cluster.store
        transfer = self._cluster.transfer(running.transfer)
        relationship = self._cluster.relationship(running.relationship)
        seconds = time.monotonic() - running.began
        ratio = (receiver.ratio or "1.0:1") if policy.network_compression_enabled else relationship.last_ratio
        store.transfers.put(
            transfer.but(
                state=TransferState.SUCCESS,
                ended=self._cluster.now(),
                updated=self._cluster.now(),
                seconds=seconds,
                snapshot=newest,
                bytes_transferred=receiver.bytes_transferred,
                wire_bytes=wire_bytes,
                ratio=None,
            )
        )
        store.relationships.put(
            relationship.but(
                state=RelationshipState.SNAPMIRRORED,
                healthy=True,
                unhealthy_code=0,
                unhealthy_message="",
                checkpoint_bytes=0,
                last_transfer_type=transfer.type,
                last_ratio=ratio,
                total_bytes=relationship.total_bytes + receiver.bytes_transferred,
                total_wire_bytes=relationship.total_wire_bytes + wire_bytes,
                total_seconds=relationship.total_seconds + seconds,
                transfers=relationship.transfers + 1,
                snapshots=relationship.snapshots + snapshots,
            )
        )
        self._forget_old_transfers(relationship.uuid)
        announce(
            self._cluster,
            "smc.snapmirror.xfer.complete",
            "informational",
            f"SnapMirror {transfer.type} to {relationship.destination_path} has completed.",
            {
                "relationship_uuid": relationship.uuid,
                "destination_path": relationship.destination_path,
                "source_path": relationship.source_path,
                "snapshot": newest,
            },
        )
        LOG.info(
            "%s of %s: snapshot %s, %d bytes in blocks, %d on the wire, %.2f s",
            transfer.type,
            relationship.destination_path,
            newest,
            receiver.bytes_transferred,
            wire_bytes,
            seconds,
        )

    def _forget_old_transfers(self, relationship_uuid: str) -> None:
        finished = self._cluster.store.transfers.where(
            lambda item: item.relationship == relationship_uuid and item.state not in ACTIVE
        )
        for old in finished[: max(0, len(finished) - _TRANSFERS_KEPT)]:
            self._cluster.store.transfers.delete(old.uuid)

    def ended_early(
        self, running: Running, receiver: Receiver | None, state: TransferState, code: int, message: str
    ) -> None:
        """It was aborted or failed: the relationship is unhealthy, and what arrived is its checkpoint."""
        store = self._cluster.store
        moved = receiver.bytes_transferred if receiver is not None else 0
        wire = running.session.wire_bytes if running.session is not None else 0
        if state in (TransferState.ABORTED, TransferState.HARD_ABORTED):
            code = errors.TRANSFER_ABORTED
        with store.transaction():
            transfer = self._cluster.transfer(running.transfer)
            relationship = self._cluster.relationship(running.relationship)
            store.transfers.put(
                transfer.but(
                    state=state,
                    ended=self._cluster.now(),
                    updated=self._cluster.now(),
                    seconds=time.monotonic() - running.began,
                    bytes_transferred=moved,
                    wire_bytes=wire,
                    ratio=None,
                    error_code=code,
                    error_message=message,
                )
            )
            baseline = relationship.state is RelationshipState.UNINITIALIZED
            rebooted = state is TransferState.FAILED and running.stop is not None
            lost = state is TransferState.HARD_ABORTED or (baseline and rebooted)
            store.relationships.put(
                relationship.but(
                    healthy=False,
                    unhealthy_code=code,
                    unhealthy_message=message,
                    checkpoint_bytes=0 if lost else relationship.checkpoint_bytes + moved,
                    total_bytes=relationship.total_bytes + moved,
                    total_wire_bytes=relationship.total_wire_bytes + wire,
                )
            )
            announce(
                self._cluster,
                "smc.snapmir.update.fail",
                "error",
                f"SnapMirror transfer to {relationship.destination_path} failed: {message}",
                {
                    "relationship_uuid": relationship.uuid,
                    "destination_path": relationship.destination_path,
                    "error": message,
                },
            )
            LOG.warning("transfer to %s %s: %s", relationship.destination_path, state, message)
