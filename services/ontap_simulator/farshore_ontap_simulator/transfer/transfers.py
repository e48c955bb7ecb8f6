"""Start a transfer: refuse at once what can't work, and let the rest run."""

from __future__ import annotations

import uuid

from farshore_ontap_simulator import errors
from farshore_ontap_simulator.errors import OntapError, busy, refused
from farshore_ontap_simulator.model.cluster import Cluster
from farshore_ontap_simulator.model.records import Relationship, Transfer, TransferState
from farshore_ontap_simulator.transfer import messages, plan
from farshore_ontap_simulator.transfer.run import TransferRun, open_session
from farshore_ontap_simulator.transfer.running import Running, RunningTransfers
from farshore_ontap_simulator.transfer.session import UnreachableError

_CODES = {
    "initialize": errors.INITIALIZE_FAILED,
    "update": errors.UPDATE_FAILED,
    "resync": errors.RESYNC_FAILED,
}


class Transfers:
    """Starts transfers; `running` knows those under way."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.running = RunningTransfers(cluster)

    def start(
        self, relationship_uuid: str, kind: str, *, source_snapshot: str | None = None, throttle: int = 0
    ) -> Transfer:
        """Start a transfer after asking the source whether it can work. `throttle` in KB/s, 0 for none.

        Raises OntapError: busy, or what makes it impossible. A source that can't be reached makes it fail later, as
        ONTAP only notices then.
        """
        code = _CODES[kind]
        store = self._cluster.store
        with store.transaction():
            relationship = self._cluster.relationship(relationship_uuid)
            if self.running.get(relationship_uuid) is not None:
                raise busy(code, relationship.destination_path)
            transfer = store.transfers.put(
                Transfer(
                    uuid=str(uuid.uuid4()),
                    relationship=relationship_uuid,
                    type=kind,
                    state=TransferState.QUEUED,
                    started=self._cluster.now(),
                    updated=self._cluster.now(),
                    snapshot=source_snapshot,
                    throttle=throttle or relationship.throttle,
                    checkpoint_bytes=relationship.checkpoint_bytes,
                )
            )
            running = Running(transfer.uuid, relationship_uuid, source_snapshot)
            self.running.add(running)
        try:
            opened = self._preflight(running, relationship, kind)
        except OntapError as error:
            with store.transaction():
                store.transfers.delete(transfer.uuid)
                self.running.remove(running)
            if running.session is not None:
                running.session.close()
            text = f'SnapMirror {kind} on relationship "{relationship.destination_path}" failed. ({error.message})'
            raise refused(code, text) from error
        self._cluster.transfers.submit(TransferRun(self._cluster, self.running, running, opened).run)
        return transfer

    def _preflight(self, running: Running, relationship: Relationship, kind: str) -> messages.Opened | None:
        """What the source has, None if it can't be reached. Raises OntapError."""
        volume = self._cluster.volume(relationship.volume)
        if volume.type != "dp" and kind != "resync":
            raise refused(errors.NOT_A_DP_VOLUME, "The destination volume is not of type DP.")
        if volume.state != "online":
            raise errors.offline(_CODES[kind], volume.path)
        try:
            opened = open_session(self._cluster, running, relationship, self._cluster.policy(relationship.policy))
        except UnreachableError:
            return None
        plan.check(
            opened.snapshots,
            {snapshot.version_uuid for snapshot in self._cluster.snapshots_of(volume.uuid)},
            initialize=kind == "initialize",
            requested=running.source_snapshot,
            code=_CODES[kind],
        )
        return opened
